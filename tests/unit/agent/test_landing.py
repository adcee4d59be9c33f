"""How restored files reach the disk: many by one sync, and none has its name before."""

import errno
import itertools
import os
from pathlib import Path

import pytest

from siteferry.errors import AccessError, ThrottledError
from siteferry.restore import landing
from siteferry.restore.destination import Destination
from siteferry.restore.new_file import NewFile
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document
from siteferry.restore.restore import Asked, Restorer, Source
from siteferry.restore.scope import Scope
from siteferry.restore.target import Target
from tests.descriptors import descriptors_beneath
from tests.unit.agent.archive import MemoryArchive, Restored, restore
from tests.unit.agent.fakes import Crash, World
from tests.unit.agent.test_restore import tree_of, write

FILES = 20


@pytest.fixture
def published(world: World) -> World:
    """A site with more files than wait for the disk at a time, and a large one."""
    for n in range(FILES):
        write(world.root, b"%d/%d.html" % (n % 3, n), b"body %d" % n)
    write(world.root, b"large.bin", bytes(70_000))
    world.settle()
    return world


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few files wait together."""
    monkeypatch.setattr(landing, "MOST", 3)


def _restore(world: World, dest: Path) -> Restored:
    return restore(world, dest, Asked(Source(), Scope()))


@pytest.mark.usefixtures("few")
def test_a_file_has_its_name_only_after_a_sync(published: World, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last byte of a file and its name the disk has been waited for, and at the end for all names."""
    events: list[tuple[str, int]] = []
    for owner, name in ((Destination, "sync"), (NewFile, "sync"), (NewFile, "dress"), (NewFile, "appear")):
        really = getattr(owner, name)

        def noted(self: object, *arguments: object, really=really, what=f"{owner.__name__} {name}") -> None:  # type: ignore[no-untyped-def]
            really(self, *arguments)
            events.append((what, id(self)))

        monkeypatch.setattr(owner, name, noted)
    _restore(published, dest)
    assert tree_of(dest) == tree_of(published.root)
    dressed: set[int] = set()
    synced: set[int] = set()
    named = 0
    for what, file in events:
        if what == "NewFile dress":
            dressed.add(file)
        elif what == "NewFile sync":
            synced.add(file)
        elif what == "Destination sync":
            synced |= dressed
        else:
            assert file in synced
            named += 1
            dressed.discard(file)
            synced.discard(file)
    assert named == FILES + 1
    assert events[-1][0] == "Destination sync"
    assert len([what for what, _ in events if what == "Destination sync"]) < FILES / 2


@pytest.mark.usefixtures("few")
def test_a_file_that_is_not_on_disk_gets_no_name(published: World, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a sync of many fails each is synced alone, and those that are on disk are restored."""
    calls = iter(range(1000))
    really = NewFile.sync

    def sync(_: Destination) -> None:
        if next(calls):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def sync_one(file: NewFile) -> None:
        if os.fstat(file.descriptor).st_size == len(b"body 7"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(file)

    monkeypatch.setattr(Destination, "sync", sync)
    monkeypatch.setattr(NewFile, "sync", sync_one)
    found = _restore(published, dest)
    one_digit = {f"{n % 3}/{n}.html": "cannot be written: Input/output error" for n in range(10)}
    assert found.failures == one_digit | {".": "new names may not be on disk: Input/output error"}
    assert {path for path, entry in tree_of(dest).items() if entry} == {
        b"large.bin", *(b"%d/%d.html" % (n % 3, n) for n in range(10, FILES))
    }  # fmt: skip


def test_where_no_sync_of_all_is_to_be_had_each_file_has_its_own(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox without syncfs, or another file system beneath: it takes longer."""
    synced: list[int] = []
    really = os.fsync

    def no_sync(_: Destination) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        really(descriptor)

    monkeypatch.setattr(Destination, "sync", no_sync)
    monkeypatch.setattr("siteferry.restore.new_file.os.fsync", fsync)
    found = _restore(published, dest)
    assert (found.failures, tree_of(dest)) == ({}, tree_of(published.root))
    assert len(synced) >= FILES + 1 + 4  # and each directory


@pytest.mark.parametrize("error", [AccessError("refused", "do something"), Crash()])
def test_no_descriptor_is_left_open(published: World, dest: Path, error: BaseException) -> None:
    """Neither of files nor of directories, when it breaks off while some wait for the disk."""
    with published.agent() as site:
        gets = itertools.count()

        def meanwhile(request: str) -> None:
            if request == "archive get" and next(gets) == FILES // 2:
                raise error

        published.faults.before = meanwhile
        restorer = Restorer(site.parts, MemoryArchive(published.objects, published.faults))
        with Target(dest) as target, RestorePlan() as plan:
            restorer.plan(Asked(Source(), Scope()), target, plan)
            with pytest.raises(type(error)):
                restorer.carry_out(plan, target, Document())
        assert descriptors_beneath(dest) == []


@pytest.mark.parametrize("request_", ["archive get", "archive chunk"])
def test_what_is_throttled_is_read_again_from_its_beginning(published: World, dest: Path, request_: str) -> None:
    """No byte comes twice."""
    published.faults.answer(request_, ThrottledError("SlowDown"))
    found = _restore(published, dest)
    assert (found.failures, tree_of(dest)) == ({}, tree_of(published.root))
