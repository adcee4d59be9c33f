"""`symlinks = "inside"`: what is followed, what is not, and that every change is seen."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.diff import Excludes
from siteferry.links import MOST_ENTERED, MOST_NAMES, _Way
from siteferry.state import StateDirectory
from siteferry.tree import Tree
from siteferry.verify import changed_directories
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import World, descriptor
from tests.unit.agent.hostile import watching
from tests.unit.agent.test_explain import Distribution, Operator, Queues, judged


@pytest.fixture
def inside(world: World) -> World:
    """A site whose symlinks to files beneath the root are followed."""
    world.config = replace(world.config, symlinks="inside", exclude=(".ht*", "private/*"))
    world.write("d/file.txt", b"file")
    world.settle()
    return world


def link(world: World, path: str, target: str | Path) -> None:
    """Make a symlink, or another one in its place."""
    at = world.root / path
    at.unlink(missing_ok=True)
    at.symlink_to(target)


def body(world: World, key: str) -> bytes | None:
    """Give what is live at a key, after a run."""
    world.settle()
    found = world.objects.published().get(key)
    return found.body if found else None


def problems(world: World) -> dict[str, str]:
    """Give what is not published, and why."""
    world.settle()
    with world.agent() as site:
        return {os.fsdecode(problem.path): problem.reason for problem in site.parts.cache.problems()}


def test_by_default_none_is_followed(world: World) -> None:
    """A symlink to a file right beside it is reported, and not published."""
    world.write("file")
    link(world, "link", "file")
    assert body(world, "link") is None
    assert problems(world) == {"link": "it is a symlink"}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("link", "d/file.txt"),
        ("link", "./d//./file.txt"),
        ("d/link", "file.txt"),
        ("d/link", "../d/file.txt"),
        ("d/link", "../d/../d/file.txt"),
    ],
)
def test_a_link_to_a_file_is_published_as_the_file(inside: World, path: str, target: str) -> None:
    """With its target's bytes, under its own key."""
    link(inside, path, target)
    assert body(inside, path) == b"file"
    inside.check()
    assert inside.sync().run is None


def test_an_absolute_target_beneath_the_root_is_followed(inside: World) -> None:
    """As the root is configured, and as it really is."""
    link(inside, "link", inside.root / "d" / "file.txt")
    (inside.base / "alias").symlink_to(inside.root)
    inside.config = replace(inside.config, root=inside.base / "alias")
    link(inside, "other", inside.base / "alias" / "d" / "file.txt")
    assert (body(inside, "link"), body(inside, "other")) == (b"file", b"file")


def test_links_to_links_and_links_on_the_way_are_followed(inside: World) -> None:
    """A link may lead to another, and through a directory that is one."""
    link(inside, "one", "two")
    link(inside, "two", "directory/file.txt")
    link(inside, "directory", "d")
    assert body(inside, "one") == b"file"
    assert problems(inside) == {"directory": "it is a symlink to a directory"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../outside/secret", "out of the root"),
        ("d/../../outside/secret", "out of the root"),
        ("../root/d/file.txt", "out of the root"),
        ("/etc/hostname", "out of the root"),
        ("/", "out of the root"),
        ("d", "to a directory"),
        (".", "to a directory"),
        ("d/", "to a directory"),
        ("missing", "to nothing"),
        ("d/missing/file", "to nothing"),
        ("d/file.txt/beneath", "to nothing"),
        ("x" * 300, "to nothing"),
        ("fifo", "to what is neither a file nor a directory"),
        ("link", "in a circle"),
        ("./" * MOST_NAMES + "d/file.txt", "through more than"),
        (".htpasswd", "to what is excluded"),
        ("private/key.txt", "to what is excluded"),
        (".htdirectory/page.html", "to what is excluded"),
        ("d/.htlink", "to what is excluded"),
    ],
)
def test_what_is_not_followed_is_reported_with_its_reason(inside: World, target: str, reason: str) -> None:
    """Out of the root, to directories, in circles, to what is excluded under whatever name: reported, not published."""
    (inside.base / "outside").mkdir()
    (inside.base / "outside" / "secret").write_bytes(b"secret")
    os.mkfifo(inside.root / "fifo")
    for path in (".htpasswd", "private/key.txt", ".htdirectory/page.html"):
        inside.write(path, b"secret")
    (inside.root / "d" / ".htlink").symlink_to("file.txt")
    link(inside, "link", target)
    assert reason in problems(inside)["link"]
    assert set(inside.objects.published()) == {"d/file.txt"}
    assert inside.sync().run is None


def test_a_link_costs_no_more_than_so_many_directories(inside: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it goes up and down: each link has a bound, wherever it is; within it even the deepest are followed."""
    top = "/".join(["d"] * 60)
    inside.write(f"{top}/file", b"deep")
    link(inside, f"{top}/near", "../d/file")
    link(inside, f"{top}/up", "../" * 60 + "d/file.txt")
    link(inside, f"{top}/far", "../d/" * 50 + "file")
    entered: list[object] = []
    real = _Way.enter

    def enter(way: _Way, name: bytes) -> None:
        entered.append(way)
        real(way, name)

    monkeypatch.setattr(_Way, "enter", enter)
    assert list(problems(inside)) == [f"{top}/far"]
    assert inside.objects.current[f"{top}/near"].body == b"deep"
    assert inside.objects.current[f"{top}/up"].body == b"file"
    assert max(entered.count(way) for way in set(entered)) <= MOST_ENTERED + 1


@pytest.mark.parametrize("processes", [1, 2])
def test_a_change_of_the_target_is_seen_where_the_link_is(
    inside: World, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """A cycle that only looks for changes finds the directory of the link too, in processes of its own as well."""
    monkeypatch.setattr("siteferry.verify.NAMES_PER_PROCESS", 6)
    for n in range(20):
        inside.write(f"far/{n}/away")
    (inside.root / "z").mkdir()
    link(inside, "z/link", "../d/file.txt")
    inside.settle()

    def changed() -> list[bytes]:
        with Tree(inside.root, follows=_excludes(inside)) as tree:
            cache = StateDirectory(inside.config.state_dir).cache
            return list(changed_directories(tree, cache, processes=processes))

    assert changed() == []
    inside.write("d/file.txt", b"more")
    assert changed() == [b"d", b"z"]
    assert body(inside, "z/link") == b"more"
    inside.check()


def _excludes(world: World) -> Excludes:
    with world.agent() as site:
        return site.parts.naming.excludes


def test_another_target_of_the_same_size_and_time_is_seen(inside: World) -> None:
    """Whether the link is another, or what it leads through was renamed."""
    for path, text in (("one/f", b"1"), ("two/f", b"2")):
        inside.write(path, text)
        os.utime(inside.root / path, (5, 5))
    link(inside, "link", "one/f")
    assert body(inside, "link") == b"1"
    link(inside, "link", "two/f")
    assert body(inside, "link") == b"2"
    for old, new in (("two", "three"), ("one", "two")):
        (inside.root / old).rename(inside.root / new)
    assert body(inside, "link") == b"1"


def test_a_link_is_published_once_its_target_is_settled(inside: World) -> None:
    """A target that is still being written is not published under the link's name either."""
    link(inside, "link", "new")
    inside.write("new", b"half")
    inside.clock.time = os.stat(inside.root / "new").st_ctime
    summary = inside.sync()
    assert (summary.deferred, summary.uploaded) == (2, 0)
    inside.clock.time += 10
    assert body(inside, "link") == b"half"


def test_a_link_whose_target_went_is_deleted(inside: World) -> None:
    """Its key is dead, as a file's that is gone."""
    link(inside, "link", "target")
    inside.write("target")
    assert body(inside, "link") == b"x"
    (inside.root / "target").unlink()
    assert body(inside, "link") == b"x", "it may be uploaded again"
    inside.clock.wait(inside.config.settle)
    assert body(inside, "link") is None


def test_a_link_whose_target_cannot_be_looked_at_stays_published(
    inside: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not known is not gone: the key stays, and the name is reported."""
    link(inside, "link", "d/file.txt")
    assert body(inside, "link") == b"file"
    real = os.open

    def opening(path: bytes, flags: int, *arguments: int, dir_fd: int | None = None) -> int:
        if flags & os.O_PATH and path == b"file.txt":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    assert problems(inside) == {"link": "it is a symlink whose target cannot be looked at"}
    assert body(inside, "link") == b"file"
    monkeypatch.undo()
    monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: False)
    assert problems(inside) == {}


@pytest.mark.parametrize("step", ["read", "enter"])
def test_what_was_looked_at_and_swapped_before_it_is_opened_is_not_followed(
    inside: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At the last moment, the file or the directory before it becomes a symlink to a secret."""
    link(inside, "link", "way/secret")
    inside.write("way/secret", b"no secret")
    with watching(inside, monkeypatch) as watched:
        swapped, target = ("way/secret", "secret") if step == "read" else ("way", ".")
        real = getattr(_Way, step)

        def swap(way: _Way, name: bytes, *arguments: os.stat_result) -> object:
            if name == os.fsencode(swapped).rpartition(b"/")[2] and not (inside.root / swapped).is_symlink():
                (inside.root / swapped).rename(inside.base / "away")
                (inside.root / swapped).symlink_to(watched.outside / target)
            return real(way, name, *arguments)

        monkeypatch.setattr(_Way, step, swap)
        inside.sync()
        assert (inside.root / swapped).is_symlink()
        inside.sync()
        watched.assert_nothing_leaked()
        assert "link" not in inside.index.files()


def test_switching_it_on_and_off_takes_effect_without_a_change_of_the_tree(inside: World) -> None:
    """The tree is compared again: links are published, and taken back."""
    link(inside, "link", "d/file.txt")
    for word, expected in (("skip", None), ("inside", b"file"), ("skip", None)):
        inside.config = replace(inside.config, symlinks=word)
        body(inside, "link")
        inside.clock.wait(inside.config.settle)
        assert body(inside, "link") == expected


def test_a_large_target_is_published_in_parts_and_a_re_add_is_checked(inside: World) -> None:
    """Uploads in parts, and the check of what was deleted before, go through the link as well."""
    large = os.urandom(9 * 1024 * 1024)
    inside.write("large", large)
    for _ in range(2):
        link(inside, "link", "large")
        assert body(inside, "link") == large
        (inside.root / "link").unlink()
        assert body(inside, "link") is None


def test_what_the_bucket_lost_of_a_link_is_put_again(inside: World) -> None:
    """By an audit that mends, and where an object that is not there is to get other headers."""
    link(inside, "link", "d/file.txt")
    assert body(inside, "link") == b"file"
    del inside.objects.current["link"]
    with inside.agent() as site:
        assert site.repair(deep=True).differences == 1
    inside.settle()
    inside.check()
    del inside.objects.current["link"]
    inside.descriptor = descriptor(header_rules=(HeaderRule("*", {"cache-control": "no-store"}),))
    inside.settle()
    inside.check()
    assert inside.objects.current["link"].headers["cache-control"] == "no-store"


def test_explain_tells_where_a_link_leads(inside: World) -> None:
    """One that is followed is a file; of another the reason is told."""
    link(inside, "good", "d/file.txt")
    link(inside, "bad", "/etc/hostname")
    inside.settle()
    operator = Operator(inside, Queues(), Distribution(inside))
    assert judged(operator.asks("good")) == ("live", "")
    assert operator.asks("bad").reason == "bad is a symlink out of the root"
