"""A run after one that was not finished."""

import pytest

from siteferry.errors import (
    UnavailableError,
)
from siteferry_contract.job import EVERYTHING
from tests.unit.agent.fakes import StoredObject, World, unavailable


def test_recovery_sends_jobs_again_and_invalidates_everything(world: World) -> None:
    """A recovery sends the page and copy jobs of what the run committed, and last the whole site's invalidation."""
    world.write("docs/a", b"1")
    world.settle()
    world.write("docs/a", b"22")
    for _ in range(10):
        world.faults.answer("send", unavailable())
    with pytest.raises(UnavailableError):
        world.sync()
    world.faults.errors.clear()
    world.queues.jobs.clear()
    summary = world.sync()
    assert (summary.recovered, summary.closed) == (True, True)
    assert (world.jobs("copy"), world.jobs("page")) == (["docs/a"], ["docs"])
    assert world.queues.jobs[-1].names == (EVERYTHING,)


def test_recovery_finds_what_the_bucket_lost(world: World) -> None:
    """A recovery puts what index and tree agree on, but the bucket does not have."""
    world.write("a", b"1")
    world.write("b", b"1")
    world.settle()
    world.write("a", b"22")
    assert world.sync_and_die(6, after_effect=True)
    world.objects.current.pop("b")
    world.settle()
    world.check()


def test_recovery_leaves_generated_pages_and_duplicates_alone(world: World) -> None:
    """A recovery takes neither a generated page nor a duplicate for a stray."""
    world.write("docs/a", b"1")
    world.settle()
    world.objects.current["docs/index.html"] = StoredObject(b"page", {}, world.clock.now(), generated=True)
    world.write("b", b"1")
    assert world.sync_and_die(6, after_effect=True)
    world.sync()
    assert world.jobs("delete") == []


def test_recovery_waits_for_a_whole_lease(world: World) -> None:
    """A lease with an open run, even its own, is watched for its whole length before it is taken."""
    world.write("a")
    assert world.sync_and_die(8, after_effect=True)
    begun = world.clock.now()
    world.sync()
    assert world.clock.now() - begun >= world.config.lease
