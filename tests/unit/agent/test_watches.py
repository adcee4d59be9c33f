"""The kernel's watches: each known directory has one, and what happens there is heard."""

import errno
import os
from pathlib import Path

import pytest

from siteferry.cache import Cache
from siteferry.inotify import IN_Q_OVERFLOW, Event, Inotify
from siteferry.watches import Watches
from tests.unit.agent.fakes import World


class Watched:
    """A published site whose directories are watched."""

    def __init__(self, world: World, most: int = 100) -> None:
        self.world = world
        world.sync()
        self.notes: list[str] = []
        self.cache = Cache(world.config.state_dir / "cache.sqlite", read_only=True)
        self.watches = Watches(world.root, self.cache, most, self.notes.append)
        self.watches.refresh()

    def heard(self) -> dict[bytes, bool]:
        """Give the directories in which something happened; True: only writes."""
        found: dict[bytes, bool] = {}
        for change in self.watches.changes():
            assert change is not None
            found[change.path] = found.get(change.path, True) and change.written
        return found

    def publish(self) -> None:
        """Make a full run, and watch what is known by then."""
        self.world.sync()
        self.watches.refresh()


@pytest.fixture
def watched(world: World) -> Watched:
    """A site with a few directories."""
    world.write("a")
    world.write("docs/deep/a")
    return Watched(world)


def test_changes_are_heard_by_directory(watched: Watched) -> None:
    """Writes have to settle; what came, went or moved shows at once."""
    assert watched.notes == ["hints: 3 directories are watched: what changes is looked at when it has settled"]
    assert watched.heard() == {}
    watched.world.write("docs/deep/a", b"other")
    assert watched.heard() == {b"docs/deep": True}
    (watched.world.root / "docs/deep/a").unlink()
    (watched.world.root / "new").mkdir()
    assert watched.heard() == {b"docs/deep": False, b"": False}
    os.utime(watched.world.root / "a", (1, 1))
    assert watched.heard() == {b"": True}


def test_a_new_directory_is_watched_after_the_look_that_found_it(watched: Watched) -> None:
    """It is hinted at once more, since what happened there before its watch was not heard."""
    watched.world.write("new/a")
    watched.publish()
    assert watched.heard()[b"new"] is False
    watched.world.write("new/b")
    assert watched.heard() == {b"new": True}


def test_a_moved_directory_is_watched_where_it_is(watched: Watched) -> None:
    """After a rename, and with another directory in its old place, events name the right one, beneath it too."""
    root = watched.world.root
    (root / "docs").rename(root / "moved")
    watched.world.write("docs/deep/b")
    assert b"" in watched.heard()
    watched.publish()
    watched.heard()
    watched.world.write("moved/deep/c")
    assert watched.heard() == {b"moved/deep": True}
    watched.world.write("docs/deep/c")
    assert watched.heard() == {b"docs/deep": True}


def test_a_directory_that_is_gone_is_no_longer_watched(watched: Watched) -> None:
    """Its watches end, and nothing breaks when it comes back."""
    (watched.world.root / "docs/deep/a").unlink()
    (watched.world.root / "docs/deep").rmdir()
    watched.heard()
    watched.publish()
    assert set(watched.watches._watches) == {b"", b"docs"}
    watched.world.write("docs/deep/a")
    watched.publish()
    assert set(watched.watches._watches) == {b"", b"docs", b"docs/deep"}


def test_a_symlink_in_place_of_a_directory_is_not_followed(world: World, tmp_path: Path) -> None:
    """Whatever a user puts in a directory's place: nothing outside the root is watched."""
    world.write("docs/a")
    outside = tmp_path / "outside"
    outside.mkdir()
    world.sync()
    (world.root / "docs/a").unlink()
    (world.root / "docs").rmdir()
    (world.root / "docs").symlink_to(outside)
    with world.agent() as site:
        watches = Watches(world.root, site.parts.cache, 100, lambda _: None)
        watches.refresh()
        assert set(watches._watches) == {b""}
        (outside / "secret").write_text("x", "utf-8")
        assert list(watches.changes()) == []


def test_a_tree_with_too_many_directories_is_not_watched(world: World) -> None:
    """Which is told once, and changes with the tree."""
    world.write("a/b/c")
    watched = Watched(world, most=2)
    watched.watches.refresh()
    assert watched.notes == ["hints: 3 directories, more than `hints.inotify_directories` (2): none is watched"]
    assert watched.heard() == {}


def test_a_kernel_that_refuses_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without watches to be had, the reason is told, and full cycles go on."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Inotify, "add", refuse)
    world.write("a")
    watched = Watched(world)
    assert watched.notes == [
        "hints: directories are not watched: the user's watches are used up (fs.inotify.max_user_watches)"
    ]
    assert watched.heard() == {}


def test_lost_events_are_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel's queue overflows, something happened that no hint names."""
    monkeypatch.setattr(Inotify, "events", lambda _: iter([Event(-1, IN_Q_OVERFLOW)]))
    assert list(watched.watches.changes()) == [None]
