"""Locks: a file that somebody has locked to write it is deferred, and the agent itself never keeps anybody waiting."""

import errno
import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from siteferry.errors import FileLockedError
from siteferry.locks import is_write_locked, write_locked
from siteferry.tree import FileState, OpenFile, Tree
from tests.unit.agent.fakes import World

POSIX = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def posix_lock(path: Path) -> Iterator[None]:
    """Hold a lock as vsftpd does, in another process."""
    command = [sys.executable, "-c", POSIX, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"locked\n"
        yield


@contextmanager
def ofd_lock(path: Path, kind: int = fcntl.F_WRLCK) -> Iterator[None]:
    """Hold a lock of an open file description."""
    with path.open("r+b") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", kind, os.SEEK_SET, 0, 0, 0))
        yield


@contextmanager
def flock(path: Path) -> Iterator[None]:
    """Hold a lock that only the kernel's list shows."""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not write_locked():
            pytest.skip("this kernel does not list its locks")
        yield


def opened(path: Path) -> OpenFile:
    """Open a file as the agent does."""
    with Tree(path.parent) as tree:
        return OpenFile(tree.descriptor, os.fsencode(path.name), FileState.of(path.lstat()))


@pytest.mark.parametrize("lock", [posix_lock, ofd_lock])
def test_a_locked_file_is_not_read(tmp_path: Path, lock: Callable[[Path], AbstractContextManager[None]]) -> None:
    """A file is read neither while it is locked, nor if it is locked before the end; and then it is."""
    path = tmp_path / "f"
    path.write_bytes(b"half")
    with lock(path), pytest.raises(FileLockedError, match="has it locked"):
        opened(path)
    with opened(path) as file:
        with lock(path), pytest.raises(FileLockedError):
            file.read()
        assert file.read() == b"half"


def test_a_lock_for_reading_is_no_reason(tmp_path: Path) -> None:
    """Many may read at a time: vsftpd locks what it serves, too."""
    path = tmp_path / "f"
    path.write_bytes(b"whole")
    with ofd_lock(path, fcntl.F_RDLCK), opened(path) as file:
        assert file.read() == b"whole"


def test_nobody_waits_for_the_agent(tmp_path: Path) -> None:
    """While the agent has a file open, another process locks it at once."""
    path = tmp_path / "f"
    path.write_bytes(b"x")
    with opened(path) as file, posix_lock(path):
        pass
    with opened(path) as file:
        file.read()


def test_a_file_system_without_locks_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be asked is not locked."""

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EINVAL, "no locks here")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert not is_write_locked(0)


def test_the_kernels_list_is_read(tmp_path: Path) -> None:
    """Locks for writing of all three kinds are found; those for reading, leases, and who waits are not."""
    listed = tmp_path / "locks"
    listed.write_text(
        "1: POSIX  ADVISORY  WRITE 4711 08:02:131 0 EOF\n"
        "1: -> POSIX  ADVISORY  WRITE 4712 08:02:132 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 4713 fd:1f:133 0 EOF\n"
        "3: OFDLCK ADVISORY  WRITE -1 08:02:134 0 EOF\n"
        "4: POSIX  ADVISORY  READ  4714 08:02:135 128 128\n"
        "5: LEASE  ACTIVE    WRITE 4715 08:02:136 0 EOF\n"
        "nonsense\n"
    )
    disk = os.makedev(8, 2)
    assert write_locked(listed) == {(disk, 131), (os.makedev(0xFD, 0x1F), 133), (disk, 134)}
    assert write_locked(tmp_path / "missing") == frozenset()


@pytest.mark.parametrize("lock", [posix_lock, ofd_lock, flock])
def test_a_locked_upload_waits_however_long_it_stalls(
    world: World, lock: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """The published version stays while a file is locked, without a run; then the new one goes, though nothing changed.

    Its ctime is long past: the upload stalls.
    """
    world.write("a.txt", b"old")
    world.settle()
    world.write("a.txt", b"new, half")
    with lock(world.root / "a.txt"):
        waiting = world.sync()
        assert (waiting.run, waiting.deferred, waiting.failed) == (None, 1, 0)
        assert world.objects.current["a.txt"].body == b"old"
    world.settle()
    assert world.objects.current["a.txt"].body == b"new, half"


def test_a_lock_that_comes_after_the_plan_defers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is locked when it is to be read is left for a later run, and is no failure."""
    monkeypatch.setattr("siteferry.look.write_locked", frozenset)
    world.write("a.txt", b"old")
    world.settle()
    world.write("a.txt", b"half")
    world.write("b.txt", b"whole")
    with ofd_lock(world.root / "a.txt"):
        summary = world.sync()
        assert (summary.deferred, summary.failed, summary.uploaded) == (1, 0, 1)
        assert world.objects.current["a.txt"].body == b"old"
    world.settle()
    assert world.objects.current["a.txt"].body == b"half"
