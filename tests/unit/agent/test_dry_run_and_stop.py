"""Runs that change nothing, runs that are stopped, and runs without a cache."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from tests.unit.agent.fakes import World


def test_dry_run_changes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows every change with its reason, and makes no request that writes."""
    world.write("a", b"1")
    world.write("b", b"1")
    world.settle()
    world.write("a", b"22")
    (world.root / "b").unlink()
    world.write("new\n\x1b[31m.html", b"333")
    world.faults.revive()
    with world.agent() as site:
        summary = site.dry_run(as_json=False)
    assert summary.planned == 3
    assert world.faults.log == ["read_head"]
    out = capsys.readouterr().out
    assert "put     a (size, 2 B)" in out
    assert "delete  b (gone)" in out
    assert "put     new\\n\\x1b[31m.html (new, 3 B)" in out


def test_dry_run_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run's JSON is one document with changes, problems and totals."""
    world.write("a")
    world.settle()
    world.write("b", b"22")
    os.symlink("a", world.root / "link")
    with world.agent() as site:
        site.dry_run(as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["changes"] == [
        {"held": False, "action": "put", "reason": "new", "key": "b", "path": "b", "size": 2}
    ]
    assert document["problems"] == [{"path": "link", "reason": "it is a symlink"}]
    assert document["totals"]["puts"] == 1


@pytest.mark.parametrize("stop_at", [0, 1, 2, 3])
def test_stop_closes_cleanly_and_the_next_run_goes_on(world: World, stop_at: int) -> None:
    """A run that is asked to stop finishes what it began and closes; the next one does the rest."""
    for path in ("a.css", "b/c.css", "b/d/e.html", "f.html"):
        world.write(path)
    asked = iter(range(100))
    world.stopping = lambda: next(asked) >= stop_at
    summary = world.sync()
    assert (summary.stopped, summary.closed) == (True, True)
    world.stopping = lambda: False
    world.settle()
    world.check()


def test_a_stop_does_not_wait_for_a_large_directory(world: World) -> None:
    """What is left of a directory is not begun; the next run finds it, though the run before was closed."""
    for number in range(20):
        world.write(f"d/{number}")
    world.clock.wait(world.config.settle)
    world.stopping = lambda: len(world.objects.current) >= 3
    summary = world.sync()
    assert (summary.stopped, summary.closed, summary.uploaded) == (True, True, 3)
    world.stopping = lambda: False
    assert world.sync().uploaded == 17
    world.check()


def test_lost_cache_costs_time_alone(world: World) -> None:
    """Without its cache an agent reads the index again, puts nothing and sends nothing."""
    world.write("a")
    world.write("docs/b")
    world.settle()
    shutil.rmtree(world.config.state_dir)
    world.faults.revive()
    assert world.sync().run is None
    assert world.faults.log == ["read_head", "leaves"]


def test_cache_of_another_index_is_not_trusted(world: World) -> None:
    """A cache that another agent's run made old is read again."""
    world.write("a", b"1")
    world.settle()
    mine = world.config
    world.config = replace(mine, state_dir=world.base / "other")
    world.write("a", b"22")
    world.settle()
    world.config = mine
    world.faults.revive()
    assert world.sync().run is None
    assert "leaves" in world.faults.log
