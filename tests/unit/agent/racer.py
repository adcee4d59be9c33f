"""A hostile user at full speed: two names change places, again and again, until this process is ended.

Run by the tests as a process of its own: `racer.py FIRST SECOND [FIRST SECOND …]`. It says so once it has begun.
"""

import ctypes
import os
import sys

AT_FDCWD = -100
RENAME_EXCHANGE = 2

_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: bytes, other: bytes) -> None:
    """Have two names change places in one step (renameat2(2)); raises OSError."""
    if _libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(one))


def main(names: list[bytes]) -> None:
    """Race."""
    pairs = list(zip(names[::2], names[1::2], strict=True))
    begun = False
    while True:
        for one, other in pairs:
            exchange(one, other)
        if not begun:
            os.write(1, b"begun\n")
            begun = True


if __name__ == "__main__":
    main([os.fsencode(name) for name in sys.argv[1:]])
