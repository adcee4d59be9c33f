"""A name in a directory that is restored into, and what is there under it."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from siteferry.errors import FileChangedError, FileLockedError
from siteferry.locks import is_write_locked, write_locked
from siteferry.tree import FileState

UNFINISHED: Final = re.compile(rb"\.siteferry-[0-9a-f]{16}")
"""Names of what is complete, or not yet, but has not got its own name: whoever made them is gone, or still at work."""


class Former(NamedTuple):
    """What is to be replaced or removed, open as a name alone (O_PATH): neither to be read nor to be written."""

    descriptor: int
    status: os.stat_result


@contextmanager
def former(directory: int, name: bytes, found: str) -> Iterator[Former | None]:
    """Have what is there open if it is still what was found, and nobody's to write; None: nothing is there.

    Raises OSError, FileChangedError. Who opens it to write it within the microseconds until it is replaced is not seen.
    """
    try:
        descriptor = os.open(checked(name), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        yield None
        return
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _is_written(descriptor):
            raise FileLockedError("another process has it locked to write it")
        # Looked at once more: an upload that ended before its lock was asked for has changed it.
        status = os.fstat(descriptor)
        check_found(status, found)
        yield Former(descriptor, status)
    finally:
        os.close(descriptor)


def _is_written(descriptor: int) -> bool:
    """Tell whether a regular file is locked to be written; where it may not be read, by the kernel's list."""
    try:
        readable = os.open(through(descriptor), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        status = os.fstat(descriptor)
        # EAGAIN: it is leased (fcntl(2)) by a server that has it open to write it.
        return error.errno == errno.EAGAIN or (status.st_dev, status.st_ino) in write_locked()
    try:
        return is_write_locked(readable)
    finally:
        os.close(readable)


def through(descriptor: int) -> str:
    """Give a path by which what is open can be opened again, linked or asked, whatever its name is by now."""
    return f"/proc/self/fd/{descriptor}"


def found_text(status: os.stat_result) -> str:
    """Give the state of what is there as a text, with its kind."""
    return f"{stat.S_IFMT(status.st_mode):o} {FileState.of(status).text()}"


def check_found(status: os.stat_result, found: str) -> None:
    """Raise FileChangedError unless it is what was found."""
    if found_text(status) != found:
        raise FileChangedError("it changed since the plan was made")


def checked(name: bytes) -> bytes:
    """Return a name of one component; raises OSError for what would lead elsewhere. The last line of defence."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(errno.EINVAL, "this is no name that a file can have")
    return name


def unfinished_name() -> bytes:
    """Give a name for what has not got its own yet."""
    return b".siteferry-" + secrets.token_hex(8).encode()
