"""Is a file still being written, or about to come back? Judged by ctimes, which no FTP client can set, and by locks."""

import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from siteferry.scan import DirectoryScan
from siteferry.tree import FileState
from siteferry_contract.leaf import Entry, FileEntry

_OWN_CLOCK: Final = frozenset(
    "nfs nfs4 cifs smb3 9p ceph glusterfs lustre afs fuse fuseblk virtiofs ocfs2 gfs2 beegfs vboxsf".split()
)
_MOUNT_DEVICE, _MOUNT_SEPARATOR = 2, "-"

LONGEST_ABSENCE: Final = 6
"""Times `settle`, for which a name that is missing from a directory that others go on changing may come back."""
UPLOAD_SECONDS: Final = 3600
"""After its last byte, for which an upload under a temporary name may still take the place of what is missing."""
_RESUMED: Final = b".pureftpd-upload."
"""While an upload is resumed, Pure-FTPd has the file under such a name only: which file it is, is not known."""
_STAND_INS: Final = (b".in.%b.", b".in.%b", b"%b.filepart")
"""Names under which a file is uploaded: ProFTPD's HiddenStores, lftp, WinSCP."""

Locked = Callable[[], AbstractSet[tuple[int, int]]]
"""Gives (device, inode) of the files that are locked for writing."""


class Settling:
    """Judges files of one tree."""

    def __init__(
        self,
        seconds: float,
        now: Callable[[], float],
        first_look: Callable[[bytes, str, float], float],
        *,
        own_clock: bool,
        device: int = 0,
        locked: Locked = frozenset,
    ) -> None:
        """Make it; `locked` is asked once, when the first file would count as settled on `device`."""
        self._seconds, self._now, self._first_look = seconds, now, first_look
        self._own_clock = own_clock
        self._device, self._ask = device, locked
        self._locked: AbstractSet[tuple[int, int]] | None = None

    def settled(self, path: bytes, state: FileState) -> bool:
        """Tell whether nobody has written the file for `seconds`, and nobody has it locked to write it."""
        if self.left(path, state) > 0:
            return False
        if self._locked is None:
            self._locked = self._ask()
        return not self._locked or (self._device, state.inode) not in self._locked

    def gone(self, scan: DirectoryScan) -> Callable[[bytes, Entry, bool], bool]:
        """Tell for a directory whether a published name that is missing there will not be back in a moment.

        Mirror tools delete before they upload again, and clients before they rename. So the directory has to be left
        alone for `seconds`, in which no name came or went; but not for ever, where others go on changing it.
        """
        now = self._now()
        uploads = {
            name
            for name, state in scan.files()
            if _may_be_an_upload(name) and 0 <= now - state.ctime_ns / 1e9 < UPLOAD_SECONDS
        }
        if any(name.startswith(_RESUMED) for name in uploads):
            return lambda *_: False
        quiet = now - scan.ctime_ns / 1e9 >= self._seconds and not self._own_clock
        longest = self._seconds * (1 if self._own_clock else LONGEST_ABSENCE)

        def is_gone(path: bytes, entry: Entry, is_there: bool) -> bool:
            name = path.rpartition(b"/")[2]
            if uploads and any(stand_in % name in uploads for stand_in in _STAND_INS):
                return False
            if isinstance(entry, FileEntry):
                mark, look = absence_of_file(path), f"gone {entry.ctime_ns}"
            else:
                mark, look = absence_of_directory(path), "gone"
            if is_there:  # a symlink, whose target may come back: its own directory does not show that
                return now - self._first_look(mark, look, now) >= self._seconds
            return quiet or now - self._first_look(mark, look, now) >= longest

        return is_gone

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


def absence_of_file(path: bytes) -> bytes:
    """Give the name of the looks at a file that is missing. No path ends so: something else may be in its place."""
    return path + b"/"


def absence_of_directory(path: bytes) -> bytes:
    """The same for a directory."""
    return path + b"//"


def _may_be_an_upload(name: bytes) -> bool:
    return name.startswith((_RESUMED, b".in.")) or name.endswith(b".filepart")


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
