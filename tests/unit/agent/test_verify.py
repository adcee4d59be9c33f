"""Only directories that changed are compared again, and every one that changed is."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.cache import Cache
from siteferry.state import StateDirectory
from siteferry.tree import Tree
from siteferry.verify import Range, _Helper, changed_directories, main
from tests.unit.agent.fakes import World

DIRECTORIES = ("", "a", "a/b", "a/b/c", "a!", "a-", "z", "z/y")


@pytest.fixture
def site(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A published site, of a size that counts as large."""
    monkeypatch.setattr("siteferry.verify.NAMES_PER_PROCESS", 6)
    for directory in DIRECTORIES:
        for name in ("1", "2"):
            world.write(os.path.join(directory, name))
    world.settle()
    assert world.sync().run is None
    return world


def changed(world: World, *, processes: int = 3) -> list[bytes]:
    """Give what is not as the cache has it."""
    cache = Cache(StateDirectory(world.config.state_dir).cache)
    with Tree(world.root) as tree:
        found = list(changed_directories(tree, cache.path, processes=processes))
    cache.close()
    return found


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_exactly_what_changed_is_given(site: World, processes: int) -> None:
    """Directories with a change are given, each before what is beneath it, however many processes look."""
    assert changed(site, processes=processes) == []
    site.write("z/y/1", b"other")
    site.write("a/b/3")
    (site.root / "a/1").unlink()
    site.write("2", b"longer")
    assert changed(site, processes=processes) == [b"", b"a", b"a/b", b"z/y"]
    shutil.rmtree(site.root / "a")
    assert changed(site, processes=processes) == [b"", b"a", b"a/b", b"a/b/c", b"z/y"]


def test_a_symlink_in_a_directorys_place_is_a_change(site: World, tmp_path: Path) -> None:
    """A directory that was swapped for a symlink to an equal one is not looked into."""
    (site.root / "a").rename(tmp_path / "elsewhere")
    (site.root / "a").symlink_to(tmp_path / "elsewhere")
    assert {b"a", b"a/b", b"a/b/c"} <= set(changed(site))


def test_a_helper_answers_for_its_range(site: World) -> None:
    """A process of its own, started as the agent starts it, gives what changed in its range, and that it is done."""
    site.write("z/y/1", b"other")
    site.write("a/b/3")
    with Tree(site.root) as tree:
        cache = StateDirectory(site.config.state_dir).cache
        command = [sys.executable, "-I", "-m", "siteferry.verify", str(tree.descriptor), str(cache)]
        answer = subprocess.run(
            [*command, *Range(b"b", None).arguments()], pass_fds=[tree.descriptor], capture_output=True, check=True
        )
    assert answer.stdout == b"\0\0\0\x03z\0y" + b"\0\0\0\x01\0"


def test_a_helper_tells_that_it_gets_on(
    site: World, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A helper says so with each directory when the time has come, and whoever waits for its answer passes that on."""
    monkeypatch.setattr("siteferry.verify.PROGRESS_SECONDS", 0.0)
    told: list[bytes] = []
    cache = StateDirectory(site.config.state_dir).cache
    with Tree(site.root, lambda: told.append(b"")) as tree:
        main([str(tree.descriptor), str(cache), *Range(b"b", None).arguments()])
        answer = capfdbinary.readouterr().out
        assert answer == 2 * (b"\0\0\0\x02\0\0") + b"\0\0\0\x01\0"
        command = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({answer!r})"]
        monkeypatch.setattr("siteferry.verify._command", lambda *_: command)
        with closing(sqlite3.connect(cache)) as db, _Helper(tree, cache, Range(b"b", None)) as helper:
            assert list(helper.answer(db)) == []
    assert len(told) == 2


def test_a_helper_that_dies_costs_time_alone(site: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process that cannot do its work would have looked at is looked at here."""
    site.write("z/y/1", b"other")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert changed(site) == [b"z/y"]


def test_a_directory_that_is_away_for_a_cycle_is_published_again(site: World) -> None:
    """A directory that went and came back just as it was is found, though its parent looks as before."""
    (site.root / "a").rename(site.base / "away")
    site.settle()
    assert not any(key.startswith("a/") for key in site.index.files())
    (site.base / "away").rename(site.root / "a")
    site.settle()
    site.check()


def test_a_directory_of_another_encoding_takes_its_place(site: World) -> None:
    """A directory renamed to other bytes of the same key is compared anew, with all beneath it."""
    top = os.fsencode(site.root)
    site.descriptor = replace(site.descriptor, encoding="auto", table="of another site")
    site.index._head = None
    site.index._items.clear()
    os.makedirs(top + b"/\xe9/in")
    Path(os.fsdecode(top + b"/\xe9/in/f")).write_bytes(b"one")
    site.settle()
    os.rename(top + b"/\xe9", top + b"/\xc3\xa9")
    Path(os.fsdecode(top + b"/\xc3\xa9/in/f")).write_bytes(b"another")
    site.settle()
    assert site.objects.current["\xe9/in/f"].body == b"another"
    Path(os.fsdecode(top + b"/\xc3\xa9/in/g")).write_bytes(b"new")
    site.settle()
    site.check()


@pytest.mark.parametrize("seed", range(25))
def test_any_edits_are_found(site: World, seed: int) -> None:
    """Whatever users do between two runs, the tree is published as it is."""
    chance = random.Random(seed)

    def somewhere() -> Path:
        found = [site.root, *(path for path in site.root.rglob("*") if path.is_dir())]
        return chance.choice(found)

    for step in range(6):
        for _ in range(chance.randint(1, 4)):
            at = somewhere()
            action = chance.choice(["write", "write", "remove", "rename", "swap", "make"])
            if action == "write":
                target = at / chance.choice("123")
                if not target.is_dir():
                    target.write_bytes(chance.randbytes(2))
            elif action == "make":
                target = at / chance.choice("abcz")
                if not target.exists():
                    target.mkdir()
            elif at == site.root:
                continue
            elif action == "remove":
                shutil.rmtree(at)
            elif action == "rename":
                target = somewhere() / chance.choice("abcz")
                if not target.exists() and at not in target.parents:
                    at.rename(target)
            else:
                shutil.rmtree(at)
                at.write_bytes(b"a file now")
        site.write("kept", b"%d" % step)
        site.settle()
        site.check()
