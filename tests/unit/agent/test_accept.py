"""A run died between a PUT and its commit, and the file cannot be put again: the next run is closed all the same."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from siteferry.accept import NEVER, ROUNDS
from siteferry.checksum import crc64nvme
from siteferry.tree import FileState
from siteferry_contract.descriptor import HeaderRule
from siteferry_contract.job import EVERYTHING
from siteferry_contract.objects import parse_mtime
from tests.unit.agent.fakes import DAY, Crash, StoredObject, World, descriptor

KEY = "docs/f"
PUT = b"as it was put"


@dataclass
class Case:
    """Why a file cannot be put now, and how that ends."""

    world: World
    monkeypatch: pytest.MonkeyPatch

    def target(self) -> Path:
        """Give the file's own place, where a symlink leads."""
        return (self.world.root / KEY).resolve()

    def begin(self, why: str) -> None:
        """Make it so."""
        getattr(self, why.replace(" ", "_"))()

    def end(self, why: str, body: bytes) -> None:
        """Have the file whole, settled, of a size that is published, and in sight."""
        self.monkeypatch.undo()
        self.monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: False)
        self.target().write_bytes(body)
        self.world.clock.time = max(self.world.clock.time, self.target().stat().st_ctime) + DAY

    def too_large(self) -> None:
        """The file has grown."""
        with self.target().open("ab") as file:
            file.truncate(51 * 10**9)

    def fragment(self) -> None:
        """Another upload was cut short."""
        self.target().write_bytes(b"part")
        state = FileState.of(self.target().stat())
        with self.world.agent() as site:
            site.parts.cache.add_fragment(KEY.encode(), state.text())

    def out_of_sight(self) -> None:
        """It is a symlink, and where that leads cannot be looked at."""
        real = os.open

        def opening(path: bytes, flags: int, *arguments: int, dir_fd: int | None = None) -> int:
            if flags & os.O_PATH and path == b"target":
                raise PermissionError(13, "Permission denied")
            return real(path, flags, *arguments, dir_fd=dir_fd)

        self.monkeypatch.setattr(os, "open", opening)

    def being_written(self) -> None:
        """It is uploaded again just now."""
        self.target().write_bytes(b"half")
        self.monkeypatch.setattr("siteferry.settle.Settling.left", lambda *_: 5.0)

    def unreadable(self) -> None:
        """Its disk has an error."""
        real, inode = os.pread, self.target().stat().st_ino

        def pread(at: int, size: int, offset: int) -> bytes:
            if os.fstat(at).st_ino == inode:
                raise OSError(5, "Input/output error")
            return real(at, size, offset)

        self.monkeypatch.setattr("siteferry.tree.os.pread", pread)


CASES = ("too large", "fragment", "out of sight", "being written", "unreadable")


@pytest.fixture
def case(world: World, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A published site; its file to be, a followed symlink, is not in it."""
    world.config = replace(world.config, symlinks="inside")
    world.write("docs/other")
    world.write("page.html", b"page")
    world.settle()
    world.clock.time += DAY
    return Case(world, monkeypatch)


def write(world: World, why: str, body: bytes) -> None:
    """Write the file, in the case of a symlink what it leads to."""
    if why == "out of sight":
        world.write("target", body)
        if not (world.root / KEY).is_symlink():
            (world.root / KEY).symlink_to("../target")
    else:
        world.write(KEY, body)


@contextmanager
def dying_at(world: World, request: str, reached: Callable[[], bool]) -> Iterator[None]:
    """Have the agent die before a request, once something is so."""

    def before(name: str) -> None:
        if name == request and reached():
            world.faults.dead = True
            raise Crash(name)

    world.faults.before = before
    with pytest.raises(Crash):
        yield
    world.faults.before = lambda _: None
    world.faults.revive()


def die(world: World, key: str = KEY, body: bytes = PUT) -> None:
    """Make a run that dies between the PUT of a key and its commit."""
    with dying_at(world, "commit", lambda: key in world.objects.current and world.objects.current[key].body == body):
        world.sync()
    head = world.index.head
    assert head is not None
    assert head.open is not None
    world.queues.jobs.clear()  # all that the run sent was done before it died


def is_closed(world: World) -> bool:
    """Tell whether no run is open."""
    head = world.index.head
    return head is not None and head.open is None


@pytest.mark.parametrize("had", ["nothing", "another"])
@pytest.mark.parametrize("why", CASES)
def test_a_run_is_closed_over_a_file_that_cannot_be_put(case: Case, why: str, had: str) -> None:
    """Index, duplicates and caches are as the bucket is; the file is published as soon as it may be."""
    world = case.world
    if had == "another":
        write(world, why, b"first")
        world.settle()
        world.clock.time += DAY
    write(world, why, PUT)
    die(world)
    entry = world.index.files().get(KEY)
    assert (entry.size if entry else None) == (5 if had == "another" else None)
    world.visit_everything()
    case.begin(why)

    assert world.sync().adopted == 1
    assert is_closed(world)
    entry = world.index.files()[KEY]
    stored = world.objects.current[KEY]
    assert stored.body == PUT
    mtime = parse_mtime(stored.headers["x-amz-meta-mtime"])
    assert entry == (KEY.rpartition("/")[2], len(PUT), mtime, NEVER, crc64nvme(PUT), None)
    assert KEY in world.jobs("copy")
    assert "docs" in world.jobs("page")
    assert world.queues.jobs[-1].names == (EVERYTHING,)
    world.handle()
    assert world.objects.current["mirror/docs/f"].body == PUT
    assert set(world.cached) <= {""}

    # It is no recovery any more, and nothing is done again and again.
    world.faults.revive()
    world.sync()
    assert "list" not in world.faults.log
    assert is_closed(world)
    assert world.objects.current[KEY].body == PUT
    world.visit_everything()

    case.end(why, b"whole at last")
    world.settle()
    assert world.objects.current[KEY].body == b"whole at last"
    world.check()


@pytest.mark.parametrize("why", CASES)
def test_a_file_that_is_the_same_in_the_end_is_published_without_an_upload(case: Case, why: str) -> None:
    """Its bytes are in the bucket; the index learns its times."""
    world = case.world
    write(world, why, PUT)
    die(world)
    case.begin(why)
    world.sync()
    case.end(why, PUT)
    assert world.sync().uploaded == 0
    assert world.index.files()[KEY].ctime_ns != NEVER
    world.settle()
    world.check()


def test_what_is_deleted_meanwhile_is_deleted(case: Case) -> None:
    """What was entered without its file goes when that goes."""
    world = case.world
    write(world, "too large", PUT)
    die(world)
    case.begin("too large")
    world.sync()
    case.target().unlink()
    world.clock.time = (world.root / "docs").stat().st_ctime + DAY
    world.settle()
    assert KEY not in world.objects.current
    world.check()


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_recovery_that_dies_anywhere_is_recovered(world: World, case: Case, *, after_effect: bool) -> None:
    """At whichever of its requests: in the end the run is closed, and index and bucket agree."""
    at = 0
    while True:
        world.write(KEY, PUT + b"%d" % at)
        die(world, body=PUT + b"%d" % at)
        case.begin("too large")
        died = world.sync_and_die(at, after_effect=after_effect)
        world.clock.time += world.config.lease
        world.sync()
        assert is_closed(world)
        assert world.index.files()[KEY].crc64nvme == crc64nvme(world.objects.current[KEY].body)
        world.handle()
        assert world.objects.current["mirror/docs/f"].body == world.objects.current[KEY].body
        at += 1
        if not died:
            break
    assert at > 10


def test_a_deleted_key_whose_late_delete_comes_before_the_commit_is_not_lost(case: Case) -> None:
    """The look after the commit finds it missing: a delete job goes out, and the run is closed once it is back."""
    world = case.world
    world.write(KEY, b"first")
    world.settle()
    (world.root / KEY).unlink()
    world.clock.time += DAY
    world.settle()
    world.write(KEY, PUT)
    die(world)
    case.begin("too large")
    stored: list[StoredObject] = []

    def before(name: str) -> None:
        if name == "commit" and KEY in world.objects.current:
            stored.append(world.objects.current.pop(KEY))  # a late handler's marker

    world.faults.before = before
    world.sync()
    world.faults.before = lambda _: None
    assert not is_closed(world)
    assert KEY in world.index.files()
    assert world.jobs("delete") == [KEY]
    world.objects.current[KEY] = stored[0]  # what the delete handler does over a live key
    world.queues.jobs.clear()
    world.sync()
    assert is_closed(world)
    world.handle()
    case.end("too large", b"whole at last")
    world.settle()
    world.check()


def test_an_object_that_always_changes_leaves_the_run_open(case: Case) -> None:
    """Whoever writes there has to end first; it is not tried for ever."""
    world = case.world
    world.write(KEY, PUT)
    die(world)
    case.begin("too large")
    count = 0

    def before(name: str) -> None:
        nonlocal count
        if name == "commit":
            count += 1
            world.objects.current[KEY] = StoredObject(b"%d" % count, {}, world.clock.now())

    world.faults.before = before
    world.sync()
    world.faults.before = lambda _: None
    assert count == ROUNDS
    assert not is_closed(world)
    world.sync()
    assert is_closed(world)
    assert world.index.files()[KEY].mtime_ns == int(world.clock.now() * 1e9), "no agent put it"


def test_an_object_that_is_gone_by_then_is_no_difference(case: Case) -> None:
    """Neither index nor bucket has it: the run is closed, and nothing is entered."""
    world = case.world
    world.write(KEY, PUT)
    die(world)
    case.begin("too large")
    listed = False

    def before(name: str) -> None:
        nonlocal listed
        if name == "replace_head" and listed:
            world.objects.current.pop(KEY, None)
        listed = listed or name == "list"

    world.faults.before = before
    world.sync()
    assert is_closed(world)
    assert KEY not in world.index.files()


def test_what_was_put_under_other_header_rules_gets_the_present_ones(case: Case) -> None:
    """It was in no index when these were planned: it is looked at in the run after."""
    world = case.world
    world.write(KEY, PUT)
    die(world)
    case.begin("too large")
    world.descriptor = descriptor(header_rules=(HeaderRule("*", {"cache-control": "no-cache"}),))
    world.sync()
    assert is_closed(world)
    assert "cache-control" not in world.objects.current[KEY].headers
    assert world.sync().headers == 1
    assert world.objects.current[KEY].headers["cache-control"] == "no-cache"
    world.sync()
    head = world.index.head
    assert head is not None
    assert head.applied is not None
    assert len(head.applied.header_rules) == 1


def test_the_raw_name_is_the_one_that_was_put(world: World) -> None:
    """Of an `auto` site: the object says it."""
    world.descriptor = descriptor(encoding="auto")
    target = Path(os.fsdecode(os.path.join(os.fsencode(world.root), b"caf\xe9")))
    target.write_bytes(PUT)
    die(world, "café")
    with target.open("ab") as file:
        file.truncate(51 * 10**9)
    world.sync()
    assert is_closed(world)
    assert world.index.files()["café"].raw == b"caf\xe9"
    target.write_bytes(b"whole")
    world.settle()
    world.check()


def test_deletes_that_are_held_keep_no_run_open(case: Case) -> None:
    """A file whose overwrite was put and not committed is gone, and its delete is kept back: nothing else is left."""
    world = case.world
    world.write(KEY, b"first")
    world.settle()
    world.clock.time += DAY
    world.write(KEY, PUT)
    die(world)
    world.config = replace(world.config, delete=False)
    case.target().unlink()
    world.clock.time = (world.root / "docs").stat().st_ctime + DAY
    summary = world.sync()
    assert is_closed(world)
    assert summary.kept == 1
    assert world.index.files()[KEY].crc64nvme == crc64nvme(world.objects.current[KEY].body)
    world.config = replace(world.config, delete=True)
    world.settle()
    assert KEY not in world.objects.current
    world.check()
