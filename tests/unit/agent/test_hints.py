"""Hints: a look at a few directories is an ordinary run over a part, and nothing that it says or does is the whole."""

import errno
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from siteferry.app import OpenSite
from siteferry.config import Brake, Hints
from siteferry.daemon import run_daemon
from siteferry.errors import UnavailableError
from siteferry.hints import MOST_DIRECTORIES, Agenda, Heard, LogSource, Source, open_sources
from siteferry.report import PlainReporter, Summary
from siteferry.state import StateDirectory
from siteferry.status import read, record
from tests.unit.agent.fakes import World
from tests.unit.agent.test_daemon import FastClock
from tests.unit.agent.test_daemon import Source as DescriptorSource

HOUR = 3600.0


def look_at(world: World, *paths: bytes) -> Summary:
    """Make a run over hinted directories."""
    with world.agent() as site:
        return site.sync(paths)


def test_only_what_is_hinted_is_looked_at(world: World) -> None:
    """Of two changes the hinted one is published, and the next full run finds the other; all is as it should be."""
    for path in ("docs/a", "other/a"):
        world.write(path)
    world.settle()
    world.write("docs/a", b"changed")
    world.write("other/a", b"changed, too")
    summary = look_at(world, b"docs")
    assert summary.hinted
    assert summary.uploaded == 1
    assert world.objects.current["docs/a"].body == b"changed"
    assert world.objects.current["other/a"].body == b"x"
    world.settle()
    world.check()


def test_new_directories_beneath_a_hinted_one_are_found(world: World) -> None:
    """What is new is published with all beneath it, and is verified by itself from then on."""
    world.write("docs/a")
    world.settle()
    world.write("docs/new/deep/a")
    assert look_at(world, b"docs").uploaded == 1
    world.write("docs/new/deep/a", b"changed")
    assert look_at(world, b"docs").run is None
    assert look_at(world, b"docs/new/deep").uploaded == 1
    world.handle()
    world.check()


def test_a_delete_and_a_moved_directory_are_seen(world: World) -> None:
    """A hint at the parent is enough for what went from it, and for what came back under another name."""
    for path in ("docs/a", "docs/b", "docs/deep/a"):
        world.write(path)
    world.settle()
    (world.root / "docs/a").unlink()
    (world.root / "docs/deep").rename(world.root / "docs/moved")
    summary = look_at(world, b"docs", b"docs/deep")
    assert (summary.uploaded, summary.deleted) == (1, 2)
    world.handle()
    world.check()
    assert world.sync().run is None


@pytest.mark.parametrize("path", [b"nowhere", b"..", b"../outside", b"docs/nowhere", b"docs/a", b"/etc", b"\xff\n"])
def test_a_hint_that_lies_costs_a_look(world: World, path: bytes) -> None:
    """What is no known directory changes nothing, and nothing is sent or asked."""
    world.write("docs/a")
    world.settle()
    (world.base / "outside").mkdir()
    with world.agent() as site:
        site.tenancy.acquire()
        world.faults.revive()
        assert site.sync([path]).run is None
        assert world.faults.log == []
    assert world.sync().run is None
    world.check()


def test_a_directory_that_went_is_no_reason_to_delete(world: World) -> None:
    """With the root unmounted, hinted directories are not there: nothing is deleted, and a full run holds all."""
    for path in ("docs/a", "docs/deep/a"):
        world.write(path)
    world.settle()
    world.root.rename(world.base / "elsewhere")
    world.root.mkdir()
    assert look_at(world, b"docs", b"docs/deep").run is None
    held = look_at(world, b"")
    assert (held.run, held.held) == (None, 2)
    assert world.sync().held == 2
    world.root.rmdir()
    (world.base / "elsewhere").rename(world.root)
    world.write("docs/deep/a", b"changed")
    assert world.sync().uploaded == 1
    world.handle()
    world.check()


def test_many_deletes_wait_for_a_full_look(world: World) -> None:
    """A part cannot tell how much is gone in all: more than may always go stays, unsaid, until a full run decides."""
    world.config = replace(world.config, brake=Brake(files=2, percent=50))
    for n in range(20):
        world.write(f"docs/{n}")
    world.settle()
    for n in range(3):
        (world.root / f"docs/{n}").unlink()
    summary = look_at(world, b"docs")
    assert summary.run is None
    assert "held" not in summary.line()
    assert world.sync().deleted == 3
    (world.root / "docs/4").unlink()
    assert look_at(world, b"docs").run is None, "with those that went within a day"
    assert world.sync().deleted == 1
    world.handle()
    world.check()


def test_nothing_of_what_is_held_goes_by_a_hint(world: World) -> None:
    """Somebody saves a file where others are missing: it is published; what a full look held stays until approved."""
    world.config = replace(world.config, brake=Brake(files=4, percent=10))
    for n in range(20):
        world.write(f"docs/{n % 2}/{n}")
    world.settle()
    for n in range(5):
        (world.root / f"docs/{n % 2}/{n}").unlink()
    with world.agent() as site:
        assert site.sync().held == 5
        (world.root / "docs/1/5").unlink()
        world.write("docs/1/new")
        hinted = site.sync([b"docs/1"])
        assert (hinted.hinted, hinted.uploaded, hinted.deleted) == (True, 1, 0)
        assert site.sync().held == 6
        site.parts.state.approve(6)
        assert site.sync().deleted == 6
        world.write("docs/1/new", b"changed")
        (world.root / "docs/1/7").unlink()
        assert site.sync([b"docs/1"]).uploaded == 1
    world.handle()


def test_an_approval_is_for_a_full_run(world: World) -> None:
    """What a person approved is neither used nor taken back by a look at a part."""
    world.config = replace(world.config, brake=Brake(files=1, percent=1))
    for n in range(5):
        world.write(f"docs/{n}")
    world.write("a")
    world.settle()
    for n in range(5):
        (world.root / f"docs/{n}").unlink()
    assert world.sync().held == 5
    StateDirectory(world.config.state_dir).approve(5)
    assert look_at(world, b"docs").deleted == 0
    world.write("a", b"changed")
    assert look_at(world, b"").uploaded == 1
    assert world.sync().deleted == 5


def test_without_a_whole_snapshot_all_is_looked_at(world: World) -> None:
    """A hint right after a loss of the cache, or other settings, is answered by a full run."""
    world.write("docs/a")
    world.write("b")
    first = look_at(world, b"docs")
    assert not first.hinted
    assert first.uploaded == 2
    world.config = replace(world.config, exclude=("*.bak",))
    assert not look_at(world, b"docs").hinted
    assert look_at(world, b"docs").hinted


def test_an_unfinished_run_is_recovered_by_a_hinted_one(world: World) -> None:
    """A run over a part that died is recovered like any, by whatever run comes next."""
    world.write("docs/a")
    world.write("b")
    world.settle()
    world.write("docs/a", b"changed")
    world.faults.answer("commit", UnavailableError("no answer"), effect=True)
    for _ in range(3):
        world.faults.answer("commit", UnavailableError("no answer"))
    world.write("b", b"changed, too")
    with pytest.raises(UnavailableError):
        look_at(world, b"docs")
    assert look_at(world, b"docs").recovered
    world.handle()
    world.check()


def test_the_status_stays_that_of_the_last_full_cycle(world: World) -> None:
    """A hinted run shows as the last change; what is deferred or held is what the last full look found."""
    world.write("docs/a")
    state = StateDirectory(world.config.state_dir)
    full = replace(world.sync(), deferred=7)
    record(state, world.config, summary=full)
    before = read(state, world.config)
    record(state, world.config, summary=look_at(world, b"docs"))
    assert read(state, world.config) == before
    world.write("docs/a", b"changed")
    record(state, world.config, summary=look_at(world, b"docs"))
    after = read(state, world.config)
    assert after["last"]["deferred"] == 7
    assert after["last"] == before["last"]
    assert after["last_run"]["uploaded"] == 1


# ---- the daemon


@dataclass
class Told:
    """A source of hints that are given at once."""

    heard: list[Heard] = field(default_factory=list)

    def refresh(self) -> None:
        """Do nothing."""

    def is_behind(self) -> bool:
        """No."""
        return False

    def poll(self) -> Heard:
        """Give the next."""
        return self.heard.pop(0) if self.heard else Heard()


class Clock(FastClock):
    """Fast, and the world's time passes with it; something happens at some time, and the end comes at another."""

    def __init__(self, world: World, end: float) -> None:
        super().__init__()
        self._world, self._end = world, end
        self.plans: list[tuple[float, Any]] = []

    def wait(self, seconds: float) -> bool:
        """Let the time pass."""
        assert seconds >= 0
        self.passed += seconds
        self._world.clock.time += seconds
        while self.plans and self.plans[0][0] <= self.passed:
            self.plans.pop(0)[1]()
        if self.passed >= self._end:
            self.stop.set()
        return self.stop.is_set()


def run(world: World, clock: Clock, sources: Sequence[Source]) -> str:
    """Run a daemon until the clock's end; gives what it said."""
    with world.agent() as site:
        source = cast("Any", DescriptorSource(world.descriptor))
        opened = OpenSite(site, world.descriptor, source, StateDirectory(world.config.state_dir))
        run_daemon(opened, world.config, PlainReporter(world.out, idle=False), clock, sources=sources)
    return world.out.getvalue()


def now(world: World, path: str) -> None:
    """Write a file whose ctime is the world's present."""
    world.write(path, b"uploaded")
    world.clock.time = (world.root / path).stat().st_ctime


def test_what_is_hinted_is_live_long_before_the_next_cycle(world: World) -> None:
    """With an hour between cycles, a file is published as soon as it has settled, and a delete made."""
    world.config = replace(world.config, interval=HOUR, settle=10)
    world.write("docs/a")
    world.write("docs/b")
    told = Told()
    clock = Clock(world, 60)

    def upload() -> None:
        now(world, "docs/a")
        (world.root / "docs/b").unlink()
        told.heard.append(Heard(at_once={b"docs"}, written={b"docs"}))

    uploaded: list[float] = []
    world.faults.before = lambda name: uploaded.append(clock.passed) if name == "put" else None
    clock.plans = [(20, upload)]
    said = run(world, clock, [told])
    assert world.objects.published()["docs/a"].body == b"uploaded"
    assert "run 2 (hinted): 1 published (8 B), 1 deleted" in said
    assert 30 <= uploaded[-1] <= 33


def test_what_was_deferred_is_looked_at_when_it_has_settled(world: World) -> None:
    """A file that is being written during a cycle needs no hint."""
    world.config = replace(world.config, interval=HOUR, settle=10)
    world.write("a")
    world.settle()
    now(world, "a")
    said = run(world, Clock(world, 30), [])
    assert "run 2 (hinted): 1 published" in said


def test_hints_without_end_leave_the_agent_time(world: World) -> None:
    """However often a directory is hinted at, there are pauses, and full cycles come when they are due."""
    world.config = replace(world.config, interval=60.0)
    world.write("a")
    looks: list[bool] = []

    class Counting(PlainReporter):
        def finished(self, summary: Summary) -> None:
            looks.append(summary.hinted)

    told = Told([Heard(at_once={b""}) for _ in range(100_000)])
    clock = Clock(world, 180)
    with world.agent() as site:
        source = cast("Any", DescriptorSource(world.descriptor))
        opened = OpenSite(site, world.descriptor, source, StateDirectory(world.config.state_dir))
        run_daemon(opened, world.config, Counting(quiet=True), clock, sources=[told])
    assert looks.count(False) == 3
    assert 150 <= looks.count(True) <= 180


def test_too_many_hints_bring_the_full_cycle_forward(world: World) -> None:
    """What cannot be told in hints is found by a look at all, without waiting for its time."""
    world.config = replace(world.config, interval=HOUR)
    world.write("a")
    told = Told()
    clock = Clock(world, 60)

    def upload() -> None:
        world.write("deep/b")
        told.heard.append(Heard(missed=True))

    clock.plans = [(20, upload)]
    run(world, clock, [told])
    assert "deep/b" in world.objects.published()


def test_a_hinted_run_that_fails_is_left_to_full_cycles(world: World) -> None:
    """Its error is recorded; hints are not followed until a full cycle went well, which recovers."""
    world.config = replace(world.config, interval=60.0)
    world.write("docs/a")
    told = Told()
    clock = Clock(world, 100)

    def upload() -> None:
        world.write("docs/a", b"changed")
        for _ in range(3):
            world.faults.answer("commit", UnavailableError("no answer"))
        told.heard += [Heard(at_once={b"docs"}) for _ in range(20)]

    clock.plans = [(20, upload)]
    said = run(world, clock, [told])
    assert "ERROR: no answer" in said
    assert "recover" not in said
    assert "no answer" in (read(StateDirectory(world.config.state_dir), world.config)["error"])
    clock = Clock(world, 100)
    assert "recovered an unfinished run" in run(world, clock, [told])
    world.handle()
    world.check()


def test_a_source_that_finds_the_cache_damaged_is_passed_over(world: World) -> None:
    """The cycle that makes the cache anew is not kept from its time."""
    world.config = replace(world.config, interval=60.0)
    world.write("a")

    class Damaged(Told):
        def refresh(self) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        def is_behind(self) -> bool:
            """No."""
            return False

        def poll(self) -> Heard:
            raise sqlite3.DatabaseError("database disk image is malformed")

    clock = Clock(world, 100)
    clock.plans = [(20, lambda: world.write("b"))]
    run(world, clock, [Damaged()])
    assert set(world.objects.published()) == {"a", "b"}


def test_hinted_looks_leave_complaints_to_full_ones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be read is told of once a cycle, however often a user makes hints at it."""
    world.write("docs/a")
    world.settle()

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    world.write("docs/a", b"changed")
    with world.agent() as site:
        site.sync()
        monkeypatch.setattr("siteferry.tree.open_directory", refuse)
        world.out.truncate(0)
        assert site.sync([b"docs"]).failed == 0
        assert "FAILED" not in world.out.getvalue()
        world.write("docs/a", b"changed again")
        assert site.sync().failed == 1
    assert "FAILED docs" in world.out.getvalue()


# ---- sources


def test_what_a_source_says_is_bounded() -> None:
    """Of more directories than are looked at between two cycles, it only says that there were more."""
    heard, agenda = Heard(), Agenda()
    for n in range(5 * MOST_DIRECTORIES):
        heard.add(b"%d" % n, written=bool(n % 2))
        agenda.add(b"%d" % n, float(n))
    assert len(heard.at_once) + len(heard.written) == MOST_DIRECTORIES
    assert heard.missed
    assert agenda.overflowed
    assert len(agenda.take(1e9)) == MOST_DIRECTORIES


def test_the_agenda_keeps_the_earliest_time() -> None:
    """A directory that is hinted at again while it waits is looked at no later for it."""
    agenda = Agenda()
    agenda.add(b"a", 10)
    agenda.add(b"a", 20)
    agenda.add(b"b", 30)
    agenda.add(b"b", 5)
    assert agenda.next() == 5
    assert agenda.take(9) == [b"b"]
    assert agenda.take(10) == [b"a"]
    assert agenda.next() == float("inf")


def test_a_log_hints_at_known_directories(world: World) -> None:
    """Uploads are to settle; a flood of lines, garbage and names from elsewhere are no more than a few looks."""
    log = world.base / "xferlog"
    world.write("docs/a")
    with world.agent() as site:
        site.sync()
        source = LogSource(log, world.root, site.parts.cache)
        line = b"Mon Nov  2 09:05:01 2026 1 192.0.2.7 1 %s b _ %s r bob ftp 0 * c\n"
        known = bytes(world.root) + b"/docs/a"
        log.write_bytes(line % (known, b"i") + line % (b"/docs/b", b"d") + b"\xff\0garbage\n" + b"x" * 1_000_000)
        heard = source.poll()
        assert heard == Heard(at_once={b"docs"}, written={b"docs"})
        with log.open("ab") as out:
            out.writelines(line % (b"/../../etc/%d" % n, b"i") for n in range(10_000))
            out.writelines(line % (b"/etc/%d" % n, b"i") for n in range(2_000))
        found: set[bytes] = set()
        for _ in range(3):
            heard = source.poll()
            assert not heard.at_once
            found |= heard.written
        assert found == {b""}
        source.close()


def test_a_log_that_takes_long_to_look_up_is_left_to_a_full_cycle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's time is not the users': what is left after a moment is only said to be more."""
    monkeypatch.setattr("siteferry.hints.RESOLVE_SECONDS", -1.0)
    with world.agent() as site:
        site.sync()
        source = LogSource(world.base / "log", world.root, site.parts.cache)
        (world.base / "log").write_bytes(b"Mon Nov  2 09:05:01 2026 1 192.0.2.7 1 /a b _ i r bob ftp 0 * c\n")
        assert source.poll() == Heard(missed=True)
        assert source.poll() == Heard()
        source.close()


def test_sources_are_what_is_configured(world: World, tmp_path: Path) -> None:
    """Logs that are not there and a tree that is not known yet are no obstacle."""
    config = replace(world.config, hints=Hints(logs=(tmp_path / "no log",)))
    with world.agent() as site, open_sources(config, site.parts.cache, lambda _: None) as sources:
        assert len(sources) == 2
        for source in sources:
            source.refresh()
            assert source.poll() == Heard()
    off = replace(world.config, hints=Hints(inotify=False))
    with world.agent() as site, open_sources(off, site.parts.cache, lambda _: None) as sources:
        assert sources == []
