"""A real tree that nobody here wrote, through a real FTP server, the agent and the real template, to the CDN."""

import ftplib
import os
import random
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import COPIES, Agent, assert_published, tree_files
from tests.e2e.counting import agent_through, counting_proxy

pytestmark = pytest.mark.e2e

WHOLE = os.environ.get("SITEFERRY_REAL_TREE") == "whole"
"""Whether the library's own tests are part of the tree: most of its files, and of the time."""
LEAST_FILES = 2000 if WHOLE else 500
EDITS = LEAST_FILES // 10
"""More, and the brake would hold their deletes."""


@pytest.fixture
def large_site(run_local_stack: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Give the site of a stack for the large tree, which would make every other test's whole look slow."""
    with run_local_stack(None) as stack:
        yield stack.sites["www"]


def test_a_real_tree_comes_through_and_follows_every_edit(large_site: Any, tmp_path: Path) -> None:
    """Every file is live byte for byte, every directory has its page; no change costs nothing; edits are followed."""
    site, agent = large_site, Agent(large_site, Path(large_site.config))
    source = tmp_path / "real"
    _copy_real_tree(source)
    assert len(tree_files(source)) >= LEAST_FILES
    with site.ftp() as client:
        _put_tree(client, source)
    agent.sync()
    site.wait_drained(300)
    assert_published(site, COPIES)

    with counting_proxy(site.environment["AWS_ENDPOINT_URL"], site.environment["AWS_CA_BUNDLE"], tmp_path) as proxy:
        counted = agent_through(site, proxy, tmp_path)
        assert "nothing to do" in counted.sync().stdout
        assert dict(proxy.requests) == {"GetParameter": 1, "GetItem": 1}

    _edit(Path(site.root), random.Random(7))
    agent.sync()
    site.wait_drained(300)
    assert_published(site, COPIES)
    assert "nothing to do" in agent.sync().stdout


def _copy_real_tree(destination: Path) -> None:
    """Copy the interpreter's library: real names, sizes and depths. Two of its packages get a copy rule's place."""
    library = Path(sysconfig.get_paths()["stdlib"])
    ignore = shutil.ignore_patterns(
        "site-packages", "__pycache__", "*.so", "*.a", "lib-dynload", *([] if WHOLE else ["test", "tests"])
    )
    shutil.copytree(library, destination, ignore=ignore, symlinks=True)
    shutil.copytree(library / "json", destination / "docs" / "json", ignore=ignore)
    shutil.copytree(library / "email", destination / "docs" / "email", ignore=ignore)
    if len(tree_files(destination)) < LEAST_FILES:  # a distribution that splits its library into packages
        import botocore  # noqa: PLC0415

        shutil.copytree(Path(botocore.__file__).parent, destination / "botocore", ignore=ignore)
    (destination / "json" / "index.html").write_text("<h1>json</h1>", "utf-8")
    (destination / "empty").mkdir()


def _put_tree(client: ftplib.FTP, source: Path) -> None:
    for folder, directories, names in os.walk(source):
        relative = Path(folder).relative_to(source).as_posix()
        for name in directories:
            client.mkd(f"{relative}/{name}")
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink():
                with path.open("rb") as file:
                    client.storbinary(f"STOR {relative}/{name}", file)


def _edit(root: Path, rng: random.Random) -> None:
    """Make random edits: adds, changes, deletes, renames, a directory in a file's place and the reverse."""

    def files() -> list[Path]:
        return sorted(path for path in root.rglob("*") if path.is_file())

    def folders() -> list[Path]:
        return sorted(path for path in root.rglob("*") if path.is_dir())

    for n in range(EDITS):
        kind = rng.choice(["add", "add", "change", "change", "same size", "touch", "delete", "rename", "move", "swap"])
        path = rng.choice(files())
        if kind == "add":
            (rng.choice(folders()) / f"added {n}.{rng.choice(['txt', 'html', 'css'])}").write_bytes(rng.randbytes(n))
        elif kind == "change":
            path.write_bytes(path.read_bytes() + b"more")
        elif kind == "same size":
            path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
        elif kind == "touch":
            os.utime(path, (n, n))
        elif kind == "delete":
            path.unlink()
        elif kind == "rename":
            path.rename(path.with_name(f"renamed {n}{path.suffix}"))
        elif kind == "move" and n % 5 == 0:
            folder = rng.choice([folder for folder in folders() if len(list(folder.rglob("*"))) < 60])
            folder.rename(folder.with_name(f"moved {n}"))
        elif kind == "swap":
            path.unlink()
            path.mkdir()
            (path / "inside.txt").write_text("a directory in a file's place", "utf-8")
    small = next(folder for folder in folders() if 0 < len(list(folder.rglob("*"))) < 20)
    shutil.rmtree(small)
    small.write_text("a file in a directory's place", "utf-8")
    (root / "json" / "index.html").unlink(missing_ok=True)
    (root / "email" / "index.html").write_text("an index of its own", "utf-8")
