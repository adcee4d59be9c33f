"""The tree on disk, opened so that nothing outside the root can ever be read.

Every directory is opened relative to its parent's descriptor and with O_NOFOLLOW; a file must be a regular file
with the inode that was scanned. So no symlink, race, FIFO or device leads out of the root. Nothing is ever written.
Symlinks are followed only with `links`, and only there is said how.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from siteferry.errors import FileChangedError, FileLockedError, FileUnreadableError, RootError
from siteferry.links import NOT_THERE, READ, Excluding, Links, Looked, is_unknown
from siteferry.locks import is_write_locked

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MOST: Final = (1 << 63) - 1


def clamp(time_ns: int) -> int:
    """Keep a time within 64 bits: file systems hold later years than 2262, and any FTP user can set one."""
    return time_ns if -_MOST <= time_ns <= _MOST else _MOST if time_ns > 0 else -_MOST


class FileState(NamedTuple):
    """What tells one state of a file from another."""

    inode: int
    size: int
    """Bytes."""
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: Looked) -> "FileState":
        """Take the state from a stat."""
        return cls(status.st_ino, status.st_size, clamp(status.st_mtime_ns), clamp(status.st_ctime_ns))

    def text(self) -> str:
        """Give it as a text, to be compared with others."""
        return f"{self.inode} {self.size} {self.mtime_ns} {self.ctime_ns}"


class Tree:
    """An open root. Use as a context manager."""

    def __init__(
        self,
        root: Path,
        progress: Callable[[], None] = lambda: None,
        follows: Excluding | None = None,
        most_names: int = 1_000_000,
    ) -> None:
        """Open it; `progress` is called for what is read of it. A directory of more than `most_names` is not read.

        With `follows`, symlinks to files beneath the root count as files, unless that excludes a name on their way.
        """
        self.root, self.progress, self.most_names = root, progress, most_names
        try:
            # The operator may name the root through a symlink; below it none is followed.
            self.descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise RootError(
                f"root {root}: {error.strerror}",
                "is the file system mounted, is `root` right in the configuration, and may this user read it?",
            ) from None
        self.device = os.fstat(self.descriptor).st_dev
        self.links = Links.of(self.descriptor, root, follows) if follows else None
        """Follows symlinks; None: none is followed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the root."""
        os.close(self.descriptor)

    @contextmanager
    def directory(self, path: bytes) -> Iterator[int]:
        """Have a directory open by its path; raises OSError."""
        descriptor = self.open(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, path: bytes) -> int:
        """Open a directory by its path, to be closed by the caller; raises OSError."""
        return open_beneath(self.descriptor, path)

    def close_directory(self, descriptor: int) -> None:
        """Close what `open` gave."""
        os.close(descriptor)

    def is_empty(self) -> bool:
        """Tell whether the root has no name in it; raises OSError."""
        with os.scandir(self.descriptor) as names:
            return next(names, None) is None

    def is_regular_file(self, directory: bytes, name: bytes) -> bool:
        """Tell whether a file is there now; one that cannot be looked at counts as there."""
        try:
            with self.directory(directory) as descriptor:
                return file_state(descriptor, name, self.links, directory) is not None
        except OSError as error:
            return error.errno not in NOT_THERE

    def is_directory(self, path: bytes) -> bool:
        """Tell whether a path is a directory now; unreadable counts as yes, since it is not known to be gone."""
        try:
            parent, _, name = path.rpartition(b"/")
            with self.directory(parent) as descriptor:
                return stat.S_ISDIR(os.stat(name or b".", dir_fd=descriptor, follow_symlinks=False).st_mode)
        except OSError as error:
            return error.errno not in NOT_THERE


def open_directory(parent: int, name: bytes) -> int:
    """Open a subdirectory relative to its parent's descriptor; raises OSError."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


def open_beneath(top: int, path: bytes) -> int:
    """Open a directory by its path beneath an open one, through no symlink; raises OSError."""
    descriptor = os.dup(top)
    for name in path.split(b"/") if path else ():
        try:
            child = open_directory(descriptor, name)
        finally:
            os.close(descriptor)
        descriptor = child
    return descriptor


def file_state(parent: int, name: bytes, links: Links | None = None, path: bytes = b"") -> FileState | None:
    """Give the state of a regular file as it is now, in the directory with `path`; None: there is none.

    Raises OSError other than "it is not there".
    """
    try:
        status: Looked = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if links and stat.S_ISLNK(status.st_mode):
        status = links.look(parent, path, name, status)
        if is_unknown(status):
            raise OSError(errno.EIO, "where the symlink leads cannot be looked at")
    return FileState.of(status) if stat.S_ISREG(status.st_mode) else None


class OpenFile:
    """A regular file that was exactly in `state`, and nobody's to write, when it was opened.

    Use as a context manager.
    """

    def __init__(
        self, parent: int, name: bytes, state: FileState, links: Links | None = None, path: bytes = b""
    ) -> None:
        """Open it in the directory with `path`; raises FileError."""
        self._state = state
        try:
            self._descriptor = os.open(name, READ, dir_fd=parent)
        except FileNotFoundError:
            raise FileChangedError("it is no longer there") from None
        except OSError as error:
            if not links or error.errno != errno.ELOOP:
                raise FileUnreadableError(f"cannot be read: {error.strerror}") from None
            self._descriptor, linked, target = links.open(parent, path, name)
            if FileState.of(linked) == state:
                self._state = FileState.of(target)
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileChangedError("it is no longer a regular file")
            self._check(status)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def check_unchanged(self) -> None:
        """Raise FileChangedError unless the file is still in its state, and locked by nobody who writes it."""
        self._check(os.fstat(self._descriptor))

    def _check(self, status: os.stat_result) -> None:
        if FileState.of(status) != self._state:
            raise FileChangedError("it changed while it was being published")
        if is_write_locked(self._descriptor):
            raise FileLockedError("another process has it locked to write it")

    def read(self) -> bytes:
        """Read the whole file, and check that it did not change meanwhile."""
        data = b"".join(self.chunks(max(self._state.size, 1)))
        if len(data) != self._state.size:
            raise FileChangedError("it changed while it was being published")
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """Read the file from its start in chunks; the last thing is a check that it did not change meanwhile.

        So whoever consumes all chunks has one state of the file, and whoever completes an upload only after the last
        chunk never publishes a mix of two.
        """
        offset = 0
        while offset < self._state.size:
            try:
                chunk = os.pread(self._descriptor, min(size, self._state.size - offset), offset)
            except OSError as error:
                raise FileUnreadableError(f"cannot be read: {error.strerror}") from None
            if not chunk:
                break
            offset += len(chunk)
            yield chunk
        self.check_unchanged()
        if offset != self._state.size:
            raise FileChangedError("it changed while it was being published")
