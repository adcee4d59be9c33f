"""What an operator sees of deletes that are held, and what an approval is good for."""

import argparse
import shutil
from dataclasses import replace
from typing import Any

import pytest

from siteferry.cache import Cache
from siteferry.commands.host import approve
from siteferry.config import Brake
from siteferry.errors import UsageError
from siteferry.report import Summary
from siteferry.state import APPROVAL_SECONDS, StateDirectory
from siteferry.status import describe, read, record
from tests.unit.agent.fakes import World
from tests.unit.agent.test_restore import tree_of, write
from tests.unit.agent.test_time_machine import Undoer


@pytest.fixture
def held(world: World) -> World:
    """A site whose directory `d` of three files is gone, with a brake that holds that."""
    world.config = replace(world.config, brake=Brake(files=1, percent=10))
    for name in ("keep", "d/1", "d/2", "d/3"):
        world.write(name)
    world.settle()
    shutil.move(world.root / "d", world.root.parent / "away")
    assert world.sync().held == 3
    return world


def test_an_approval_that_was_not_needed_is_gone(held: World) -> None:
    """Files that came back before the approved deletes were made are held again when they go once more."""
    state = StateDirectory(held.config.state_dir)
    state.approve(3)
    shutil.move(held.root.parent / "away", held.root / "d")
    held.settle()
    assert state.approved_deletes() is None
    shutil.rmtree(held.root / "d")
    assert held.sync().held == 3


def test_an_approval_lapses(held: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval waits for a day and no longer."""
    state = StateDirectory(held.config.state_dir)
    state.approve(3)
    assert state.approved_deletes() == 3
    import time  # noqa: PLC0415

    now = time.time()
    monkeypatch.setattr("siteferry.state.time.time", lambda: now + APPROVAL_SECONDS + 1)
    assert state.approved_deletes() is None


def test_an_approval_is_good_for_the_count_that_was_shown(held: World) -> None:
    """More deletes than were approved are held; as many are made, once."""
    state = StateDirectory(held.config.state_dir)
    state.approve(2)
    assert held.sync().held == 3
    state.approve(3)
    assert held.sync().deleted == 3
    assert state.approved_deletes() is None


def test_a_dry_run_lists_what_is_held(held: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever is asked to approve deletes can see each of them, and looking uses no approval up."""
    StateDirectory(held.config.state_dir).approve(1)
    with held.agent() as site:
        site.dry_run(as_json=False)
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("held ")] == [
        f"held    d/{n} (directory gone)" for n in (1, 2, 3)
    ]
    assert StateDirectory(held.config.state_dir).approved_deletes() == 1


def test_what_cannot_be_published_is_forgotten_with_its_directory(world: World) -> None:
    """A name that cannot be published is no longer reported once its directory is gone."""
    world.write("keep")
    (world.root / "d").mkdir()
    (world.root / "d" / "link").symlink_to("/etc/passwd")
    world.settle()
    assert world.sync().problems == 1
    shutil.rmtree(world.root / "d")
    world.settle()
    assert world.sync().problems == 0


def test_a_cache_is_copied_while_its_owner_works(world: World, tmp_path: Any) -> None:
    """A dry run beside a daemon works on a copy that has what the daemon's cache has."""
    world.write("a")
    world.settle()
    original = Cache(world.config.state_dir / "cache.sqlite", read_only=True)
    original.copy(tmp_path / "copy.sqlite")
    copy = Cache(tmp_path / "copy.sqlite")
    assert copy.version() == original.version()
    assert copy.file_count() == original.file_count() == 1
    original.close()
    copy.close()


def test_a_slow_loss_is_held_too(world: World) -> None:
    """Deletes count for a day across runs: what a slow `rm -rf` takes from a site in many cycles is held as well."""
    world.config = replace(world.config, brake=Brake(files=3, percent=10))
    for n in range(12):
        world.write(f"{n}")
    world.settle()
    deleted = []
    for n in range(8):
        (world.root / f"{n}").unlink()
        deleted.append(world.sync().deleted)
    assert sum(deleted) == 3
    assert world.sync().held == 5
    world.clock.time += 25 * 3600
    assert world.sync().held == 5
    (world.root / "3").write_bytes(b"3")
    (world.root / "4").write_bytes(b"4")
    world.settle()
    assert world.sync().held == 0


def test_looks_at_files_that_are_being_written_do_not_pile_up(world: World) -> None:
    """What was remembered of a file until it settled is forgotten after a day."""
    world.write("a")
    world.settle()
    with world.agent() as site:
        site.parts.cache.first_look(b"a", "state", world.clock.now())
        site.parts.cache.first_look(b"b", "state", world.clock.now() - 2 * 86_400)
        site.sync()
        rows = site.parts.cache._db.execute("SELECT path FROM look").fetchall()
    assert rows == [(b"a",)]


def test_what_an_audit_held_can_be_approved_after_other_runs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Ordinary runs know nothing of it; it is shown and can be approved until an audit holds nothing."""
    state = StateDirectory(world.config.state_dir)
    config = world.base / "siteferry.toml"
    config.write_text(f'site = "www"\nroot = "{world.root}"\nstate_dir = "{world.config.state_dir}"\n')
    record(state, world.config, summary=Summary(differences=6, held=6, hold_reason="six are gone"))
    record(state, world.config, summary=Summary())
    assert "HELD        by the last audit: six are gone" in describe(read(state, world.config))
    assert approve(argparse.Namespace(config=config)) == 0
    assert "up to 6 files" in capsys.readouterr().out
    assert (state.approved_deletes(to_audit=True), state.approved_deletes(to_audit=False)) == (6, None)
    assert state.requested_audit() is False
    record(state, world.config, summary=Summary(differences=0))
    with pytest.raises(UsageError):
        approve(argparse.Namespace(config=config))


def test_only_an_undo_since_a_time_brings_back_what_is_held(world: World) -> None:
    """Deletes that were held belong to no run, so the undo of one leaves these files missing."""
    undoer = Undoer(world)
    world.config = replace(world.config, brake=Brake(files=1, percent=10))
    before, then = tree_of(world.root), world.clock.time

    def wreck() -> None:
        shutil.rmtree(world.root / "docs")
        write(world.root, b"a.html", b"wrecked")

    run = undoer.run(wreck)
    assert world.sync().held == 2
    undoer.undo(run)
    assert tree_of(world.root) == {b"a.html": before[b"a.html"]}
    undoer.undo(since=then)
    assert tree_of(world.root) == before
    world.settle()
    assert not world.sync().held
