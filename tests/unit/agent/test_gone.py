"""Deletes: what is missing from a directory is deleted once it is not to be expected back in a moment."""

import shutil
import time

import pytest

from siteferry.scan import DirectoryScan
from siteferry.settle import LONGEST_ABSENCE, UPLOAD_SECONDS, Settling
from siteferry_contract.leaf import FileEntry, SubdirectoryEntry
from tests.unit.agent.fakes import World


@pytest.fixture
def host(world: World) -> World:
    """A site with two published files in a directory, on a host whose clock shows the time of the last change."""
    world.write("d/a.txt", b"old")
    world.write("d/b.txt", b"other")
    world.settle()
    return world


def now(host: World) -> None:
    """Let the clock show the time of the last change."""
    host.clock.time = time.time()


def test_a_delete_waits_for_the_directory_to_settle(host: World) -> None:
    """A file that went a moment ago is deferred, and deleted once its directory is settled."""
    (host.root / "d/a.txt").unlink()
    now(host)
    waiting = host.sync()
    assert (waiting.run, waiting.deferred, waiting.deleted) == (None, 1, 0)
    assert host.objects.current["d/a.txt"].body == b"old"
    host.clock.wait(host.config.settle)
    assert host.sync().deleted == 1


def test_what_comes_back_in_time_was_never_gone(host: World) -> None:
    """A client that deletes before it uploads again leaves no moment without the file."""
    (host.root / "d/a.txt").unlink()
    now(host)
    assert host.sync().deferred == 1
    host.write("d/a.txt", b"new")
    now(host)
    assert host.sync().deferred == 1, "it is being written"
    host.clock.wait(host.config.settle)
    assert host.sync().uploaded == 1
    assert host.objects.current["d/a.txt"].body == b"new"
    assert not host.jobs("delete")


def test_a_directory_that_comes_back_in_time_was_never_gone(host: World) -> None:
    """A directory that is deleted is deferred with all in it."""
    host.write("kept.txt", b"x")
    host.settle()
    shutil.rmtree(host.root / "d")
    now(host)
    assert (host.sync().deferred, host.sync().deleted) == (1, 0)
    host.write("d/a.txt", b"old")
    host.write("d/b.txt", b"other")
    now(host)
    host.clock.wait(host.config.settle)
    summary = host.sync()
    assert (summary.deleted, summary.unchanged, summary.uploaded) == (0, 2, 0)


def test_others_do_not_put_off_a_delete_for_ever() -> None:
    """Where names come and go all the time, a missing one is deleted all the same, each after a time of its own."""
    clock, looks = [0.0], dict[tuple[bytes, str], float]()
    settling = Settling(
        10, lambda: clock[0], lambda path, text, at: looks.setdefault((path, text), at), own_clock=False
    )

    def is_gone(path: bytes, ctime: int) -> bool:
        scan = DirectoryScan(b"d", "d", 1, ctime_ns=int(clock[0]) * 10**9)
        return settling.gone(scan)(path, FileEntry("a.txt", 1, 1, ctime, None), False)

    for _ in range(LONGEST_ABSENCE):
        assert not is_gone(b"d/a.txt", 1)
        clock[0] += 10
    assert not is_gone(b"d/b.txt", 1), "another file"
    assert not is_gone(b"d/a.txt", 2), "it was published again meanwhile"
    assert is_gone(b"d/a.txt", 1)


def test_another_clock_takes_two_looks_to_delete() -> None:
    """Where the file system has a clock of its own, a name has to be missing in two looks that are far enough apart."""
    clock, looks = [0.0], dict[tuple[bytes, str], float]()
    settling = Settling(10, lambda: clock[0], lambda path, text, at: looks.setdefault((path, text), at), own_clock=True)
    is_gone = settling.gone(DirectoryScan(b"d", "d", 1, ctime_ns=-(10**15)))
    assert not is_gone(b"d/sub", SubdirectoryEntry("sub"), False)
    clock[0] += 10
    assert settling.gone(DirectoryScan(b"d", "d", 1, ctime_ns=-(10**15)))(b"d/sub", SubdirectoryEntry("sub"), False)


@pytest.mark.parametrize("name", [".in.a.txt.", ".in.a.txt", "a.txt.filepart"])
def test_an_upload_under_a_temporary_name_keeps_what_it_will_replace(host: World, name: str) -> None:
    """While a file is uploaded under a name that tells its own, its published version stays; others go."""
    (host.root / "d/a.txt").unlink()
    (host.root / "d/b.txt").unlink()
    host.write(f"d/{name}", b"half")
    now(host)
    host.clock.wait(host.config.settle)
    summary = host.sync()
    assert (summary.deleted, summary.deferred) == (1, 1)
    assert "d/a.txt" in host.objects.current
    host.clock.wait(UPLOAD_SECONDS)
    assert host.sync().deleted == 1, "the upload was given up"


def test_a_resumed_upload_of_pure_ftpd_keeps_what_is_missing(host: World) -> None:
    """Pure-FTPd renames a file whose upload is resumed, so that nothing that is missing beside it is taken for gone."""
    (host.root / "d/a.txt").rename(host.root / "d/.pureftpd-upload.6b03d284.a7f1.30dd.e4ae98fe")
    now(host)
    host.clock.wait(host.config.settle)
    assert (host.sync().deferred, host.sync().deleted) == (1, 0)
    (host.root / "d/.pureftpd-upload.6b03d284.a7f1.30dd.e4ae98fe").rename(host.root / "d/a.txt")
    now(host)
    host.clock.wait(host.config.settle)
    summary = host.sync()
    assert (summary.deleted, summary.unchanged) == (0, 1)


def test_a_file_in_the_place_of_a_directory_has_looks_of_its_own(host: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another clock, looks at a new file and at the missing directory of its name do not undo one another."""
    host.write("kept.txt")
    host.settle()
    monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: True)
    shutil.rmtree(host.root / "d")
    host.write("d", b"a file now")
    assert host.sync().deferred == 2
    host.clock.wait(host.config.settle)
    summary = host.sync()
    assert (summary.deferred, summary.uploaded, summary.deleted) == (0, 1, 2)
