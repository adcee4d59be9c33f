"""Hostile users who race the agent: a process of theirs swaps names while it scans, opens and reads.

Each of these tests was seen to fail without the protection that it is about, which its docstring names.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.agent.fakes import World
from tests.unit.agent.hostile import SECRET, Watched, mark_of, watching


@pytest.fixture
def watched(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A published site with a file beside those that are raced for, and a secret outside."""
    world.write("beside/file", b"beside")
    world.settle()
    with watching(world, monkeypatch) as found:
        yield found


def in_peace(watched: Watched, *links: Path) -> None:
    """Once the race is over, and no link is left of it, all is published as it is."""
    for path in links:
        if path.is_symlink():
            path.unlink()
            path.write_bytes(b"in peace")
    watched.world.settle()
    watched.world.check()
    watched.assert_nothing_leaked()


def test_a_file_swapped_for_a_symlink_to_a_secret_is_neither_opened_nor_published(watched: Watched) -> None:
    """Between scan and open a file becomes a symlink out of the root (O_NOFOLLOW of files)."""
    file, link = watched.root / "d" / "file", watched.outside / "link"
    watched.world.write("d/file", b"x" * len(SECRET))
    link.symlink_to(watched.outside / "secret")
    watched.race(file, link)
    in_peace(watched, file)


def test_a_directory_swapped_for_a_symlink_to_secrets_is_neither_entered_nor_published(watched: Watched) -> None:
    """During the scan, and between scan and open, a directory becomes a symlink out (O_NOFOLLOW of directories)."""
    watched.world.write("d/inner/secret", b"x" * len(SECRET))
    link = watched.outside / "link"
    link.symlink_to(watched.outside)
    watched.race(watched.root / "d" / "inner", link)
    if (watched.root / "d" / "inner").is_symlink():
        (watched.root / "d" / "inner").unlink()
    in_peace(watched)


def test_a_directory_above_swapped_for_a_symlink_is_not_passed_through(watched: Watched) -> None:
    """The same two levels up: no path is ever opened in one go (directories are opened from parent to child)."""
    watched.world.write("up/middle/inner/secret", b"x" * len(SECRET))
    watched.hide("middle/inner/secret")
    link = watched.outside / "link"
    link.symlink_to(watched.outside)
    watched.race(watched.root / "up", link)
    if (watched.root / "up").is_symlink():
        (watched.root / "up").unlink()
    in_peace(watched)


def test_a_file_swapped_for_another_is_never_published_as_the_first(watched: Watched) -> None:
    """Between scan and open a file becomes another of the same size (inode and state are checked once it is open)."""
    one, other = watched.root / "file", watched.outside / "other"
    one.write_bytes(b"1" * 1000)
    other.write_bytes(b"2" * 1000)
    os.utime(one, (1, 1))
    os.utime(other, (2, 2))

    def check() -> None:
        marks = {(body[:1], mark_of(headers)) for key, body, headers in watched.bodies if key == "file"}
        assert {body for body, _ in marks} <= {b"1", b"2"}
        assert all(float(mark) == int(body) for body, mark in marks), marks

    watched.race(one, other, check=check)
    in_peace(watched)


def test_a_file_swapped_for_a_fifo_does_not_hang_the_agent(watched: Watched) -> None:
    """Between scan and open a file becomes a FIFO that nobody writes to (O_NONBLOCK)."""
    file, fifo = watched.root / "file", watched.outside / "fifo"
    file.write_bytes(b"x")
    os.mkfifo(fifo)
    watched.race(file, fifo)
    if not file.is_file():
        file.unlink()
    in_peace(watched)


# ---- with `symlinks = "inside"`


@pytest.fixture
def following(watched: Watched) -> Watched:
    """The same, with symlinks followed."""
    watched.world.config = replace(watched.world.config, symlinks="inside")
    return watched


def published(following: Watched, link: str, target: str) -> None:
    """Make a link within the root, and see it published as its target."""
    (following.root / link).symlink_to(target)
    following.world.settle()
    assert following.world.objects.current[link].body == (following.root / link).read_bytes()


def test_a_followed_symlinks_target_swapped_for_a_symlink_out_is_not_followed(following: Watched) -> None:
    """The target of a link within the root becomes a link out of it (each name is opened without being followed)."""
    following.world.write("d/target", b"x" * len(SECRET))
    published(following, "link", "d/target")
    link = following.outside / "link"
    link.symlink_to(following.outside / "secret")
    following.race(following.root / "d" / "target", link)
    in_peace(following, following.root / "d" / "target")


def test_a_followed_symlink_swapped_for_one_that_leads_out_is_not_followed(following: Watched) -> None:
    """A link within the root becomes one out of it (absolute targets count from the root)."""
    following.world.write("d/target", b"x" * len(SECRET))
    inside, outside = following.root / "link", following.outside / "link"
    published(following, "link", "d/target")
    outside.symlink_to(following.outside / "secret")
    following.race(inside, outside)
    in_peace(following, inside)


def test_a_directory_on_a_followed_symlinks_way_swapped_for_a_symlink_out_is_not_passed(following: Watched) -> None:
    """A directory that a link leads through becomes a link out of the root (as for the target)."""
    following.world.write("d/through/secret", b"x" * len(SECRET))
    published(following, "link", "d/through/secret")
    link = following.outside / "link"
    link.symlink_to(following.outside)
    following.race(following.root / "d" / "through", link)
    if (following.root / "d" / "through").is_symlink():
        (following.root / "d" / "through").unlink()
    (following.root / "link").unlink()
    in_peace(following)


def test_dots_of_a_followed_symlink_never_lead_out_of_a_directory_that_is_moved(following: Watched) -> None:
    """The directory of a link is moved out of the root meanwhile (`..` is the way down from the root once more)."""
    following.world.write("a/secret", b"x" * len(SECRET))
    following.world.write("a/b/other", b"x")
    published(following, "a/b/link", "../secret")
    (following.outside / "b").mkdir()
    (following.outside / "b" / "link").symlink_to("../secret")
    following.race(following.root / "a" / "b", following.outside / "b")
    in_peace(following)
