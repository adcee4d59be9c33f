"""The scan: what is on disk now, directory by directory, in memory that does not grow with the tree."""

import os
import stat
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from siteferry.names import join_path
from siteferry.tree import FileState, Tree, clamp, open_directory

DIGEST_BYTES: Final = 16

_FILE, _DIRECTORY, _SYMLINK, _OTHER = b"f", b"d", b"l", b"o"
KIND_NAMES: Final = {_SYMLINK: "a symlink", _OTHER: "neither a file nor a directory"}


@dataclass(slots=True)
class DirectoryScan:
    """One directory as it was read: columns in readdir order."""

    path: bytes
    key: str
    """Directory key."""
    device: int
    names: list[str] = field(default_factory=list)
    """As the os functions give them."""
    kinds: bytearray = field(default_factory=bytearray)
    """One byte a name: f, d, l (symlink) or o (other)."""
    inodes: "array[int]" = field(default_factory=lambda: array("Q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    mtimes: "array[int]" = field(default_factory=lambda: array("q"))
    """Nanoseconds."""
    ctimes: "array[int]" = field(default_factory=lambda: array("q"))
    """Nanoseconds."""

    def digest(self) -> bytes:
        """Give a digest of everything that the diff looks at: equal digests, equal directories.

        16 bytes a directory are what a cycle without a change has to compare; 128 bits of BLAKE2b (RFC 7693) do not
        collide by chance, and whoever could make them collide could only hide their own change.
        """
        joined = "\0".join(self.names).encode(sys.getfilesystemencoding(), "surrogateescape")
        digest = blake2b(digest_size=DIGEST_BYTES)
        for part in (self.key.encode(), self.device.to_bytes(8, "little"), joined, self.kinds):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        for column in (self.sizes, self.mtimes, self.ctimes):
            digest.update(column)
        return digest.digest()

    def files(self) -> Iterator[tuple[bytes, FileState]]:
        """Give the regular files."""
        for n, kind in enumerate(self.kinds):
            if kind == _FILE[0]:
                state = FileState(self.inodes[n], self.sizes[n], self.mtimes[n], self.ctimes[n])
                yield os.fsencode(self.names[n]), state

    def subdirectories(self) -> list[bytes]:
        """Give the names of the subdirectories."""
        return [os.fsencode(self.names[n]) for n, kind in enumerate(self.kinds) if kind == _DIRECTORY[0]]

    def others(self) -> Iterator[tuple[bytes, str]]:
        """Give what is neither, with a word for it."""
        for n, kind in enumerate(self.kinds):
            if kind not in (_FILE[0], _DIRECTORY[0]):
                yield os.fsencode(self.names[n]), KIND_NAMES[bytes((kind,))]


@dataclass(frozen=True, slots=True)
class UnreadableDirectory:
    """A directory whose content is not known: nothing beneath it may be taken for gone."""

    path: bytes
    key: str
    reason: str


Scanned = DirectoryScan | UnreadableDirectory

Select = Callable[[DirectoryScan], Sequence[tuple[bytes, str]]]
"""Says which subdirectories of a directory are part of the site: (name, directory key)."""


def walk(tree: Tree, key: str, select: Select) -> Iterator[Scanned]:
    """Scan the tree depth first, each directory before what is beneath it.

    `key` is the root's directory key. At any time one descriptor is open for each level; what `select` lets
    through keeps levels few, since a key has at most 1,024 bytes.
    """
    stack: list[_Level] = []
    begun: tuple[Scanned, int] | None = _read(os.dup(tree.descriptor), b"", key)
    try:
        while begun or stack:
            if begun:
                scanned, descriptor = begun
                begun = None
                if isinstance(scanned, DirectoryScan):
                    stack.append(_Level(scanned.path, descriptor))
                yield scanned
                if isinstance(scanned, DirectoryScan):
                    stack[-1].pending = iter(select(scanned))
                continue
            level = stack[-1]
            child = next(level.pending, None)
            if child is None:
                os.close(stack.pop().descriptor)
                continue
            name, child_key = child
            path = join_path(level.path, name)
            try:
                begun = _read(open_directory(level.descriptor, name), path, child_key)
            except FileNotFoundError:
                continue
            except OSError as error:
                begun = UnreadableDirectory(path, child_key, error.strerror or str(error)), -1
    finally:
        for level in stack:
            os.close(level.descriptor)


@dataclass(slots=True)
class _Level:
    """A directory whose subdirectories are being scanned."""

    path: bytes
    descriptor: int
    pending: Iterator[tuple[bytes, str]] = field(default_factory=lambda: iter(()))


def _read(descriptor: int, path: bytes, key: str) -> tuple[Scanned, int]:
    """Read an open directory; the descriptor is closed if that fails."""
    try:
        scan = DirectoryScan(path, key, os.fstat(descriptor).st_dev)
        with os.scandir(descriptor) as entries:
            for entry in entries:
                _add(scan, entry)
    except OSError as error:
        os.close(descriptor)
        return UnreadableDirectory(path, key, error.strerror or str(error)), -1
    except BaseException:
        os.close(descriptor)
        raise
    return scan, descriptor


def _add(scan: DirectoryScan, entry: "os.DirEntry[str]") -> None:
    if entry.is_dir(follow_symlinks=False):
        row = (_DIRECTORY, 0, 0, 0, 0)
    else:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        kind = _FILE if stat.S_ISREG(status.st_mode) else _SYMLINK if stat.S_ISLNK(status.st_mode) else _OTHER
        row = (kind, status.st_ino, status.st_size, clamp(status.st_mtime_ns), clamp(status.st_ctime_ns))
    scan.names.append(entry.name)
    scan.kinds += row[0]
    scan.inodes.append(row[1])
    scan.sizes.append(row[2])
    scan.mtimes.append(row[3])
    scan.ctimes.append(row[4])
