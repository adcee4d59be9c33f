"""Directories that return to an earlier look are compared again, whatever happened to them in between."""

import shutil

from siteferry.errors import RefusedError
from tests.unit.agent.fakes import World


def test_failed_neighbour_does_not_hide_a_directory_that_went(world: World) -> None:
    """A directory that returns to what it was before a run that failed in part is compared again."""
    world.write("d/a/x")
    world.settle()
    world.write("d/b/x")
    world.write("d/f")
    world.faults.answer("put", RefusedError("no"))
    assert world.sync().failed == 1
    shutil.rmtree(world.root / "d/b")
    (world.root / "d/f").unlink(missing_ok=True)
    world.settle()
    world.check()


def test_directory_that_comes_back_is_no_longer_gone(world: World) -> None:
    """A directory that comes back is published again, in the leaves that it had."""
    world.write("d/e/a")
    world.write("keep")
    world.settle()
    shutil.rmtree(world.root / "d")
    world.settle()
    world.write("d/e/a", b"again")
    world.settle()
    world.check()
    assert [leaf.gone for leaf in world.index.all().values()] == [False] * 3
