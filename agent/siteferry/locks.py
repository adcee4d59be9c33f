"""Who has a file locked to write it? Asked only: the agent never takes a lock, so it never keeps a server waiting.

vsftpd holds a POSIX lock from the first byte of an upload to the last (`lock_upload_files`, on by default). Two ways to
ask, because neither sees all: the descriptor (POSIX and OFD locks, those of other hosts on NFS too), when a file is
read; the kernel's list (flock(2) too, but only of this host), once for a whole plan.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

LOCKS: Final = Path("/proc/locks")
_QUESTION: Final = struct.pack("hhqqi0q", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
"""struct flock (fcntl(2)): would a read lock on the whole file be granted?"""
_UNLOCKED: Final = struct.pack("h", fcntl.F_UNLCK)
_KINDS: Final = frozenset({"POSIX", "OFDLCK", "FLOCK"})
_KIND, _ACCESS, _PLACE, _FIELDS = 1, 3, 5, 6


def is_write_locked(descriptor: int) -> bool:
    """Tell whether another process holds a write lock on any part of an open file (F_OFD_GETLK)."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _QUESTION)[: len(_UNLOCKED)] != _UNLOCKED
    except OSError:
        return False  # a file system without locks


def write_locked(locks: Path = LOCKS) -> frozenset[tuple[int, int]]:
    """Give (device, inode) of every file that this host's kernel knows to be locked for writing (proc_locks(5)).

    Empty where the list is not to be had, and without the files of Btrfs subvolumes, which have other device numbers
    here: those are seen when they are read.
    """
    try:
        lines = locks.read_text("ascii", "replace").splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        fields = line.split()
        # "1: -> POSIX …" waits for a lock, and has none.
        if len(fields) < _FIELDS or fields[_KIND] not in _KINDS or fields[_ACCESS] != "WRITE":
            continue
        major, minor, inode = fields[_PLACE].split(":")
        found.add((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
    return frozenset(found)
