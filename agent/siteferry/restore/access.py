"""Who may do what with what is restored: owner, mode and POSIX ACL, never more than before or than the directory says.

In a mode (stat(2)) of what has an ACL the group's bits are the ACL's mask: what the group may is in the ACL (acl(5)).
"""

import errno
import os
import stat
import struct
from typing import Final, NamedTuple

from siteferry.restore.entry import Former, through

_ACL: Final = "system.posix_acl_access"
_HANDED_ON: Final = "system.posix_acl_default"
_NO_ACL: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP})
_HEADER: Final = 4
_ENTRY: Final = struct.Struct("<HHI")
"""Tag, rights, whose (linux/posix_acl_xattr.h)."""
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

_BITS: Final = 0o777
_NOBODY_ELSES: Final = 0o775
"""What is new is nobody else's to write, even if its directory is."""
_OF_FILES: Final = 0o666
_OF_DIRECTORIES: Final = stat.S_ISGID | stat.S_ISVTX


class Access(NamedTuple):
    """Owner and rights."""

    uid: int
    gid: int
    mode: int
    acl: bytes | None
    """As the kernel gives it, b"": there is none; None: what the directory hands on, if it does."""


class Within(NamedTuple):
    """The access that a directory gives to what is made in it."""

    files: Access
    directories: Access


def access_of(old: Former) -> Access:
    """Give that of a file that is there, but no right to become its owner when it runs."""
    status = old.status
    return Access(status.st_uid, status.st_gid, status.st_mode & _BITS, _read(through(old.descriptor), _ACL))


def access_within(directory: int) -> Within:
    """Give that of new files and directories in an open one, as it is written in its mode or its default ACL.

    Not as the umask of this process says: that is about the files of whoever runs it.
    """
    status = os.fstat(directory)
    if handed_on := _read(directory, _HANDED_ON):
        # The kernel has made an ACL of it, with such a mask that nobody but the owner may anything.
        mode = _mode_of(handed_on)
    else:
        mode = status.st_mode & _NOBODY_ELSES
        if acl := _read(directory, _ACL):
            mode = mode & ~0o070 | (_of_group(acl) << 3)
    uid, gid = status.st_uid, status.st_gid
    return Within(
        Access(uid, gid, mode & _OF_FILES, None),
        Access(uid, gid, mode | status.st_mode & _OF_DIRECTORIES, None),
    )


def give(descriptor: int, access: Access) -> bool:
    """Give a new file or directory, which is only this user's so far, its access; raises OSError.

    Tells whether owner and group are what they are to be. That takes root, and NFS may refuse it even then. Another
    group gets no right that not everybody had.
    """
    uid, gid = _own(descriptor, access)
    mode, acl = access.mode, access.acl
    if gid != access.gid:
        mode, acl = _narrowed(access), None if acl is None else b""
    if acl:
        try:
            os.setxattr(descriptor, _ACL, acl)
        except OSError:
            mode, acl = _narrowed(access), b""
    if not acl:
        if acl is not None and _read(descriptor, _ACL):
            os.removexattr(descriptor, _ACL)
        os.fchmod(descriptor, mode)
    return (uid, gid) == (access.uid, access.gid)


def _own(descriptor: int, access: Access) -> tuple[int, int]:
    """Give it its owner and group, or its group, and tell which it has."""
    status = os.fstat(descriptor)
    for uid in (access.uid, -1):
        if (status.st_uid, status.st_gid) == (access.uid, access.gid):
            break
        try:
            os.fchown(descriptor, uid, access.gid)
        except OSError:
            continue
        status = os.fstat(descriptor)
    return status.st_uid, status.st_gid


def _read(where: int | str, name: str) -> bytes:
    try:
        return os.getxattr(where, name)
    except OSError as error:
        if error.errno in _NO_ACL:
            return b""
        raise


def _entries(acl: bytes) -> list[tuple[int, int]]:
    """Give the rights with their tags, as they are behind the mask."""
    entries = [(tag, rights) for tag, rights, _ in _ENTRY.iter_unpack(acl[_HEADER:])]
    mask = dict(entries).get(_MASK, 0o7)
    return [(tag, rights & mask if tag in (_USER, _GROUP, _NAMED_GROUP) else rights) for tag, rights in entries]


def _of_group(acl: bytes) -> int:
    return dict(_entries(acl)).get(_GROUP, 0)


def _mode_of(acl: bytes) -> int:
    rights = dict(_entries(acl))
    return rights[_OWNER] << 6 | rights.get(_MASK, rights[_GROUP]) << 3 | rights[_OTHERS]


def _narrowed(access: Access) -> int:
    """Give a mode without an ACL that lets nobody but the owner do what not everybody may."""
    everybody = (access.mode >> 3) & access.mode & 0o7
    for tag, rights in _entries(access.acl or b""):
        everybody &= rights if tag not in (_OWNER, _MASK) else 0o7
    return access.mode & ~0o077 | everybody << 3 | everybody
