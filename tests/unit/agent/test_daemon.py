"""The daemon's loop: what makes it wait longer, and what makes it begin anew."""

from dataclasses import dataclass, replace
from typing import Any, cast

from siteferry.app import OpenSite
from siteferry.clock import HostClock
from siteferry.daemon import DESCRIPTOR_SECONDS, MOST_BACK_OFF, audit_due, pause, run_daemon
from siteferry.errors import AccessError, IndexDamagedError
from siteferry.report import PlainReporter
from siteferry.state import StateDirectory
from siteferry_contract.descriptor import Descriptor
from tests.unit.agent.fakes import DAY, World


class FastClock(HostClock):
    """A clock whose waits pass at once."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def elapsed(self) -> float:
        """Give what was waited for."""
        return self.passed

    def wait(self, seconds: float) -> bool:
        """Let the time pass, and stop after an hour."""
        self.passed += seconds
        if self.passed > 3600:
            self.stop.set()
        return self.stop.is_set()


@dataclass
class Source:
    """A descriptor that is always the same."""

    descriptor: Descriptor

    def read(self) -> Descriptor:
        """Give it."""
        return self.descriptor


def run(world: World, later: Descriptor) -> tuple[bool, float]:
    """Run a daemon whose source has another descriptor later; gives its answer and the seconds that passed."""
    clock = FastClock()
    with world.agent() as site:
        opened = OpenSite(site, world.descriptor, cast("Any", Source(later)), StateDirectory(world.config.state_dir))
        again = run_daemon(opened, world.config, PlainReporter(quiet=True, idle=False), clock)
        return again is not None, clock.passed


def test_a_changed_descriptor_begins_anew(world: World) -> None:
    """A descriptor that changed ends the loop within five minutes, to be opened again with it."""
    world.write("a")
    again, passed = run(world, replace(world.descriptor, directory_pages=not world.descriptor.directory_pages))
    assert again
    assert passed <= DESCRIPTOR_SECONDS + world.config.interval


def test_the_same_descriptor_goes_on(world: World) -> None:
    """With the same descriptor the loop goes on until it is stopped."""
    world.write("a")
    again, passed = run(world, world.descriptor)
    assert not again
    assert passed > 3600


def test_failures_lengthen_the_pause_up_to_a_bound() -> None:
    """The pause doubles with each failure up to five minutes, and is never shorter than the interval."""
    assert [pause(60, n) for n in range(4)] == [60, 120, 240, 300]
    assert pause(1, 10_000) == MOST_BACK_OFF
    assert pause(600, 5) == 600


def test_audits_are_due_by_days_and_by_request(world: World) -> None:
    """The first audit is due some days after a daemon's first start, the next as long after it; a request at once."""
    state = StateDirectory(world.config.state_dir)
    config = replace(world.config, audit_days=7)
    assert audit_due(state, config, 0.0) is None
    assert state.audited_at() is None
    assert audit_due(state, config, 7 * DAY - 1) is None
    assert audit_due(state, config, 7 * DAY) is False
    state.set_audited(7 * DAY, complete=True)
    assert audit_due(state, config, 8 * DAY) is None
    assert audit_due(state, replace(config, audit_days=0), 99 * DAY) is None
    state.request_audit(deep=True)
    assert audit_due(state, replace(config, audit_days=0), 8 * DAY) is True
    state.set_audited(8 * DAY, complete=False)
    assert state.audited_at() == 7 * DAY
    assert audit_due(state, config, 8 * DAY) is None


def test_a_daemon_audits_when_asked_and_goes_on(world: World) -> None:
    """What was asked for is mended by a cycle, and an audit that fails does not keep files from being published."""
    world.write("a")
    world.settle()
    del world.objects.current["a"]
    state = StateDirectory(world.config.state_dir)
    state.request_audit(deep=False)
    world.faults.answer("list", AccessError("listing is denied", "allow it"))
    world.write("b")
    run(world, world.descriptor)
    assert set(world.objects.published()) == {"a", "b"}
    assert state.requested_audit() is None


def test_a_daemon_outlives_a_table_that_is_not_there(world: World) -> None:
    """Its cycle fails and says so; once there is a table again it goes on, as after an outage."""
    world.write("a")
    world.settle()
    world.write("b")
    world.faults.answer("commit", IndexDamagedError("the table is not there", "docs/lost-index.md"))
    run(world, world.descriptor)
    assert set(world.objects.published()) == {"a", "b"}
    assert not world.faults.errors[("commit", False)]
    assert set(world.index.files()) == {"a", "b"}
