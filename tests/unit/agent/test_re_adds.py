"""Rule 5: what is added where a delete once was is looked at again, after its commit."""

import pytest

from siteferry.errors import (
    UnavailableError,
)
from tests.unit.agent.fakes import World, sent_jobs


def with_delete(world: World) -> None:
    """Publish a site whose leaf has had a delete."""
    world.write("a", b"first")
    world.write("b")
    world.settle()
    (world.root / "a").unlink()
    world.settle()


def test_re_add_counts_as_modified(world: World) -> None:
    """An added name in a leaf that had a delete is invalidated; in another leaf it is not."""
    with_delete(world)
    world.write("a", b"again")
    world.write("new/c")
    world.sync()
    assert sent_jobs(world)["invalidate"] == ["a"]
    world.check()


def test_re_add_that_a_late_delete_hit_is_put_again(world: World) -> None:
    """A late delete job takes a re-added object before its commit: it is put and committed again."""
    with_delete(world)
    world.write("a", b"again")
    hits = iter((True, True, False))

    def late_delete(name: str) -> None:
        if name == "commit" and next(hits, False):
            world.objects.current.pop("a", None)

    world.faults.before = late_delete
    summary = world.sync()
    assert (summary.closed, summary.failed) == (True, 0)
    world.handle()
    world.check()


def test_re_add_that_is_gone_again_is_deleted(world: World) -> None:
    """A re-added object is taken, and its file gone: its delete is committed and its job sent."""
    with_delete(world)
    world.write("a", b"again")

    def late_delete(name: str) -> None:
        if name == "commit":
            world.objects.current.pop("a", None)
            (world.root / "a").unlink(missing_ok=True)

    world.faults.before = late_delete
    world.sync()
    assert "a" in world.jobs("delete")
    world.handle()
    world.check()


def test_re_add_that_is_always_hit_leaves_the_run_open(world: World) -> None:
    """If a re-added object never stays, the run ends with an error and stays open."""
    with_delete(world)
    world.write("a", b"again")

    def late_delete(name: str) -> None:
        if name == "commit":
            world.objects.current.pop("a", None)

    world.faults.before = late_delete
    with pytest.raises(UnavailableError, match="re-added"):
        world.sync()
    head = world.index.head
    assert head is not None
    assert head.open is not None
    world.faults.before = lambda _: None
    world.settle()
    world.check()
