"""What the agent tells the invalidate handler: the tree's shape, and since which run all objects carry cache tags."""

import pytest

from siteferry.errors import RefusedError, UnavailableError
from siteferry_contract.cache_tags import HEADER, tags_of
from siteferry_contract.shape import Shape
from tests.unit.agent.fakes import StoredObject, World, descriptor


def shape(world: World) -> Shape:
    """Give the shape that was last written."""
    assert world.index.shape is not None
    return world.index.shape


def tagged(world: World) -> set[str]:
    """Give the keys of published objects that carry their tags."""
    prefix = world.descriptor.prefix
    return {
        key for key, found in world.objects.published().items() if found.headers.get(HEADER) == tags_of(key, prefix)
    }


def test_the_shape_has_what_the_index_and_the_lambdas_have(world: World) -> None:
    """Files and a generated page a directory, under the destination of a copy rule too, summed up to the root."""
    for path in ("a", "docs/b", "docs/c", "docs/sub/d"):
        world.write(path)
    world.settle()
    found = shape(world)
    assert (found.objects("docs/sub"), found.objects("docs"), found.objects("mirror/docs")) == (2, 5, 5)
    assert found.total == 2 + 5 + 5
    assert found.tagged_run is None


def test_the_shape_is_written_again_only_when_it_is_far_off(world: World) -> None:
    """A tenth more or fewer files are no reason for another request in every run."""
    for n in range(30):
        world.write(f"d/{n}")
    world.settle()
    for last, written in ((32, 0), (36, 1), (37, 0)):
        for n in range(last):
            world.write(f"d/{n}", b"again")
        world.faults.log.clear()
        world.sync()
        assert world.faults.log.count("write_shape") == written, last
    assert shape(world).total == 36 + 2


def test_a_shape_that_cannot_be_written_harms_nothing(world: World) -> None:
    """The run is closed all the same, and the next one writes it."""
    world.write("a")
    world.faults.answer("write_shape", UnavailableError("no answer"))
    assert world.sync().closed
    assert world.index.shape is None
    world.write("b")
    world.settle()
    assert shape(world).total == 2 + 1


def test_a_site_that_begins_with_tags_has_them_from_its_first_run(world: World) -> None:
    """Every object is put with its tags, and what the first run sends is still invalidated by paths."""
    world.descriptor = descriptor(invalidation="tags")
    for path in ("a", "docs/b"):
        world.write(path)
    world.settle()
    assert {"a", "docs/b"} <= tagged(world)
    assert shape(world).tagged_run == 1


def test_tags_come_and_go_with_the_setting(world: World) -> None:
    """Objects get them by a copy and lose them so; that all have them is said afterwards, and taken back before."""
    for path in ("a", "docs/b"):
        world.write(path)
    world.settle()
    world.descriptor = descriptor(invalidation="tags")
    summary = world.sync()
    assert (summary.uploaded, summary.headers) == (0, 2)
    assert sorted(set(world.jobs("page"))) == ["", "docs"]  # pages get theirs from their handler
    assert shape(world).tagged_run == summary.run
    world.handle()
    since = summary.run
    world.write("c")
    world.settle()
    assert shape(world).tagged_run == since
    world.descriptor = descriptor()
    world.faults.log.clear()
    world.faults.before = lambda request: told.append((request, shape(world).tagged_run))
    told: list[tuple[str, int | None]] = []
    world.sync()
    assert {run for request, run in told if request in ("replace_headers", "send")} == {None}
    assert shape(world).tagged_run is None
    assert not tagged(world)


def test_while_an_object_lacks_its_tags_nothing_is_said_of_them(world: World) -> None:
    """One that could not be copied keeps all from being invalidated by tags."""
    world.write("a")
    world.settle()
    world.descriptor = descriptor(invalidation="tags")
    for request in ("replace_headers", "put"):
        world.faults.answer(request, RefusedError("no"))
    world.sync()
    assert shape(world).tagged_run is None
    world.settle()
    assert shape(world).tagged_run is not None


def test_adopted_objects_get_their_tags_by_the_next_sync(world: World) -> None:
    """An adoption does not touch them, so it cannot say that all carry tags."""
    world.descriptor = descriptor(invalidation="tags")
    world.write("a")
    world.objects.current["a"] = StoredObject(b"x", {}, world.clock.now())
    with world.agent() as site:
        assert site.adopt(0).adopted == 1
    assert shape(world).tagged_run is None
    assert world.sync().headers == 1
    assert "a" in tagged(world)
    assert shape(world).tagged_run is not None


@pytest.mark.parametrize("invalidation", ["paths", "tags"])
def test_changed_copy_rules_take_tags_back(world: World, invalidation: str) -> None:
    """The duplicates of a rule that is gone carry the tags of their originals: what is cached of them needs paths."""
    world.descriptor = descriptor(invalidation=invalidation)
    world.write("docs/a")
    world.settle()
    before = shape(world).tagged_run
    world.descriptor = descriptor(invalidation=invalidation, copy_rules=())
    summary = world.sync()
    assert shape(world).tagged_run == (summary.run if invalidation == "tags" else None)
    assert before == (1 if invalidation == "tags" else None)
