"""Follows a log file that others write, rotate, truncate and remove. Never blocks, and does not need it to exist."""

import os
import stat
from pathlib import Path
from typing import Final

from siteferry.ftp_log import LONGEST_LINE

CHUNK: Final = 256 * 1024
MOST_AT_ONCE: Final = 1024 * 1024
"""Bytes that are read between two waits."""
MOST_BEHIND: Final = 16 * 1024 * 1024
"""Bytes; what lies further back is skipped, and a full scan finds what they told of."""


class Follower:
    """One log file, from its present end on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._offset = 0
        self._rest = b""
        self._too_long = False
        self.skipped = False
        """Lines were lost since this was last set to False."""
        self._open(at_end=True)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def lines(self) -> list[bytes]:
        """Give what was written since the last time, as whole lines; what is left of much comes the next time."""
        if self._descriptor < 0:
            self._open(at_end=False)
        found: list[bytes] = []
        left = MOST_AT_ONCE
        while self._descriptor >= 0 and left > 0:
            try:
                size = os.fstat(self._descriptor).st_size
                self._check_size(size)
                chunk = os.pread(self._descriptor, min(CHUNK, left), self._offset)
            except OSError:
                self.close()
                break
            self._offset += len(chunk)
            left -= len(chunk)
            found += self._split(chunk)
            if not chunk and not self._is_replaced():
                break
        return found

    def is_behind(self) -> bool:
        """Tell whether there is more to read."""
        try:
            return self._descriptor >= 0 and os.fstat(self._descriptor).st_size > self._offset
        except OSError:
            return False

    def _check_size(self, size: int) -> None:
        if size < self._offset:  # truncated, or copied away and truncated
            self._begin(0)
        elif size - self._offset > MOST_BEHIND:
            self._begin(size - MOST_AT_ONCE)
            self._too_long = True  # it begins within a line
            self.skipped = True

    def _begin(self, offset: int) -> None:
        self._offset, self._rest, self._too_long = offset, b"", False

    def _split(self, chunk: bytes) -> list[bytes]:
        *whole, rest = (self._rest + chunk).split(b"\n")
        if whole and self._too_long:
            whole, self._too_long = whole[1:], False
        if len(rest) > LONGEST_LINE:
            rest, self._too_long = b"", True
        self._rest = b"" if self._too_long else rest
        return whole

    def _is_replaced(self) -> bool:
        """Go on with another file that is at the path by now, if there is one."""
        try:
            there, ours = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return False  # rotated away, and no new one yet: its writer may still have it open
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            return False
        self.close()
        self._open(at_end=False)
        return self._descriptor >= 0

    def _open(self, *, at_end: bool) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return
        self._descriptor = descriptor
        self._begin(status.st_size if at_end else 0)
