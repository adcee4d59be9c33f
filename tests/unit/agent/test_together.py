"""What waits, what is held and what is hinted at, at the same time."""

import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siteferry.compare import Comparer, Comparison
from siteferry.diff import Chosen
from siteferry.hints import LogSource
from siteferry.journal import DaemonReporter
from siteferry.notify import Manager
from siteferry.plan import Plan
from siteferry.report import Summary
from siteferry.scan import DirectoryScan
from siteferry.state import StateDirectory
from siteferry.status import record
from siteferry.tree import FileState
from siteferry.vitals import Vitals
from tests.unit.agent.fakes import World
from tests.unit.agent.test_fragments import LINE


@pytest.fixture
def present(world: World) -> Callable[[], None]:
    """Give a function that makes the world's time the host's, by which ctimes are made."""

    def present() -> None:
        world.clock.time = time.time()

    return present


@contextmanager
def other_disk(world: World, directory: str) -> Iterator[None]:
    """Have a directory known by another device than it is on."""
    with world.agent() as site:
        query = "UPDATE snapshot SET device = device + 1, digest = x'00' WHERE directory = ?"
        site.parts.cache._db.execute(query, (directory,))
    yield


def test_another_file_system_holds_deletes_that_waited_first(world: World, present: Callable[[], None]) -> None:
    """A fresh disk in a directory's place: its deletes wait for it to settle, and are held all the same then."""
    for name in ("keep", "d/a", "d/b"):
        world.write(name)
    world.settle()
    with other_disk(world, "d"):
        (world.root / "d/a").unlink()
    present()
    assert world.sync().deferred == 1
    world.clock.wait(world.config.settle + 1)
    summary = world.sync()
    assert (summary.deleted, summary.held) == (0, 1)


def test_a_directory_may_go_and_come_again_more_than_once_a_day(world: World, present: Callable[[], None]) -> None:
    """Each time it is missing it waits anew: the look at an earlier absence is forgotten when it is back."""
    world.write("d/a.txt")
    world.write("keep")
    world.settle()
    for turn in (1, 2):
        shutil.rmtree(world.root / "d")
        present()
        summary = world.sync()
        assert (summary.deferred, summary.deleted) == (1, 0), turn
        world.write("d/a.txt", b"%d" % turn)
        present()
        world.clock.wait(world.config.settle + 1)
        assert world.sync().uploaded == 1
        with world.agent() as site:
            site.parts.cache._db.execute("UPDATE look SET first = first - 3600")  # an hour goes by


def test_a_directory_whose_place_a_file_took_fails_nothing_while_it_waits(
    world: World, present: Callable[[], None]
) -> None:
    """It is no longer looked at as a directory until its end is made."""
    world.write("d/a.txt")
    world.write("keep")
    world.settle()
    shutil.rmtree(world.root / "d")
    (world.root / "d").write_bytes(b"now a file")
    present()
    summary = world.sync()
    assert (summary.failed, summary.deleted) == (0, 0)
    world.clock.wait(world.config.settle + 1)
    world.settle()
    world.check()


def test_a_link_waits_for_its_target(world: World, present: Callable[[], None]) -> None:
    """A followed symlink whose target is deleted goes no sooner than the target: it may be uploaded again."""
    world.config = replace(world.config, symlinks="inside", settle=1)
    world.write("b/x.html", b"x")
    (world.root / "a").mkdir()
    (world.root / "a/current.html").symlink_to("../b/x.html")
    world.settle()
    assert "a/current.html" in world.objects.published()
    present()
    os.utime(world.root / "b")
    (world.root / "b/x.html").unlink()
    world.clock.time = (world.root / "b").stat().st_ctime
    summary = world.sync()
    assert (summary.deferred, summary.deleted) == (2, 0)


def test_what_goes_after_its_parent_was_compared_is_looked_at_when_it_is_back(
    world: World, present: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that was away for a moment in the middle of a scan is found again by the next one."""
    world.write("index.txt", b"1")
    world.write("d/a.txt", b"old")
    world.settle()
    world.write("index.txt", b"22")
    present()
    world.clock.wait(world.config.settle + 1)
    compare: Any = Comparer._compare

    def rename_after(self: Comparer, scan: DirectoryScan, plan: Plan, result: Comparison) -> Chosen:
        chosen: Chosen = compare(self, scan, plan, result)
        if not scan.path and (world.root / "d").exists():
            (world.root / "d").rename(world.base / "away")
        return chosen

    with monkeypatch.context() as patched:
        patched.setattr(Comparer, "_compare", rename_after)
        world.sync()
    (world.base / "away").rename(world.root / "d")
    world.write("d/a.txt", b"changed!")
    present()
    world.clock.wait(10 * world.config.settle)
    world.sync()
    assert world.objects.current["d/a.txt"].body == b"changed!"


def test_a_busy_directory_loses_names_even_if_settling_takes_hours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks at what is missing are remembered for as long as it may take."""
    world.config = replace(world.config, settle=20_000)
    for name in ("d/a", "d/b"):
        world.write(name)
    world.clock.time = time.time() + 200_000
    world.settle()
    (world.root / "d/a").unlink()
    # Others go on changing the directory: its ctime is always new.
    ctime = property(lambda scan: round((world.clock.now() - 60) * 1e9) if scan.path == b"d" else 0, lambda *_: None)
    monkeypatch.setattr(DirectoryScan, "ctime_ns", ctime)
    deleted = 0
    for _ in range(48):
        world.clock.wait(3600)
        deleted += world.sync().deleted
    assert deleted == 1


def hear(world: World, *lines: bytes) -> None:
    """Have a log say something, and the agent hear all of it."""
    (world.base / "log").touch()
    with world.agent() as site:
        source = LogSource(world.base / "log", world.root, site.parts.cache)
        with (world.base / "log").open("ab") as log:
            log.writelines(lines)
        source.poll()
        while source.is_behind():
            source.poll()
        source.close()


def test_however_many_uploads_are_cut_at_once_no_fragment_is_published(world: World) -> None:
    """As when the network fails."""
    for n in range(40):
        world.write(f"u{n}/keep")
    world.settle()
    for n in range(40):
        world.write(f"u{n}/big.zip", b"part")
    hear(world, *[LINE % (4, b"/u%d/big.zip" % n, b"i") for n in range(40)])
    summary = world.sync()
    assert (summary.uploaded, summary.deferred) == (0, 40)


def test_a_user_with_a_nul_in_a_log_is_nobody(world: World) -> None:
    """It is no path, and ends nothing."""
    world.write("a/b/f")
    world.settle()
    hear(world, b"Mon Nov  2 09:05:01 2026 1 192.0.2.7 1 /f b _ i a a\0b ftp 0 * i\n")
    assert world.sync().run is None


def test_fragments_that_are_gone_are_forgotten(world: World) -> None:
    """What users uploaded, cut short and removed leaves nothing behind; nor is a delete that waits called cut short."""
    world.write("k")
    world.write("a", b"one")
    world.settle()
    for name in ("f", "a"):
        world.write(name, b"part")
        with world.agent() as site:
            site.parts.cache.add_fragment(name.encode(), FileState.of((world.root / name).stat()).text())
        assert world.sync().deferred
        (world.root / name).unlink()
    world.clock.time = (world.root).stat().st_ctime
    world.sync()
    with world.agent() as site:
        assert not site.parts.cache.has_fragments()
        assert site.parts.cache.problems() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is trusted with more than the agent")
def test_root_follows_nothing_that_the_agent_left(tmp_path: Path) -> None:
    """An operator's `sudo siteferry approve` writes to no file that a symlink in the state directory names."""
    state = StateDirectory(tmp_path / "state")
    os.chown(tmp_path / "state", 1234, 1234)
    victim = tmp_path / "shadow"
    victim.write_text("root's", "utf-8")
    (tmp_path / "state" / "approval.json.new").symlink_to(victim)
    state.approve(3)
    assert victim.read_text("utf-8") == "root's"
    assert victim.stat().st_uid == 0
    assert (tmp_path / "state" / "approval.json").stat().st_uid == 1234


def test_a_hinted_run_ends_the_progress_that_it_made(world: World) -> None:
    """A status after it shows no run that is going on."""
    state = StateDirectory(world.config.state_dir)
    state.lock()
    record(state, world.config, summary=Summary())
    begun = time.time()
    state.write_progress({"begun": begun, "run": 8})
    assert state.read_progress()
    record(state, world.config, summary=Summary(run=8, uploaded=1, hinted=True))
    assert state.read_progress() is None
    state.unlock()


def test_a_hinted_run_is_one_object_of_a_json_log() -> None:
    """As every other."""
    out = io.StringIO()
    DaemonReporter("www", Manager(), out, as_json=True).finished(Summary(run=7, uploaded=1, hinted=True))
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert (line["event"], line["site"], line["run"]) == ("finished", "www", 7)


def test_a_directory_that_cannot_be_read_ages_beside_hints() -> None:
    """A look at its parent does not tell that it is still closed, and does not end its age."""
    now = [1000.0]
    vitals = Vitals(lambda: now[0], 1000.0)
    for _ in range(60):
        vitals.looking()
        vitals.failed(b"closed")
        vitals.finished(Summary(failed=1))
        now[0] += 30
        vitals.looking([b""])
        vitals.finished(Summary(hinted=True, run=3))
        now[0] += 30
    assert vitals.figures().oldest_seconds == pytest.approx(3600)
