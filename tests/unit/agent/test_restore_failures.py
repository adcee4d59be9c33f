"""What a restore or an undo does when something fails: nothing is lost by it, and what to do next is said."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siteferry.errors import DiskError, RefusedError, UsageError
from siteferry.report import PlainReporter
from siteferry.restore import wanted
from siteferry.restore.destination import Destination
from siteferry.restore.fetch import COVERED
from siteferry.restore.new_file import NewFile
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document
from siteferry.restore.restore import Asked, Restorer, Source
from siteferry.restore.scope import Scope
from siteferry.restore.target import Target
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry.runs import RunRecord, RunRecorder
from siteferry_contract.keys import Encoding
from tests.descriptors import descriptors_beneath
from tests.unit.agent.archive import MemoryArchive, restore
from tests.unit.agent.fakes import StoredObject, World
from tests.unit.agent.test_restore import tree_of, write
from tests.unit.agent.test_time_machine import Undoer, bytes_of

FILES = 40
GONE = RefusedError("it is not there")


@pytest.fixture
def published(world: World) -> World:
    """A site with more small files than are read at a time, and a large one in the middle."""
    for n in range(FILES):
        write(world.root, b"%d/%d.html" % (n % 3, n), b"body %d" % n)
    write(world.root, b"1/large.bin", bytes(70_000))
    world.settle()
    return world


# ---- deletes


def rename(root: Path) -> None:
    """Give a file another name."""
    os.rename(root / "a.html", root / "b.html")


def test_what_cannot_come_back_keeps_its_other_name(world: World) -> None:
    """An undo of a rename whose download fails leaves the file that there is; the same undo again completes it."""
    undoer, root = Undoer(world), world.root
    before = bytes_of(root)
    run = undoer.run(lambda: rename(root))
    renamed = bytes_of(root)
    world.faults.answer("archive get", GONE)
    found = undoer.undo(run)
    assert set(found.failures) == {"a.html"}
    assert (found.summary.deleted, found.summary.not_deleted) == (0, 1)
    assert bytes_of(root) == renamed
    found = undoer.undo(run)
    assert (found.failures, found.summary.deleted, found.summary.not_deleted) == ({}, 1, 0)
    assert bytes_of(root) == before


def test_a_restore_that_fails_in_part_deletes_no_extra_file(published: World, dest: Path) -> None:
    """It is not known what an extra file is a part of while the site is not all there."""
    write(dest, b"0/extra.html", b"extra")
    published.faults.answer("archive get", GONE)
    asked = Asked(Source(), Scope(), delete=True)
    assert restore(published, dest, asked).summary.not_deleted == 1
    assert (dest / "0/extra.html").exists()
    restore(published, dest, asked)
    assert tree_of(dest) == tree_of(published.root)


# ---- a disk that takes no more


def failing(really: Callable[..., Any], number: int, after: int) -> Callable[..., Any]:
    """Make what works some times, and then no more."""
    calls = iter(range(after))

    def fail(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise OSError(number, os.strerror(number))
        return really(*arguments)

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize(("owner", "name", "after"), [
    (NewFile, "write", 0), (NewFile, "write", 3), (NewFile, "sync", 0), (NewFile, "appear", 2),
    (Destination, "new_file", 0), (Destination, "new_file", 20), (Destination, "make", 0), (Destination, "make", 1),
])  # fmt: skip
def test_a_disk_that_takes_no_more_ends_the_restore(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: int, number: int
) -> None:
    """Not every other file is downloaded for nothing; what is there is whole, and the same command goes on from it."""
    write(dest, b"extra.html", b"extra")
    whole, archive = tree_of(published.root), MemoryArchive(published.objects, published.faults)
    asked = Asked(Source(), Scope(), delete=True)
    with published.agent() as site, Target(dest) as target, RestorePlan() as plan, monkeypatch.context() as patch:
        descriptors = descriptors_beneath(dest)
        restorer = Restorer(site.parts, archive)
        restorer.plan(asked, target, plan)
        patch.setattr(owner, name, failing(getattr(owner, name), number, after))
        with pytest.raises(DiskError, match=os.strerror(number)) as caught:
            restorer.carry_out(plan, target, Document())
        assert descriptors_beneath(dest) == descriptors
    assert "the same command goes on" in caught.value.remedy
    assert len(archive.gets) == len(set(archive.gets))
    assert len(archive.gets) < FILES or (name, after) == ("appear", 2)  # which comes last of all, for many at once
    there = tree_of(dest)
    assert there.pop(b"extra.html") == (b"extra", (dest / "extra.html").stat().st_mtime_ns)
    assert {path: entry for path, entry in there.items() if whole.get(path, b"") != entry} == {}
    if name == "write":  # what was written before has its name
        assert len([path for path, entry in there.items() if entry]) == after
        assert f"after {after} files were restored" in str(caught.value)
    restore(published, dest, asked)
    assert tree_of(dest) == whole


def test_a_disk_that_can_only_be_read_keeps_what_is_in_the_way(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be removed either ends the restore before a download."""
    write(dest, b"0", b"in the way")
    monkeypatch.setattr("siteferry.restore.carry.remove_file", failing(lambda: None, errno.EROFS, 0))
    with pytest.raises(DiskError, match="Read-only"):
        restore(published, dest, Asked(Source(), Scope(), delete=True))
    assert "archive get" not in published.faults.log
    assert tree_of(dest).keys() == {b"0"}


def test_a_directory_whose_names_are_not_on_disk_is_told(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each is synced by itself, one that cannot be stops no other."""

    def no_sync(_: Destination) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    really, failed = os.fsync, list[int]()

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and not failed:
            failed.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(descriptor)

    monkeypatch.setattr(Destination, "sync", no_sync)
    monkeypatch.setattr("siteferry.restore.carry.os.fsync", fsync)
    before = descriptors_beneath(dest)
    found = restore(published, dest, Asked(Source(), Scope()))
    assert list(found.failures.values()) == ["new names may not be on disk: Input/output error"]
    assert tree_of(dest) == tree_of(published.root)
    assert descriptors_beneath(dest) == before


# ---- what objects hold


@pytest.mark.parametrize("encoding", ["latin-1", "auto"])
@pytest.mark.parametrize("mtime", ["9" * 30, "-" + "9" * 30, "9223372036.854775808", "1e9", ""])
def test_an_mtime_that_no_file_can_have_is_none(world: World, dest: Path, encoding: Encoding, mtime: str) -> None:
    """The file comes back as if its object told no mtime; so does all else."""
    world.descriptor = replace(world.descriptor, encoding=encoding)
    write(world.root, b"index.html", b"1")
    world.settle()
    world.objects.current["caf\xe9.txt"] = StoredObject(b"x", {"x-amz-meta-mtime": mtime}, world.clock.now())
    found = restore(world, dest, Asked(Source(from_bucket=True), Scope()))
    assert (found.failures, found.left) == ({}, {})
    assert sorted(body for body, _ in filter(None, tree_of(dest).values())) == [b"1", b"x"]


@pytest.mark.parametrize("mtime", ["9223372036.854775807", "-9223372036.854775807"])
def test_an_mtime_that_a_file_can_have_comes_back(world: World, dest: Path, mtime: str) -> None:
    """Up to the last that an index entry can hold, as far as the file system takes it."""
    write(world.root, b"index.html", b"1")
    world.settle()
    world.objects.current["far.txt"] = StoredObject(b"x", {"x-amz-meta-mtime": mtime}, world.clock.now())
    found = restore(world, dest, Asked(Source(from_bucket=True), Scope()))
    assert (found.failures, found.summary.restored) == ({}, 2)
    os.utime(dest / "index.html", ns=(int(mtime.replace(".", "")),) * 2)
    assert (dest / "far.txt").stat().st_mtime_ns == (dest / "index.html").stat().st_mtime_ns


@pytest.mark.parametrize("kind", ["directory-page", "directory-redirect"])
def test_a_file_that_siteferry_covered_is_told_and_nothing_deleted(published: World, dest: Path, kind: str) -> None:
    """For moments a page may be current over a file of the index: it does not pass for a restored one."""
    write(dest, b"extra.html", b"extra")
    body, headers = b"body 0", {"x-amz-meta-siteferry-generated": kind}
    real = published.objects.current["0/0.html"]
    published.objects.current["0/0.html"] = StoredObject(body, headers, published.clock.now())
    asked = Asked(Source(), Scope(), delete=True)
    found = restore(published, dest, asked)
    assert found.failures == {"0/0.html": COVERED}
    assert (found.summary.failed, found.summary.skipped, found.summary.not_deleted) == (1, 0, 1)
    published.objects.current["0/0.html"] = real
    restore(published, dest, asked)
    assert tree_of(dest) == tree_of(published.root)


@pytest.mark.parametrize("as_of", [False, True])
def test_a_redirect_of_an_empty_directory_is_nobodys_file(published: World, dest: Path, *, as_of: bool) -> None:
    """A listing does not tell what it is; there is nothing to restore, and nothing failed."""
    headers = {"x-amz-meta-siteferry-generated": "directory-redirect"}
    published.objects.current["empty"] = StoredObject(b"go there", headers, published.clock.now())
    source = Source(as_of=published.clock.now()) if as_of else Source(from_bucket=True)
    found = restore(published, dest, Asked(source, Scope()))
    assert (found.failures, found.summary.skipped) == ({}, 1)
    assert tree_of(dest) == tree_of(published.root)


# ---- records


def stop_growing(recorder: RunRecorder) -> None:
    """Have the disk of the state directory full."""
    assert recorder._db
    (pages,) = recorder._db.execute("PRAGMA page_count").fetchone()
    recorder._db.execute(f"PRAGMA max_page_count = {pages}")


def grow_again(recorder: RunRecorder) -> None:
    """Have room on it again."""
    assert recorder._db
    recorder._db.execute("PRAGMA max_page_count = 1000000")


def test_a_run_that_is_recorded_in_part_is_not_undone_in_part(world: World) -> None:
    """An undo refuses it and says which way there is; the next run of the same agent is recorded as ever."""
    undoer, root = Undoer(world), world.root
    recorder = RunRecorder(PlainReporter(world.out), world.config.state_dir, world.clock, 90)
    with recorder, world.agent(recorder) as site:
        opened = recorder.opened

        def open_and_fill(run: int) -> None:
            opened(run)
            stop_growing(recorder)

        recorder.opened = open_and_fill  # type: ignore[method-assign]
        for n in range(100):
            write(root, b"new/%d-" % n + b"x" * 100, b"new")
        (root / "a.html").unlink()
        lost = site.sync().run
        recorder.opened = opened  # type: ignore[method-assign]
        grow_again(recorder)
        world.handle()
        world.clock.time += 60
        write(root, b"docs/b.html", b"second")
        whole = site.sync().run
        world.handle()
    assert lost
    assert whole
    with RunRecord(world.config.state_dir) as record:
        first, second = record.run(lost), record.run(whole)
    assert first
    assert first.closed is None
    assert first.new < 100
    assert second
    assert second.closed == world.clock.now()
    with pytest.raises(UsageError, match=f"run {lost} was cut short") as caught:
        undoer.undo(lost)
    assert "--since" in caught.value.remedy
    undoer.undo(whole)
    assert (root / "docs/b.html").read_bytes() == b"first docs/b.html"


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT", "INSERT"])
def test_no_lost_write_goes_unnoticed(world: World, statement: str) -> None:
    """Whichever statement fails while a run is open, the run does not pass for recorded as a whole."""
    undoer = Undoer(world)
    recorder = RunRecorder(PlainReporter(world.out), world.config.state_dir, world.clock, 90)
    with recorder, world.agent(recorder) as site:
        really: Any = recorder._db

        class Failing:
            def __getattr__(self, name: str) -> Any:
                return getattr(really, name)

            def execute(self, text: str, *values: Any) -> Any:
                if text.startswith(statement):
                    raise sqlite3.OperationalError("database or disk is full")
                return really.execute(text, *values)

        def before(request: str) -> None:
            if request == "put":
                world.clock.time += 2  # so that the next record is committed
                recorder._db = Failing()  # type: ignore[assignment]
            elif request == "send":
                recorder._db = really

        world.faults.before = before
        write(world.root, b"a.html", b"second")
        write(world.root, b"docs/new.html", b"new")
        run = site.sync().run
        assert run
    with RunRecord(world.config.state_dir) as record:
        found = record.run(run)
    assert found
    assert found.closed is None
    with pytest.raises(UsageError, match="cut short"):
        undoer.undo(run)


def test_a_file_is_looked_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are beside it, one row is read for it: an undo asks for each file that a run changed."""
    read: list[bytes] = []
    really = wanted._wanted

    def counted(row: tuple[Any, ...]) -> Wanted:
        read.append(row[1])
        return really(row)

    monkeypatch.setattr(wanted, "_wanted", counted)
    with WantedTree() as tree:
        tree.add(Wanted(b"d", b"%d" % n, f"d/{n}", n, None, None) for n in range(100))
        tree.add([Wanted(b"", b"top", "top", 1, None, None)])
        found = [tree.file(path) for path in (b"d/7", b"top", b"d/none", b"none/7")]
    assert [one and one.key for one in found] == ["d/7", "top", None, None]
    assert read == [b"7", b"top"]


# ---- Ctrl-C


def test_a_large_download_ends_when_a_stop_is_asked_for(published: World, dest: Path) -> None:
    """Nothing of it is there, nothing failed, nothing is deleted; the same command completes it."""
    write(dest, b"1/extra.html", b"extra")
    chunks: list[str] = []

    def before(request: str) -> None:
        chunks.extend([request] if request == "archive chunk" else [])

    published.faults.before = before
    published.stopping = lambda: len(chunks) > 2
    asked = Asked(Source(), Scope(b"1/large.bin"), delete=True)
    found = restore(published, dest, replace(asked, scope=Scope(b"1/large.bin")))
    assert len(chunks) < 5
    assert (found.summary.stopped, found.failures, found.summary.restored) == (True, {}, 0)
    assert set(tree_of(dest)) == {b"1", b"1/extra.html"}
    published.stopping = lambda: False
    restore(published, dest, asked)
    assert (dest / "1/large.bin").read_bytes() == bytes(70_000)
