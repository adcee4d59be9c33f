"""The tree: real files, with the change times of simulated time, and others going on between any two looks at it."""

import errno
import os
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siteferry_contract.errors import ContractError
from siteferry_contract.keys import Encoding, path_to_key

SECRET = b"from outside the tree"
KEPT = b"keep.txt"
"""A file that nobody touches."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a stat gives."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


@dataclass(slots=True)
class Disk:
    """A directory tree, and all complete states that its files ever had."""

    base: Path
    prefix: str
    encoding: Encoding
    clock: Callable[[], float]
    """Of the host that makes the change times."""
    pause: Callable[[], None]
    ctimes: dict[int, int] = field(default_factory=dict)
    """Nanoseconds by inode."""
    writing: Counter[int] = field(default_factory=Counter)
    """Uploads that are not over, by inode."""
    history: dict[tuple[str, bytes], set[int]] = field(default_factory=dict)
    """Every complete state that was ever there: the mtimes by key and bytes."""
    paths: dict[tuple[str, bytes], set[bytes]] = field(default_factory=dict)
    """Likewise: the raw paths."""
    since: dict[bytes, float] = field(default_factory=dict)
    """Since when each file is there without a break, by the clock."""
    forbidden: set[int] = field(default_factory=set)
    """Inodes that the agent may not open."""
    unmounted: bool = False
    """The root's file system is not there: an empty directory of another one is in its place."""
    _last: int = 0

    @property
    def root(self) -> Path:
        """The site's root."""
        return self.base / "root"

    def make(self) -> None:
        """Make the root, and a place outside of it that nobody may publish."""
        self.root.mkdir(parents=True)
        outside = self.base / "outside"
        outside.mkdir()
        for name in ("a.txt", "secret.html", "index.html"):
            (outside / name).write_bytes(SECRET)
        self.write(KEPT, b"keep", self.moment())

    def moment(self) -> int:
        """Give a time that no other change has."""
        self._last = max(self._last + 1, int(self.clock() * 1e9))
        return self._last

    def path(self, path: bytes) -> bytes:
        """Give the absolute path; raises OSError where a symlink leads out of the root, as a chroot does.

        While the root is not mounted nobody may write there.
        """
        if self.unmounted:
            raise PermissionError(path)
        root = os.fsencode(self.root)
        full = root + b"/" + path
        if not (os.path.realpath(os.path.dirname(full)) + b"/").startswith(root + b"/"):
            raise PermissionError(full)
        return full

    def begin(self, path: bytes) -> int:
        """Begin an upload in place: gives a descriptor of the file, which is empty now, and its directories exist."""
        full = self.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_TRUNC)
        self.writing[os.fstat(descriptor).st_ino] += 1
        self.add(descriptor, b"")
        return descriptor

    def add(self, descriptor: int, part: bytes, mtime_ns: int | None = None) -> None:
        """Write a part of an upload."""
        os.write(descriptor, part)
        moment = self.moment()
        mtime = moment if mtime_ns is None else mtime_ns
        os.utime(descriptor, ns=(mtime, mtime))
        self.ctimes[os.fstat(descriptor).st_ino] = moment

    def end(self, descriptor: int) -> None:
        """End an upload; what was written is the file now, even if the upload was cut off."""
        self.writing[os.fstat(descriptor).st_ino] -= 1
        os.close(descriptor)
        self.record()

    def write(self, path: bytes, body: bytes, mtime_ns: int) -> None:
        """Write a whole file, and its directories, at once."""
        descriptor = self.begin(path)
        self.add(descriptor, body, mtime_ns)
        self.end(descriptor)

    def changed(self, path: bytes) -> None:
        """Give a name a new change time."""
        with suppress(OSError):
            self.ctimes[os.lstat(self.path(path)).st_ino] = self.moment()
        self.record()

    def files(self) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
        """Give every regular file: path, bytes, status."""
        top = os.fsencode(self.root)
        for at, _, names in os.walk(top):
            for name in names:
                full = os.path.join(at, name)
                status = os.lstat(full)
                if stat.S_ISREG(status.st_mode):
                    with open(full, "rb") as file:
                        yield full[len(top) + 1 :], file.read(), status

    def record(self) -> None:
        """Remember every complete file as it is."""
        if self.unmounted:
            return
        since, now = self.since, self.clock()
        self.since = {}
        for path, body, status in self.files():
            self.since[path] = since.get(path, now)
            if not self.writing[status.st_ino]:
                with suppress(ContractError):
                    key = path_to_key(path, prefix=self.prefix, encoding=self.encoding)
                    self.history.setdefault((key, body), set()).add(status.st_mtime_ns)
                    self.paths.setdefault((key, body), set()).add(path)

    def vanished(self, path: bytes) -> None:
        """Hear that a file was taken away, though it may be back by the next record."""
        self.since.pop(path, None)

    def forbid(self, path: bytes) -> None:
        """Keep the agent from opening a file or directory."""
        self.forbidden.add(os.lstat(self.path(path)).st_ino)
        self.changed(path)

    def allow(self, path: bytes) -> None:
        """Let it do so again."""
        self.forbidden.discard(os.lstat(self.path(path)).st_ino)
        self.changed(path)

    def unmount(self) -> None:
        """Take the root's file system away."""
        if not self.unmounted:
            os.rename(self.root, self.base / "away")
            os.mkdir(self.root)
            self.unmounted = True

    def mount(self) -> None:
        """Bring it back."""
        if self.unmounted:
            os.rmdir(self.root)
            os.rename(self.base / "away", self.root)
            self.unmounted = False
            self.record()

    def repair(self) -> None:
        """Have everything mounted and readable."""
        self.mount()
        self.forbidden.clear()

    def status(self, real: os.stat_result) -> Status:
        """Give a status with the simulated change time."""
        ctime = self.ctimes.get(real.st_ino, 0)
        device = real.st_dev + self.unmounted
        return Status(real.st_mode, real.st_ino, device, real.st_size, real.st_mtime_ns, ctime)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.base)


class Entry:
    """A directory entry as `os.scandir` gives it."""

    def __init__(self, entry: "os.DirEntry[str]", disk: Disk) -> None:
        self._entry, self._disk = entry, disk
        self.name = entry.name

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether it is a directory."""
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def stat(self, *, follow_symlinks: bool = True) -> Status:
        """Look at it."""
        return self._disk.status(self._entry.stat(follow_symlinks=follow_symlinks))


class SimulatedOs:
    """Stands in for the module `os` in the agent's modules: others go on before each look at the tree."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Open a file or directory."""
        self._disk.pause()
        descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
        if os.fstat(descriptor).st_ino in self._disk.forbidden:
            os.close(descriptor)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return descriptor

    def fstat(self, descriptor: int) -> Status:
        """Look at an open file."""
        self._disk.pause()
        return self._disk.status(os.fstat(descriptor))

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Status:
        """Look at a name."""
        self._disk.pause()
        return self._disk.status(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks))

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read a part of a file."""
        self._disk.pause()
        return os.pread(descriptor, size, offset)

    @contextmanager
    def scandir(self, descriptor: int) -> Iterator[Iterator[Entry]]:
        """Read a directory; the order is not the file system's, so that a seed is the same schedule everywhere."""
        self._disk.pause()
        with os.scandir(descriptor) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        yield iter([Entry(entry, self._disk) for entry in found])
