"""inotify(7) through the C library. A directory is watched by its descriptor, so that no symlink leads out."""

import ctypes
import functools
import os
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

IN_ATTRIB: Final = 0x4
IN_CLOSE_WRITE: Final = 0x8
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x0100_0000
IN_EXCL_UNLINK: Final = 0x0400_0000
IN_ISDIR: Final = 0x4000_0000

_CHANGES: Final = (
    IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
)
_EVENT: Final = struct.Struct("iIII")
"""watch, mask, cookie, length of the name that follows."""
_READ_BYTES: Final = 256 * 1024
_MOST_READS: Final = 64
"""Between two waits: whoever makes events faster than they are read must not keep the agent from its work."""


class Event(NamedTuple):
    """Something happened in a watched directory. In what file is of no interest."""

    watch: int
    mask: int


class Inotify:
    """One instance. Raises OSError."""

    def __init__(self) -> None:
        self._descriptor = _checked(_library().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def close(self) -> None:
        """End all watches."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def add(self, directory: int) -> int:
        """Watch an open directory; gives the watch's number, which is the same for the same directory."""
        path = f"/proc/self/fd/{directory}".encode()
        mask = _CHANGES | IN_ONLYDIR | IN_EXCL_UNLINK
        return _checked(_library().inotify_add_watch(self._descriptor, path, mask))

    def remove(self, watch: int) -> None:
        """End a watch."""
        _checked(_library().inotify_rm_watch(self._descriptor, watch))

    def events(self) -> Iterator[Event]:
        """Give what happened since the last time."""
        for _ in range(_MOST_READS):
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _cookie, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                yield Event(watch, mask)


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.inotify_init1.argtypes = [ctypes.c_int]
    library.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
    library.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
    return library


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
