"""The figures of a daemon, and their delivery, which never gets in its way."""

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from siteferry.app import OpenSite
from siteferry.config import Brake
from siteferry.daemon import run_daemon
from siteferry.errors import AccessError, UnavailableError
from siteferry.heartbeat import Heartbeat
from siteferry.journal import DaemonReporter
from siteferry.notify import Manager
from siteferry.plan import Totals
from siteferry.report import Summary
from siteferry.state import StateDirectory
from siteferry.tree import FileState
from siteferry.vitals import LONG_CYCLE, MOST_LEFT, Figures, Vitals
from tests.unit.agent.fakes import DAY, World
from tests.unit.agent.test_daemon import FastClock, Source


class Time:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Give it."""
        return self.now


@pytest.fixture
def time() -> Time:
    """Give the time."""
    return Time()


@pytest.fixture
def vitals(time: Time) -> Vitals:
    """Give the figures of a daemon whose first cycle found nothing to do, a minute ago."""
    vitals = Vitals(time)
    cycle(vitals)
    time.now += 60
    return vitals


def cycle(vitals: Vitals, **summary: Any) -> None:
    """Make a cycle that comes to this."""
    vitals.looking()
    vitals.finished(Summary(**summary))


def state(changed: float) -> FileState:
    """Give the state of a file whose ctime is this."""
    return FileState(1, 1, 0, round(changed * 1e9))


# ---- the age of the oldest change


def test_a_site_that_is_current_has_no_oldest_change(vitals: Vitals, time: Time) -> None:
    """However long nothing changes, the age is 0."""
    assert vitals.figures() == Figures(0, 0, 0, 0, 0.0)
    time.now += 86_400
    cycle(vitals)
    assert vitals.figures().oldest_seconds == 0


def test_until_the_first_cycle_the_age_counts_from_the_start(time: Time) -> None:
    """What is not known is not taken for published; nor is a stop of a day held against the site."""
    vitals = Vitals(time, looked=time.now - 86_400)
    time.now += 7
    assert vitals.figures().oldest_seconds == 7
    cycle(vitals)
    assert vitals.figures().oldest_seconds == 0


def test_a_planned_change_is_as_old_as_its_ctime(vitals: Vitals, time: Time) -> None:
    """While it is uploaded it ages; once the run is closed it is gone."""
    vitals.looking()
    vitals.planned(Totals(puts=3, oldest_ns=round((time.now - 20) * 1e9)))
    assert vitals.figures().oldest_seconds == pytest.approx(20)
    time.now += 100
    assert vitals.figures().oldest_seconds == pytest.approx(120)
    vitals.finished(Summary(run=1))
    assert vitals.figures().oldest_seconds == 0


@pytest.mark.parametrize(("changed", "age"), [(-3 * 365 * 86_400, 60), (+86_400, 0)])
def test_a_ctime_that_cannot_be_the_change_does_not_count(
    vitals: Vitals, time: Time, changed: float, age: float
) -> None:
    """What was renamed keeps its ctime, but the last look did not find it; a time to come is now."""
    vitals.looking()
    vitals.planned(Totals(puts=1, oldest_ns=round((time.now + changed) * 1e9)))
    assert vitals.figures().oldest_seconds == pytest.approx(age)


def test_a_hinted_look_settles_what_it_is_about_alone(vitals: Vitals, time: Time) -> None:
    """What a cycle left is over once it is published or gone; what was left elsewhere, and the gauges, stay."""
    vitals.looking()
    for path in (b"here/late", b"here/gone", b"there/late"):
        vitals.left_over(path, state(time.now - 30))
    vitals.finished(Summary(deferred=3, held=2))
    time.now += 10
    vitals.looking([b"here"])
    vitals.published(b"here/late", uploaded=True)
    vitals.finished(Summary(run=1, hinted=True))
    figures = vitals.figures()
    assert (figures.deferred, figures.held) == (3, 2)
    assert figures.oldest_seconds == pytest.approx(40)
    vitals.looking([b"there"])
    vitals.finished(Summary(hinted=True))
    assert vitals.figures().oldest_seconds == 0


def test_what_a_hinted_look_leaves_ages(vitals: Vitals, time: Time) -> None:
    """A file that it found, and could not publish, is unpublished from then on; so is all after one that failed."""
    vitals.looking([b"here"])
    vitals.left_over(b"here/new", state(time.now))
    vitals.finished(Summary(hinted=True))
    time.now += 50
    assert vitals.figures().oldest_seconds == pytest.approx(50)
    vitals.looking([b"there"])
    vitals.broken()
    assert vitals.figures().oldest_seconds == pytest.approx(110)


def test_what_changed_while_no_daemon_ran_is_as_old_as_it_is(time: Time) -> None:
    """After a stop, the last cycle of the daemon before is the limit."""
    vitals = Vitals(time, looked=time.now - 86_400)
    vitals.looking()
    vitals.planned(Totals(puts=1, oldest_ns=round((time.now - 3600) * 1e9)))
    assert vitals.figures().oldest_seconds == pytest.approx(3600)


def test_a_file_that_is_written_all_the_time_ages(vitals: Vitals, time: Time) -> None:
    """Its ctime is always new, but it has not been published since it was first deferred."""
    for _ in range(10):
        vitals.looking()
        vitals.left_over(b"log.txt", state(time.now - 1))
        vitals.finished(Summary(deferred=1))
        time.now += 60
    figures = vitals.figures()
    assert figures.deferred == 1
    assert figures.oldest_seconds == pytest.approx(601)
    cycle(vitals, run=1)
    assert vitals.figures().oldest_seconds == 0


def test_files_that_are_deferred_in_turn_do_not_age(vitals: Vitals, time: Time) -> None:
    """A busy tree always has some file being written; each is published in the next cycle."""
    for n in range(10):
        vitals.looking()
        vitals.left_over(b"%d" % n, state(time.now - 1))
        vitals.finished(Summary(run=n, deferred=1))
        time.now += 60
        assert vitals.figures().oldest_seconds == pytest.approx(61)


def test_more_than_can_be_followed_is_not_forgotten(vitals: Vitals, time: Time) -> None:
    """Beyond the limit the oldest of the rest counts."""
    vitals.looking()
    for n in range(MOST_LEFT):
        vitals.left_over(b"%d" % n, state(time.now))
    vitals.left_over(b"one more", state(time.now - 30))
    vitals.finished(Summary(deferred=MOST_LEFT + 1))
    assert vitals.figures().oldest_seconds == pytest.approx(30)


def test_while_cycles_fail_the_age_grows_from_the_last_look(vitals: Vitals, time: Time) -> None:
    """Nothing is known then but that the site was current at the last look."""
    for _ in range(30):
        vitals.looking()
        vitals.broken()
        time.now += 60
    assert vitals.figures().oldest_seconds == pytest.approx(31 * 60)
    cycle(vitals)
    assert vitals.figures().oldest_seconds == 0


def test_a_run_that_is_left_open_or_stopped_is_no_success(vitals: Vitals, time: Time) -> None:
    """What it had planned goes on ageing until a run is closed."""
    for summary in (Summary(run=1, closed=False), Summary(run=2, stopped=True)):
        vitals.looking()
        vitals.planned(Totals(puts=1, oldest_ns=round(time.now * 1e9)))
        vitals.finished(summary)
        time.now += 60
    assert vitals.figures().oldest_seconds == pytest.approx(120)


def test_a_cycle_that_hangs_is_seen(vitals: Vitals, time: Time) -> None:
    """Nobody knows what changed since a cycle began that has no end."""
    vitals.looking()
    time.now += LONG_CYCLE
    assert vitals.figures().oldest_seconds == 0
    time.now += 1
    assert vitals.figures().oldest_seconds == LONG_CYCLE + 1


# ---- counts


def test_counts_are_told_once_and_lost_never(vitals: Vitals) -> None:
    """What was counted stays until a heartbeat with it is delivered; what came meanwhile is in the next one."""
    vitals.looking()
    vitals.published(b"a", uploaded=True)
    vitals.published(b"a", uploaded=False)
    vitals.failed(b"a")
    first = vitals.figures()
    assert (first.published, first.failed) == (1, 1)
    vitals.published(b"a", uploaded=True)
    assert vitals.figures().published == 2
    vitals.delivered(first)
    assert (vitals.figures().published, vitals.figures().failed) == (1, 0)


def test_held_deletes_of_an_audit_stay_until_an_audit_releases_them(vitals: Vitals) -> None:
    """Cycles between two audits know nothing of them; a hold without a file counts as one."""
    cycle(vitals, held=3, hold_reason="too many", differences=3)
    cycle(vitals)
    assert vitals.figures().held == 3
    cycle(vitals, differences=0)
    assert vitals.figures().held == 0
    cycle(vitals, hold_reason="the root is empty")
    assert vitals.figures().held == 1


# ---- the heartbeat


class Cloud:
    """Takes heartbeats, or does not."""

    def __init__(self) -> None:
        self.taken: list[Figures] = []
        self.error: Exception | None = None
        self.beats = threading.Semaphore(0)

    def put(self, figures: Figures) -> None:
        """Take one."""
        self.beats.release()
        if self.error:
            raise self.error
        self.taken.append(figures)


def beating(vitals: Vitals, cloud: Cloud, held: Callable[[], bool] = lambda: True) -> Heartbeat:
    """Give a heartbeat that is quick."""
    return Heartbeat(lambda: cloud, vitals, held, period=0.001)


def test_a_heart_beats_as_long_as_the_site_is_held(vitals: Vitals) -> None:
    """Before the lease is there it does not, and after the end it does not."""
    cloud, asked, held = Cloud(), threading.Semaphore(0), threading.Event()

    def is_held() -> bool:
        asked.release()
        return held.is_set()

    with beating(vitals, cloud, is_held):
        for _ in range(4):
            assert asked.acquire(timeout=30)
        assert not cloud.taken
        held.set()
        for _ in range(3):
            assert cloud.beats.acquire(timeout=30)
    count = len(cloud.taken)
    assert count >= 2
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


@pytest.mark.parametrize("error", [UnavailableError("no answer"), AccessError("not allowed", "deploy"), OSError("x")])
def test_what_cannot_be_delivered_is_told_once_and_comes_later(vitals: Vitals, error: Exception) -> None:
    """One note when it begins, whatever is wrong, one when it is over; what was counted meanwhile is delivered then."""
    out, cloud = io.StringIO(), Cloud()
    reporter = DaemonReporter("www", Manager(), out, vitals=vitals)
    heart, cloud.error = beating(vitals, cloud), error
    for _ in range(3):
        vitals.published(b"a", uploaded=True)
        heart.beat()
        reporter.looking()
    cloud.error = None
    heart.beat()
    heart.beat()
    reporter.looking()
    first, second = out.getvalue().splitlines()
    assert first.startswith(f"heartbeats cannot be delivered, and publishing goes on: {error}")
    assert second == "heartbeats are delivered again"
    assert [figures.published for figures in cloud.taken] == [3, 0]


def test_a_heartbeat_that_hangs_keeps_no_daemon_from_its_end(vitals: Vitals) -> None:
    """The end waits a moment for it, and no longer; nor do the figures wait for it."""
    begun, let_go = threading.Event(), threading.Event()

    class Hanging(Cloud):
        def put(self, figures: Figures) -> None:
            begun.set()
            let_go.wait()

    with beating(vitals, Hanging()):
        assert begun.wait(30)
        vitals.published(b"a", uploaded=True)
        cycle(vitals)
    assert not let_go.is_set()
    let_go.set()


# ---- a daemon's


def daemon(world: World, then: Callable[[], None] = lambda: None) -> list[Figures]:
    """Run a daemon for an hour; gives its figures after each cycle. `then` happens after the first."""
    seen: list[Figures] = []
    vitals = Vitals(world.clock.now)

    class Clock(FastClock):
        def now(self) -> float:
            return world.clock.now()

        def wait(self, seconds: float) -> bool:
            seen.append(vitals.figures())
            if len(seen) == 1:
                then()
            world.clock.time += seconds
            return super().wait(seconds)

    reporter = DaemonReporter("www", Manager(), io.StringIO(), vitals=vitals)
    with world.agent(reporter) as site:
        source = cast("Any", Source(world.descriptor))
        opened = OpenSite(site, world.descriptor, source, StateDirectory(world.config.state_dir))
        run_daemon(opened, world.config, reporter, Clock())
    return seen


def test_a_daemon_counts_what_it_publishes(world: World) -> None:
    """After its run all is published, and the age is 0."""
    world.write("a")
    world.write("sub/b.html")
    seen = daemon(world)
    assert (seen[0].published, seen[0].failed, seen[0].oldest_seconds) == (2, 0, 0)
    assert seen[-1] == seen[0]


def test_a_daemon_tells_what_it_defers(world: World) -> None:
    """A file that is being written is deferred, and has an age."""
    world.config = replace(world.config, settle=10 * DAY)
    world.write("being written")
    seen = daemon(world)
    assert (seen[0].deferred, seen[0].held) == (1, 0)
    assert (seen[-1].deferred, seen[-1].held) == (1, 0)
    assert seen[-1].oldest_seconds == pytest.approx(3600, abs=61)


def test_a_daemon_tells_what_it_holds(world: World) -> None:
    """Deletes beyond the brake are held, and have no age: a person is to decide."""
    for n in range(30):
        world.write(f"{n}")
    world.settle()
    for n in range(1, 30):
        (world.root / f"{n}").unlink()
    world.config = replace(world.config, brake=Brake())
    seen = daemon(world)
    assert (seen[0].deferred, seen[0].held, seen[0].oldest_seconds) == (0, 29, 0)
    assert (seen[-1].deferred, seen[-1].held, seen[-1].oldest_seconds) == (0, 29, 0)


def test_a_daemon_that_cannot_reach_aws_tells_an_age(world: World) -> None:
    """While cycles fail the site is out of date; nothing is counted as failed that was not tried."""

    def lose_aws() -> None:
        world.write("b")
        for _ in range(200):
            world.faults.answer("replace_head", UnavailableError("no answer"))

    world.write("a")
    seen = daemon(world, lose_aws)
    assert (seen[0].published, seen[0].oldest_seconds) == (1, 0)
    assert (seen[-1].published, seen[-1].failed) == (1, 0)
    assert seen[-1].oldest_seconds > 3000
    assert world.faults.errors["replace_head", False]
