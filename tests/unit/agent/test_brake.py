"""The brake: when deletes are held, and what lets them go."""

import shutil
from dataclasses import replace

import pytest

from siteferry.config import Brake
from siteferry.errors import (
    RootError,
)
from siteferry.state import StateDirectory
from tests.unit.agent.fakes import World


def test_brake_holds_and_an_approval_releases_once(world: World) -> None:
    """Too many deletes are held, the rest is published; an approval lets as many through, once."""
    world.config = replace(world.config, brake=Brake(files=2, percent=10.0))
    for n in range(10):
        world.write(f"d/{n}")
    world.settle()
    shutil.rmtree(world.root / "d")
    world.write("new")
    summary = world.sync()
    assert (summary.held, summary.deleted, summary.uploaded) == (10, 0, 1)
    assert "approve" in summary.hold_reason
    again = world.sync()
    assert (again.run, again.held) == (None, 10)
    state = StateDirectory(world.config.state_dir)
    state.approve(10)
    assert world.sync().deleted == 10
    assert state.approved_deletes() is None
    world.handle()
    world.check()


def test_empty_root_holds_everything(world: World) -> None:
    """An empty root, a file system that is not mounted say, deletes nothing."""
    world.write("d/a")
    world.settle()
    shutil.rmtree(world.root / "d")
    summary = world.sync()
    assert summary.run is None
    assert "mounted" in summary.hold_reason
    assert "d/a" in world.index.files()


def test_missing_root_changes_nothing(world: World) -> None:
    """A root that is not there is an error that names it."""
    world.write("a")
    world.settle()
    shutil.rmtree(world.root)
    with pytest.raises(RootError, match="root"):
        world.sync()
    assert "a" in world.index.files()


def test_deletes_can_be_switched_off(world: World) -> None:
    """Without deletes nothing is deleted, and it is not forgotten."""
    world.write("a")
    world.write("b")
    world.settle()
    (world.root / "a").unlink()
    on = world.config
    world.config = replace(on, delete=False)
    assert (world.sync().deleted, world.jobs("delete")) == (0, [])
    world.config = on
    assert world.sync().deleted == 1
