"""The way back, for real: a lost host, an earlier time, a run that is undone, a restore that is killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import COPIES, Agent, agent_with, assert_published, wait_for
from tests.unit.agent.test_restore import tree_of, write

pytestmark = pytest.mark.e2e

FILES = int(os.environ.get("SITEFERRY_RESTORE_FILES", "120"))
"""The round trip of a large tree: SITEFERRY_RESTORE_FILES=20000 takes the emulator long."""
PER_DIRECTORY = 40
PARTS = (
    b"plain",
    b"caf\xe9",
    b"caf\xc3\xa9",
    b"\xff\xfe",
    b"two words",
    b" ",
    b"100%",
    b"'\"<&>",
    b"[2J",
    b"\xe2\x82\xac",
)
"""The emulator lists no versions of keys with control characters: those are in tests/unit/agent/test_restore.py."""


@pytest.fixture(scope="module")
def agent(run_local_stack: Callable[[Path | None], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Give the agent of a site of its own, with a tree of hostile names published."""
    with run_local_stack(None) as stack:
        site = stack.sites["www"]
        choose = random.Random(8)
        for n in range(FILES):
            write(Path(site.root), _name(n), choose.randbytes(choose.randrange(200)), choose.randrange(2 * 10**18))
        write(Path(site.root), b"large.bin", choose.randbytes(20_000_000), 10**18 + 1)
        (Path(site.root) / "empty" / "er").mkdir(parents=True)
        agent = agent_with(site, tmp_path_factory.mktemp("agent"), brake="{ files = 1_000_000 }")
        agent.sync("--quiet")
        site.wait_drained(3600)
        yield agent


def _name(n: int) -> bytes:
    directory = n // PER_DIRECTORY
    return b"%s-%d/in/%s-%d.txt" % (PARTS[directory % len(PARTS)], directory, PARTS[n % len(PARTS)], n)


def versions(site: Any) -> int:
    """Count every version of every object."""
    pages = site.client("s3").get_paginator("list_object_versions").paginate(Bucket=site.bucket)
    return sum(len(page.get("Versions", [])) for page in pages)


@pytest.mark.parametrize("source", [[], ["--from-bucket"]])
def test_a_tree_comes_back_byte_for_byte(agent: Agent, tmp_path: Path, source: list[str]) -> None:
    """Every name, every mtime, every byte, empty directories too; then nothing differs."""
    done = json.loads(agent.run("restore", str(tmp_path / "new"), "--json", *source).stdout)
    assert (done["restored"], done["failed"], done["left"]) == (FILES + 1, 0, [])
    assert tree_of(tmp_path / "new") == tree_of(Path(agent.site.root))
    again = json.loads(agent.run("restore", str(tmp_path / "new"), "--dry-run", "--json", *source).stdout)
    # The emulator keeps no checksum of the whole of what was put in parts; only the index knows it.
    unknown = {"large.bin"} if source else set()
    assert {step["path"] for step in again["steps"]} == unknown
    assert again["totals"]["same"] == FILES + 1 - len(unknown)


def test_a_killed_restore_is_completed_by_the_same_command(agent: Agent, tmp_path: Path) -> None:
    """SIGKILL at some moments: what is there is whole, and in the end all of it is."""
    whole, dest = tree_of(Path(agent.site.root)), tmp_path / "new"
    command = [sys.executable, "-m", "siteferry", "restore", str(dest), "--quiet", "--workers", "2"]
    for least in (1, FILES // 3, FILES // 2):
        with subprocess.Popen(
            [*command, "--config", str(agent.config)], env=agent.site.agent_environment, stdout=subprocess.DEVNULL
        ) as process:
            wait_for(lambda n=least: process.poll() is not None or count(dest) >= n, "files", 120)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
        assert {path: entry for path, entry in tree_of(dest).items() if whole.get(path, b"") != entry} == {}
    agent.run("restore", str(dest))
    assert tree_of(dest) == whole


def count(root: Path) -> int:
    """Count files."""
    return sum(len(names) for _, _, names in os.walk(root))


def test_a_lost_host_comes_back_and_uploads_nothing(agent: Agent, tmp_path: Path) -> None:
    """Tree, cache and state are gone; after a restore the first sync of a new host puts no object."""
    root = Path(agent.site.root)
    before, objects = tree_of(root), versions(agent.site)
    shutil.rmtree(root)
    (tmp_path / "agent").mkdir()
    new = agent_with(agent.site, tmp_path / "agent", brake="{ files = 1_000_000 }")
    done = new.run("restore", str(root), "--quiet")
    assert f"restored {FILES + 1:,} files" in done.stdout
    assert tree_of(root) == before
    summary = json.loads(new.sync("--json").stdout)
    assert (summary["uploaded"], summary["deleted"], summary["failed"]) == (0, 0, 0)
    agent.site.wait_drained()
    assert versions(agent.site) == objects
    assert_published(agent.site, COPIES)


def test_days_come_back_as_they_were(agent: Agent, tmp_path: Path) -> None:
    """Ten states of the tree, published one after another: as of each time it is that one, name for name."""
    root, choose = Path(agent.site.root), random.Random(9)
    states = []
    for day in range(10):
        for n in choose.sample(range(FILES), 5):
            target = Path(os.fsdecode(os.path.join(os.fsencode(root), _name(n))))
            if target.exists() and choose.random() < 0.4:
                target.unlink()
            else:
                write(root, _name(n), b"of day %d" % day, 10**18 + day)
        agent.sync("--quiet")
        agent.site.wait_drained()
        pause_until_next_second()
        states.append((datetime.now(UTC), tree_of(root)))
        pause_until_next_second()
    for n, (moment, tree) in enumerate(states):
        if n in (0, 4, 8, 9):  # each takes the emulator some seconds
            dest = tmp_path / f"then-{n}"
            agent.run("restore", str(dest), "--as-of", moment.isoformat(), "--quiet")
            assert tree_of(dest) == tree, n


def pause_until_next_second() -> None:
    """Wait until S3's times, which have whole seconds, tell what follows from what was."""
    now = int(time.time())
    wait_for(lambda: int(time.time()) > now, "the next second")


def test_a_vandalised_site_is_put_right_by_an_undo(agent: Agent) -> None:
    """The run is found in the history, its plan is shown first, and the next sync publishes what was there before."""
    root = Path(agent.site.root)
    before = tree_of(root)
    pause_until_next_second()
    for n in range(0, FILES, 10):
        Path(os.fsdecode(os.path.join(os.fsencode(root), _name(n)))).unlink(missing_ok=True)
    write(root, b"large.bin", b"vandalised", 1)
    write(root, b"docs/more.txt", b"more", 1)
    run = json.loads(agent.sync("--json").stdout)["run"]
    agent.site.wait_drained()
    (last,) = json.loads(agent.run("history", "--limit", "1", "--json").stdout)["runs"]
    assert (last["number"], last["new"], last["changed"]) == (run, 1, 1)
    shown = agent.run("undo", str(run), code=1).stdout
    assert "nothing was done: look at the plan, then add --yes" in shown
    assert "delete  docs/more.txt (new since)" in shown
    assert b"docs/more.txt" in tree_of(root)
    agent.run("undo", str(run), "--yes")
    assert {path: entry for path, entry in tree_of(root).items() if path != b"docs"} == before
    events = agent.run("history", "large.bin").stdout.splitlines()
    assert [line.split()[3:5] for line in events[:2]] == [["changed", "large.bin"], ["new", "large.bin"]]
    assert f"run {run}" in events[0]
    agent.sync("--quiet")
    agent.site.wait_drained()
    assert_published(agent.site, COPIES)
