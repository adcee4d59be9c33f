"""The directory that is restored into, written so that nothing outside of it is ever touched, whatever keys there are.

Every directory is opened relative to its parent's descriptor and with O_NOFOLLOW.
"""

import ctypes
import errno
import functools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from siteferry.errors import FileUnreadableError, RootError
from siteferry.restore.access import Access, access_within, give
from siteferry.restore.entry import check_found, checked, former, unfinished_name
from siteferry.restore.new_file import NewFile
from siteferry.tree import open_beneath, open_directory

_NOREPLACE: Final = 1
"""Of renameat2(2)."""
_NOT_HAD: Final = frozenset({errno.EINVAL, errno.ENOSYS})
"""How file systems and kernels say that they do without it."""
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


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
        self.owners_kept = True
        """Whether all that was made in it belongs to whom it is to belong."""

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
            checked(name)
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
        """Make a directory as the one says that it is in, unless it is there; raises OSError.

        It has its name only once it is right: one that a killed restore made would pass for one that was there.
        """
        parent, _, name = path.rpartition(b"/")
        with self.directory(parent) as above:
            if _is_directory(above, name):
                return
            unfinished, renamed = unfinished_name(), False
            os.mkdir(unfinished, 0o700, dir_fd=above)
            try:
                descriptor = open_directory(above, unfinished)
                try:
                    self._give(descriptor, access_within(above).directories)
                finally:
                    os.close(descriptor)
                renamed = _rename_to_free(above, unfinished, name)
            finally:
                if not renamed:
                    with suppress(OSError):
                        os.rmdir(unfinished, dir_fd=above)
            if not renamed:
                os.close(open_directory(above, name))

    def place(self, path: bytes) -> "Place":
        """Open a directory to make files in it; raises OSError."""
        descriptor = self.open(path)
        try:
            together = self.syncs and os.fstat(descriptor).st_dev == self.device
            return Place(descriptor, access_within(descriptor).files, together)
        except BaseException:
            os.close(descriptor)
            raise

    def new_file(self, place: "Place") -> "NewFile":
        """Begin a file in a directory; raises OSError."""
        return NewFile(place.descriptor, place.access, self._give)

    def _give(self, descriptor: int, access: Access) -> None:
        if not give(descriptor, access):
            self.owners_kept = False

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
    access: Access
    """Of new ones."""
    together: bool
    """Files in it are on disk once the destination is synced."""


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


def _is_directory(above: int, name: bytes) -> bool:
    """Tell whether a directory is there; raises OSError if it is something else."""
    try:
        os.close(open_directory(above, checked(name)))
    except FileNotFoundError:
        return False
    return True


def _rename_to_free(directory: int, name: bytes, free: bytes) -> bool:
    """Rename a directory unless something has that name by now, and tell whether it was done; raises OSError.

    Where the file system cannot rule that out, an empty directory that somebody else has made is replaced.
    """
    rename = getattr(_library(), "renameat2", None)
    if rename:
        if not rename(directory, name, directory, free, _NOREPLACE):
            return True
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            return False
        if number not in _NOT_HAD:
            raise OSError(number, os.strerror(number))
    try:
        os.rename(name, free, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def set_time(directory: int, name: bytes, mtime_ns: int, found: str) -> None:
    """Give a file another mtime, if it is still what was found; raises OSError, FileError."""
    try:
        descriptor = os.open(
            checked(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
        )
    except OSError as error:
        raise FileUnreadableError(f"cannot be opened: {error.strerror}") from None
    try:
        check_found(os.fstat(descriptor), found)
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    finally:
        os.close(descriptor)


def remove_file(directory: int, name: bytes, found: str) -> None:
    """Remove what is no directory, if it is still what was found and nobody's to write; raises OSError, FileError."""
    with former(directory, name, found) as old:
        if old:
            os.unlink(name, dir_fd=directory)


def remove_directory(directory: int, name: bytes) -> bool:
    """Remove a directory if it is empty, and tell whether it is gone; raises OSError."""
    try:
        os.rmdir(checked(name), dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True
