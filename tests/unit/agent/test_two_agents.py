"""The lease between two agents of a site."""

from dataclasses import replace

import pytest

from siteferry.errors import (
    BusyError,
    LeaseLostError,
)
from siteferry.head import LeaseRecord
from tests.unit.agent.fakes import World


def test_other_agent_is_named(world: World) -> None:
    """A site that another agent is at work on is left alone, and the other one is named."""
    world.write("a")
    world.settle()
    head = world.index.head
    assert head is not None
    world.index.head = replace(head, lease=LeaseRecord("elsewhere:/var/lib/siteferry/www", "token", 1, 60.0))

    def beat() -> None:
        now = world.index.head
        assert now is not None
        assert now.lease is not None
        world.index.head = replace(now, lease=replace(now.lease, beat=now.lease.beat + 1))

    world.clock.on_wait = beat
    world.write("b")
    with pytest.raises(BusyError, match="elsewhere"):
        world.sync()
    assert "b" not in world.objects.current


def test_lease_taken_by_another_stops_the_run(world: World) -> None:
    """If another agent takes the lease in the middle of a run, nothing more is committed."""
    world.write("a")

    def take(name: str) -> None:
        if name == "commit":
            head = world.index.head
            assert head is not None
            world.index.head = replace(head, lease=LeaseRecord("other", "token", 7, 60.0))

    world.faults.before = take
    with pytest.raises(LeaseLostError):
        world.sync()
    assert world.index.files() == {}
    assert world.queues.jobs == []


def test_run_of_another_agent_makes_a_plan_out_of_date(world: World) -> None:
    """An agent whose plan is older than the last run plans anew after it has the lease."""
    world.write("a", b"1")
    world.settle()
    first = world.config
    world.write("b", b"22")
    done: list[bool] = []

    def other_agent(name: str) -> None:
        if name == "replace_head" and not done:
            done.append(True)
            world.config = replace(first, state_dir=world.base / "other")
            world.sync()
            world.config = first

    world.faults.before = other_agent
    with pytest.raises(BusyError):
        world.sync()
    world.settle()
    world.check()


def test_lease_is_given_up_after_a_run(world: World) -> None:
    """A run that is over leaves no lease."""
    world.write("a")
    world.sync()
    head = world.index.head
    assert head is not None
    assert (head.lease, head.open, head.run) == (None, None, 1)
