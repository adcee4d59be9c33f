"""`symlinks = "inside"`: where a symlink leads, found out name by name, beneath the root only.

Each name is opened relative to the directory before it and without being followed, `..` is the way down from the root
once more, and an absolute target counts from the root. So whatever is swapped meanwhile, no step can leave the root,
and every name on the way is held against what is excluded: openat2(2) would do the first by itself, but not tell the
names. Only files are followed to: links to directories can make circles, and a tree out of all proportion.
"""

import errno
import json
import os
import stat
from collections.abc import Sequence
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from siteferry.errors import FileChangedError, FileUnreadableError
from siteferry.names import join_path

MOST_NAMES: Final = 128
"""That are gone through for one link, all links on its way included: anybody can make long ways, at no cost."""
MOST_ENTERED: Final = 1024
"""Directories that are entered for one link: with each `..` all down from the root once more."""
NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of opening that say that there is nothing, or a symlink."""
FORMAT_SHIFT: Final = 12
"""Of the bits of st_mode that tell a file's type (inode(7))."""
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""How a file is opened: no symlink, no waiting for a FIFO's other end, no terminal."""

_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER: Final = _LOOK | os.O_DIRECTORY
_FOLD_NS: Final = 1_000_000


class Refused(IntEnum):
    """Why a link is not followed, as a file type that no file has."""

    OUTSIDE = 0o100
    EXCLUDED = 0o101
    DIRECTORY = 0o102
    NOTHING = 0o103
    OTHER = 0o104
    FAR = 0o105
    UNKNOWN = 0o106
    """It cannot be looked at: what is published of it stays."""


REFUSED_NAMES: Final[dict[int, str]] = {
    Refused.OUTSIDE: "a symlink out of the root",
    Refused.EXCLUDED: "a symlink to what is excluded",
    Refused.DIRECTORY: "a symlink to a directory",
    Refused.NOTHING: "a symlink to nothing",
    Refused.OTHER: "a symlink to what is neither a file nor a directory",
    Refused.FAR: f"a symlink in a circle, or through more than {MOST_NAMES} names",
    Refused.UNKNOWN: "a symlink whose target cannot be looked at",
}


class Looked(Protocol):
    """What the agent uses of a stat."""

    @property
    def st_mode(self) -> int: ...  # noqa: D102
    @property
    def st_ino(self) -> int: ...  # noqa: D102
    @property
    def st_size(self) -> int: ...  # noqa: D102
    @property
    def st_mtime_ns(self) -> int: ...  # noqa: D102
    @property
    def st_ctime_ns(self) -> int: ...  # noqa: D102


class Linked(NamedTuple):
    """A link as it counts: as the file that it leads to, or as why it leads to none."""

    st_mode: int
    st_ino: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    """The latest of the target's and of all links' on the way, less up to a millisecond that stands for which they are:
    so another target of the same size and mtime is seen, whatever was renamed to bring it about."""


class Excluding(Protocol):
    """Says which names are no part of the site."""

    globs: tuple[str, ...]

    def match(self, directory: bytes, name: bytes) -> bool:
        """Tell whether a name in a directory is excluded."""
        ...


class _RefusedError(Exception):
    def __init__(self, why: Refused) -> None:
        self.why = why


class Links:
    """Follows the links of one tree."""

    def __init__(self, root: int, roots: Sequence[bytes], excludes: Excluding) -> None:
        """Take the open root, what absolute targets beneath it may begin with, and what is excluded."""
        self._root, self._roots, self._excludes = root, tuple(roots), excludes

    @classmethod
    def of(cls, descriptor: int, root: Path, excludes: Excluding) -> Self:
        """Make them for a root as it is configured."""
        return cls(descriptor, (os.fsencode(root), os.path.realpath(os.fsencode(root))), excludes)

    def argument(self) -> str:
        """Give what another process needs to follow the same links."""
        return json.dumps([[root.hex() for root in self._roots], self._excludes.globs])

    def look(self, directory: int, path: bytes, name: bytes, status: Looked) -> Looked:
        """Say as what a link counts; `status` is its own."""
        try:
            _, linked, _ = self._find(directory, path, name, read=False)
        except _RefusedError as error:
            why = error.why
        except OSError as error:
            why = Refused.NOTHING if error.errno in NOT_THERE else Refused.UNKNOWN
        else:
            return linked
        mode = why << FORMAT_SHIFT
        return Linked(mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def open(self, directory: int, path: bytes, name: bytes) -> tuple[int, Linked, Looked]:
        """Open the file that a link leads to; gives as what the link counts, and the file itself. Raises FileError."""
        try:
            return self._find(directory, path, name, read=True)
        except _RefusedError as error:
            raise FileChangedError(f"it is now {REFUSED_NAMES[error.why]}") from None
        except OSError as error:
            if error.errno in NOT_THERE:
                raise FileChangedError("it no longer leads to a file") from None
            raise FileUnreadableError(f"cannot be read: {error.strerror}") from None

    def _find(self, directory: int, path: bytes, name: bytes, *, read: bool) -> tuple[int, Linked, Looked]:
        """Go the way; the descriptor is -1 unless the file is to be read. Raises _RefusedError, OSError."""
        todo = [name]
        """Names, the next one last."""
        way = _Way(self._root, directory, path)
        met: list[os.stat_result] = []
        try:
            for _ in range(MOST_NAMES):
                part = todo.pop()
                if part == b"..":
                    levels = 1
                    while todo and todo[-1] == b"..":
                        levels += 1
                        todo.pop()
                    way.climb(levels)
                elif part not in (b"", b"."):
                    if self._excludes.match(way.path, part):
                        raise _RefusedError(Refused.EXCLUDED)
                    status, target = way.look(part)
                    met.append(status)
                    if target is not None:
                        todo += self._names(target, way)
                    elif stat.S_ISDIR(status.st_mode):
                        way.enter(part)
                    elif not stat.S_ISREG(status.st_mode):
                        raise _RefusedError(Refused.OTHER)
                    elif todo:
                        raise _RefusedError(Refused.NOTHING)
                    else:
                        descriptor, met[-1] = way.read(part, status) if read else (-1, status)
                        return descriptor, _linked(met), met[-1]
                if not todo:
                    raise _RefusedError(Refused.DIRECTORY)
            raise _RefusedError(Refused.FAR)
        finally:
            way.close()

    def _names(self, target: bytes, way: "_Way") -> list[bytes]:
        """Give the names of a target, the first one last; of an absolute one from the root, where the way goes on."""
        if target.startswith(b"/"):
            for root in self._roots:
                if target.startswith(root + b"/") or target == root:
                    target = target[len(root) :]
                    break
            else:
                raise _RefusedError(Refused.OUTSIDE)
            way.go(b"")
        return target.split(b"/")[::-1]


class _Way:
    """Where the way of a link is: a directory beneath the root, by its path and open."""

    def __init__(self, root: int, directory: int, path: bytes) -> None:
        self._root, self.path = root, path
        self._at = os.dup(directory)
        self._entered = 0

    def close(self) -> None:
        os.close(self._at)

    def look(self, name: bytes) -> tuple[os.stat_result, bytes | None]:
        """Look at a name; gives a symlink's target, too."""
        descriptor = os.open(name, _LOOK, dir_fd=self._at)
        try:
            status = os.fstat(descriptor)
            return status, os.readlink(b"", dir_fd=descriptor) if stat.S_ISLNK(status.st_mode) else None
        finally:
            os.close(descriptor)

    def enter(self, name: bytes) -> None:
        self._entered += 1
        if self._entered > MOST_ENTERED:
            raise _RefusedError(Refused.FAR)
        self._go_on(os.open(name, _ENTER, dir_fd=self._at))
        self.path = join_path(self.path, name)

    def climb(self, levels: int) -> None:
        names = self.path.split(b"/") if self.path else []
        if levels > len(names):
            raise _RefusedError(Refused.OUTSIDE)
        self.go(b"/".join(names[:-levels]))

    def go(self, path: bytes) -> None:
        """Go down from the root."""
        self._go_on(os.dup(self._root))
        self.path = b""
        for name in path.split(b"/") if path else ():
            self.enter(name)

    def read(self, name: bytes, seen: os.stat_result) -> tuple[int, os.stat_result]:
        """Open a file that was seen, and look at it again."""
        descriptor = os.open(name, READ, dir_fd=self._at)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
            os.close(descriptor)
            raise _RefusedError(Refused.NOTHING)
        return descriptor, status

    def _go_on(self, descriptor: int) -> None:
        os.close(self._at)
        self._at = descriptor


def _linked(met: Sequence[os.stat_result]) -> Linked:
    """Give as what a link counts that led past links and directories to a file, the last."""
    file = met[-1]
    links = [status for status in met if stat.S_ISLNK(status.st_mode)]
    chain = [(status.st_dev, status.st_ino, status.st_ctime_ns) for status in [*links, file]]
    fold = int.from_bytes(blake2b(repr(chain).encode(), digest_size=8).digest(), "big") % _FOLD_NS
    latest = max(ctime for _, _, ctime in chain)
    return Linked(file.st_mode, file.st_ino, file.st_size, file.st_mtime_ns, latest - fold)


def is_unknown(status: Looked) -> bool:
    """Tell whether where a link leads cannot be looked at."""
    return status.st_mode >> FORMAT_SHIFT == Refused.UNKNOWN
