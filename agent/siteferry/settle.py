"""Is a file still being written? Judged by its ctime, which no FTP client can set."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from siteferry.tree import FileState

_OWN_CLOCK: Final = frozenset(
    "nfs nfs4 cifs smb3 9p ceph glusterfs lustre afs fuse fuseblk virtiofs ocfs2 gfs2 beegfs vboxsf".split()
)
_MOUNT_DEVICE, _MOUNT_SEPARATOR = 2, "-"


class Settling:
    """Judges files of one tree."""

    def __init__(
        self,
        seconds: float,
        now: Callable[[], float],
        first_look: Callable[[bytes, str, float], float],
        *,
        own_clock: bool,
    ) -> None:
        self._seconds, self._now, self._first_look = seconds, now, first_look
        self._own_clock = own_clock

    def settled(self, path: bytes, state: FileState) -> bool:
        """Tell whether nobody has written the file for `seconds`."""
        return self.left(path, state) <= 0

    def left(self, path: bytes, state: FileState) -> float:
        """Give the seconds until the file is settled if nobody writes it meanwhile; 0 or less: it is.

        The host's clock made the ctime, so their difference is the file's age. Where the file system has a clock of
        its own, or the ctime lies in the future, two looks `seconds` apart must agree instead.
        """
        now = self._now()
        age = now - state.ctime_ns / 1e9
        if age >= 0 and not self._own_clock:
            return self._seconds - age
        first = self._first_look(path, state.text(), now)
        return self._seconds - (now - first)


def has_own_clock(device: int, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Tell whether a device's file system takes its times from another machine (proc_pid_mountinfo(5))."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    for line in lines:
        fields = line.split(" ")
        if len(fields) > _MOUNT_DEVICE and fields[_MOUNT_DEVICE] == wanted and _MOUNT_SEPARATOR in fields:
            kind = fields[fields.index(_MOUNT_SEPARATOR) + 1]
            return kind in _OWN_CLOCK or kind.startswith("fuse.")
    # Btrfs subvolumes have device numbers that mountinfo does not list; remote file systems are always listed.
    return False
