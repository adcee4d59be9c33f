"""Files that are restored: each appears under its name when all of it is on disk, never before.

A process that is killed leaves no part of one.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from siteferry.errors import FileChangedError
from siteferry.restore.access import Access, access_of
from siteferry.restore.entry import Former, checked, former, through, unfinished_name

_NO_UNNAMED: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
"""How file systems say that they make no files without a name (open(2), O_TMPFILE)."""
_WRITE: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class NewFile:
    """A file on its way to its name. Use as a context manager, or close it: what has not appeared by then is gone."""

    def __init__(self, directory: int, access: Access, give: Callable[[int, Access], None]) -> None:
        """Begin it in an open directory, for this user alone; `access` is that of a new one there. Raises OSError."""
        self._directory, self._access, self._give = directory, access, give
        self._name = b""
        """Under which it can be found already; b"": none."""
        try:
            self.descriptor = os.open(b".", os.O_TMPFILE | _WRITE, 0o600, dir_fd=directory)
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
            self._name = unfinished_name()
            flags = os.O_CREAT | os.O_EXCL | _WRITE
            self.descriptor = os.open(self._name, flags, 0o600, dir_fd=directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        os.close(self.descriptor)
        if self._name:
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._directory)

    def write(self, data: bytes | memoryview) -> None:
        """Append to it; raises OSError."""
        written = os.write(self.descriptor, data)
        while written < len(data):
            written += os.write(self.descriptor, memoryview(data)[written:])

    def dress(self, name: bytes, mtime_ns: int | None, found: str) -> None:
        """Give it owner, rights and mtime; raises OSError.

        `found` is the state of the file that it is to replace, whose owner and rights it takes; "": there is none, and
        it is as its directory says. Raises FileChangedError if what is there is something else, or somebody writes it.
        """
        access = self._access
        if found:
            with self._former(name, found) as old:
                access = access_of(old)
        self._give(self.descriptor, access)
        if mtime_ns is not None:
            os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))

    def sync(self) -> None:
        """Have it on disk; raises OSError."""
        os.fsync(self.descriptor)

    def appear(self, name: bytes, found: str) -> None:
        """Give it its name, once it is dressed and on disk; raises OSError, and FileChangedError as `dress` does."""
        directory = self._directory
        checked(name)
        try:
            if not found and not self._name:
                self._link(name)
                return
            if not self._name:
                self._name = unfinished_name()
                self._link(self._name)
            if found:
                with self._former(name, found):
                    os.rename(self._name, name, src_dir_fd=directory, dst_dir_fd=directory)
                self._name = b""
            else:
                os.link(self._name, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            raise FileChangedError("something was put in its place meanwhile") from None

    @contextmanager
    def _former(self, name: bytes, found: str) -> Iterator[Former]:
        with former(self._directory, name, found) as old:
            if old is None:
                raise FileChangedError("it is no longer there")
            yield old

    def _link(self, name: bytes) -> None:
        os.link(through(self.descriptor), name, dst_dir_fd=self._directory, follow_symlinks=True)
