"""The directory that is restored into, written so that nothing outside of it is ever touched, whatever keys there are.

Every directory is opened relative to its parent's descriptor and with O_NOFOLLOW. A file appears under its name when
all of it is on disk, never before, and a process that is killed leaves no part of one.
"""

import ctypes
import errno
import functools
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from siteferry.errors import FileChangedError, FileUnreadableError, RootError
from siteferry.tree import FileState, open_beneath, open_directory

UNFINISHED: Final = re.compile(rb"\.siteferry-[0-9a-f]{16}")
"""Names of what is complete, or not yet, but has not got its own name: whoever made them is gone, or still at work."""

_NO_UNNAMED: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
"""How file systems say that they make no files without a name (open(2), O_TMPFILE)."""
_WRITE: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Destination:
    """It, open. Use as a context manager."""

    def __init__(self, path: Path, *, follow: bool = True) -> None:
        """Open a directory, which the operator may name through a symlink; below it none is followed.

        Raises RootError.
        """
        self.path = path
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
            self.descriptor = os.open(path, flags)
        except OSError as error:
            raise RootError(f"{path}: {error.strerror}", "name a directory that this user may enter") from None
        self.device = os.fstat(self.descriptor).st_dev
        umask = os.umask(0)
        os.umask(umask)
        self._umask = umask
        self._is_root = os.geteuid() == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        os.close(self.descriptor)

    def open(self, path: bytes) -> int:
        """Open a directory by its path, to be closed by the caller; raises OSError."""
        for name in path.split(b"/") if path else ():
            _checked(name)
        return open_beneath(self.descriptor, path)

    @contextmanager
    def directory(self, path: bytes) -> Iterator[int]:
        """Have a directory open by its path; raises OSError."""
        descriptor = self.open(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def make(self, path: bytes) -> None:
        """Make a directory, with owner and mode of the one that it is in, unless it is there; raises OSError."""
        parent, _, name = path.rpartition(b"/")
        with self.directory(parent) as above:
            try:
                os.mkdir(_checked(name), 0o700, dir_fd=above)
            except FileExistsError:
                os.close(open_directory(above, name))
                return
            like = os.fstat(above)
            descriptor = open_directory(above, name)
            try:
                if self._is_root:
                    os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode) & ~self._umask)
            finally:
                os.close(descriptor)

    def place(self, path: bytes) -> "Place":
        """Open a directory to make files in it; raises OSError."""
        descriptor = self.open(path)
        status = os.fstat(descriptor)
        return Place(descriptor, status, self.syncs and status.st_dev == self.device)

    def new_file(self, place: "Place") -> "NewFile":
        """Begin a file in a directory; raises OSError."""
        return NewFile(place, as_root=self._is_root, umask=self._umask)

    @functools.cached_property
    def syncs(self) -> bool:
        """Whether it can be; some sandboxes do without."""
        try:
            self.sync()
        except OSError:
            return False
        return True

    def sync(self) -> None:
        """Have all of it on disk that is on its own file system; raises OSError if that cannot be, or not be told."""
        if _library().syncfs(self.descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class Place(NamedTuple):
    """A directory that files are made in."""

    descriptor: int
    status: os.stat_result
    together: bool
    """Files in it are on disk once the destination is synced."""


class NewFile:
    """A file on its way to its name. Use as a context manager, or close it: what has not appeared by then is gone."""

    def __init__(self, place: Place, *, as_root: bool, umask: int) -> None:
        self._place, self._is_root, self._umask = place, as_root, umask
        self._name = b""
        """Under which it can be found already; b"": none."""
        try:
            self.descriptor = os.open(b".", os.O_TMPFILE | _WRITE, 0o600, dir_fd=place.descriptor)
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
            self._name = _unfinished_name()
            flags = os.O_CREAT | os.O_EXCL | _WRITE
            self.descriptor = os.open(self._name, flags, 0o600, dir_fd=place.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        os.close(self.descriptor)
        if self._name:
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._place.descriptor)

    def write(self, data: bytes | memoryview) -> None:
        """Append to it; raises OSError."""
        written = os.write(self.descriptor, data)
        while written < len(data):
            written += os.write(self.descriptor, memoryview(data)[written:])

    def dress(self, name: bytes, mtime_ns: int | None, found: str) -> None:
        """Give it owner, mode and mtime; raises OSError.

        `found` is the state of the file that it is to replace, whose owner and mode it takes; "": there is none, and it
        is as its directory says. Raises FileChangedError if what is there is something else.
        """
        like = self._place.status
        if found:
            status = _status(self._place.descriptor, _checked(name))
            _check_found(status, found)
            like = status or like
        mode = stat.S_IMODE(like.st_mode)
        if self._is_root:
            os.fchown(self.descriptor, like.st_uid, like.st_gid)
        os.fchmod(self.descriptor, mode if found else mode & 0o666 & ~self._umask)
        if mtime_ns is not None:
            os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))

    def sync(self) -> None:
        """Have it on disk; raises OSError."""
        os.fsync(self.descriptor)

    def appear(self, name: bytes, found: str) -> None:
        """Give it its name, once it is dressed and on disk; raises OSError, and FileChangedError as `dress` does."""
        directory = self._place.descriptor
        _checked(name)
        try:
            if not found and not self._name:
                self._link(name)
                return
            if not self._name:
                self._name = _unfinished_name()
                self._link(self._name)
            if found:
                _check_found(_status(directory, name), found)
                os.rename(self._name, name, src_dir_fd=directory, dst_dir_fd=directory)
                self._name = b""
            else:
                os.link(self._name, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            raise FileChangedError("something was put in its place meanwhile") from None

    def _link(self, name: bytes) -> None:
        source = f"/proc/self/fd/{self.descriptor}"
        os.link(source, name, dst_dir_fd=self._place.descriptor, follow_symlinks=True)


def sync_together(destination: Destination, files: Sequence[NewFile]) -> list[OSError | None]:
    """Have files on disk that are on the destination's file system, and tell what came of each.

    One syncfs(2) does for all of them what an fsync of each does (sync(2)), with one commit of the file system's
    journal. It tells of every error since the destination was opened, on Linux 5.8 or later; whose it is, an fsync of
    each tells.
    """
    try:
        destination.sync()
    except OSError:
        return [_synced(file) for file in files]
    return [None] * len(files)


def _synced(file: NewFile) -> OSError | None:
    try:
        file.sync()
    except OSError as error:
        return error
    return None


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def set_time(directory: int, name: bytes, mtime_ns: int, found: str) -> None:
    """Give a file another mtime, if it is still what was found; raises OSError, FileError."""
    try:
        descriptor = os.open(
            _checked(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
        )
    except OSError as error:
        raise FileUnreadableError(f"cannot be opened: {error.strerror}") from None
    try:
        _check_found(os.fstat(descriptor), found)
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    finally:
        os.close(descriptor)


def remove_file(directory: int, name: bytes, found: str) -> None:
    """Remove what is no directory, if it is still what was found; raises OSError, FileChangedError."""
    status = _status(directory, _checked(name))
    if status is None:
        return
    _check_found(status, found)
    os.unlink(name, dir_fd=directory)


def remove_directory(directory: int, name: bytes) -> bool:
    """Remove a directory if it is empty, and tell whether it is gone; raises OSError."""
    try:
        os.rmdir(_checked(name), dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def found_text(status: os.stat_result) -> str:
    """Give the state of what is there as a text, with its kind."""
    return f"{stat.S_IFMT(status.st_mode):o} {FileState.of(status).text()}"


def _check_found(status: os.stat_result | None, found: str) -> None:
    if (found_text(status) if status else "") != found:
        raise FileChangedError("it changed since the plan was made" if found else "something is in its place by now")


def _status(directory: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _checked(name: bytes) -> bytes:
    """Return a name of one component; raises OSError for what would lead elsewhere. The last line of defence."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(errno.EINVAL, "this is no name that a file can have")
    return name


def _unfinished_name() -> bytes:
    return b".siteferry-" + secrets.token_hex(8).encode()
