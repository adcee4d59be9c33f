"""The scan: what is on disk now, directory by directory, in memory that does not grow with the tree."""

import errno
import functools
import os
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Final

from siteferry.links import FORMAT_SHIFT, REFUSED_NAMES, Links, Looked, Refused
from siteferry.lstat import lstat_all
from siteferry.names import join_path
from siteferry.tree import FileState, Tree, clamp, open_directory

DIGEST_BYTES: Final = 16
CHUNK: Final = 4096
"""Names that are read, and digested, together."""

_FILE, _DIRECTORY, _SYMLINK, _OTHER = b"f", b"d", b"l", b"o"
_REFUSED: Final = {why: b"%d" % number for number, why in enumerate(Refused)}
KIND_NAMES: Final = {_SYMLINK: "a symlink", _OTHER: "neither a file nor a directory"} | {
    kind: REFUSED_NAMES[why] for why, kind in _REFUSED.items()
}
_KIND_OF_FORMAT: Final = {0o10: _FILE[0], 0o12: _SYMLINK[0], 0o04: _DIRECTORY[0]} | {
    int(why): kind[0] for why, kind in _REFUSED.items()
}
"""By the bits of st_mode that tell a file's type."""
_LINK_FORMAT: Final = 0o12


@dataclass(slots=True)
class DirectoryScan:
    """One directory as it was read: columns in readdir order, but a chunk's subdirectories after its files."""

    path: bytes
    key: str
    """Directory key."""
    device: int
    names: list[str] = field(default_factory=list)
    """As the os functions give them."""
    kinds: bytearray = field(default_factory=bytearray)
    """One byte a name: f, d, l (symlink), o (other), or a digit: a symlink that is not followed, and why."""
    inodes: "array[int]" = field(default_factory=lambda: array("Q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    mtimes: "array[int]" = field(default_factory=lambda: array("q"))
    """Nanoseconds."""
    ctimes: "array[int]" = field(default_factory=lambda: array("q"))
    """Nanoseconds."""
    ctime_ns: int = 0
    """Of the directory itself, from before its names were read."""
    digest: bytes = b""
    """Of everything that the diff looks at, as `digest_directory` gives it."""

    def files(self) -> Iterator[tuple[bytes, FileState]]:
        """Give the regular files."""
        columns = zip(self.inodes, self.sizes, self.mtimes, self.ctimes, strict=True)
        for name, kind, state in zip(self.names, self.kinds, map(FileState._make, columns), strict=True):
            if kind == _FILE[0]:
                yield os.fsencode(name), state

    def subdirectories(self) -> list[bytes]:
        """Give the names of the subdirectories."""
        return [os.fsencode(self.names[n]) for n, kind in enumerate(self.kinds) if kind == _DIRECTORY[0]]

    def others(self) -> Iterator[tuple[bytes, str]]:
        """Give what is neither, with a word for it."""
        for n, kind in enumerate(self.kinds):
            if kind not in (_FILE[0], _DIRECTORY[0]):
                yield os.fsencode(self.names[n]), KIND_NAMES[bytes((kind,))]

    def unknown(self) -> Iterator[bytes]:
        """Give the names of symlinks of which it is not known where they lead."""
        for n, kind in enumerate(self.kinds):
            if kind == _REFUSED[Refused.UNKNOWN][0]:
                yield os.fsencode(self.names[n])


@dataclass(frozen=True, slots=True)
class UnreadableDirectory:
    """A directory whose content is not known: nothing beneath it may be taken for gone."""

    path: bytes
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class VanishedDirectory:
    """A directory that was there when its parent was read, and is no longer."""

    path: bytes
    key: str


Scanned = DirectoryScan | UnreadableDirectory | VanishedDirectory

Select = Callable[[DirectoryScan], Sequence[tuple[bytes, str]]]
"""Says which subdirectories of a directory are to be scanned: (name, directory key)."""


def walk(tree: Tree, path: bytes, key: str, select: Select) -> Iterator[Scanned]:
    """Scan a directory of the tree and what `select` lets through beneath it, each directory before what is beneath it.

    At any time one descriptor is open for each level; what `select` lets through keeps levels few, since a key has at
    most 1,024 bytes.
    """
    stack: list[_Level] = []
    begun: tuple[Scanned, int] | None = _begin(lambda: tree.open(path), path, key, tree)
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
            begun = _begin(
                functools.partial(open_directory, level.descriptor, name),
                join_path(level.path, name),
                child_key,
                tree,
            )
    finally:
        for level in stack:
            os.close(level.descriptor)


@dataclass(slots=True)
class _Level:
    """A directory whose subdirectories are being scanned."""

    path: bytes
    descriptor: int
    pending: Iterator[tuple[bytes, str]] = field(default_factory=lambda: iter(()))


def _begin(open_it: Callable[[], int], path: bytes, key: str, tree: Tree) -> tuple[Scanned, int]:
    try:
        descriptor = open_it()
    except FileNotFoundError:
        return VanishedDirectory(path, key), -1
    except OSError as error:
        return UnreadableDirectory(path, key, error.strerror or str(error)), -1
    return _read(descriptor, path, key, tree)


def _read(descriptor: int, path: bytes, key: str, tree: Tree) -> tuple[Scanned, int]:
    """Read an open directory; the descriptor is closed if that fails."""
    try:
        status = os.fstat(descriptor)
        scan = DirectoryScan(path, key, status.st_dev, ctime_ns=clamp(status.st_ctime_ns))
        digest = _Digest(key, scan.device)
        for names, states, subdirectories in _chunks(descriptor, path, tree.links):
            tree.progress()
            if len(scan.names) + len(names) + len(subdirectories) > tree.most_names:
                raise OSError(errno.EFBIG, f"more than {tree.most_names:,} names, `max_directory`")
            kinds, sizes, mtimes, ctimes = digest.add(names, states, subdirectories)
            none = [0] * len(subdirectories)
            scan.names += names + subdirectories
            scan.kinds += kinds + _DIRECTORY * len(subdirectories)
            scan.inodes.extend([state.st_ino for state in states])
            scan.inodes.extend(none)
            for column, values in ((scan.sizes, sizes), (scan.mtimes, mtimes), (scan.ctimes, ctimes)):
                column.extend(values)
                column.extend(none)
        scan.digest = digest.result()
    except OSError as error:
        os.close(descriptor)
        return UnreadableDirectory(path, key, error.strerror or str(error)), -1
    except BaseException:
        os.close(descriptor)
        raise
    return scan, descriptor


def digest_directory(
    descriptor: int,
    key: str,
    progress: Callable[[], None] = lambda: None,
    path: bytes = b"",
    links: Links | None = None,
) -> bytes:
    """Give the digest of an open directory with a directory key: equal digests, equal directories. Raises OSError.

    With `links`, for which the directory's path is needed, the files that symlinks lead to are part of it.

    16 bytes a directory are what a cycle without a change has to compare; 128 bits of BLAKE2b (RFC 7693) do not
    collide by chance, and whoever could make them collide could only hide their own change.
    """
    digest = _Digest(key, os.fstat(descriptor).st_dev)
    for names, states, subdirectories in _chunks(descriptor, path, links):
        progress()
        digest.add(names, states, subdirectories)
    return digest.result()


def _chunks(
    descriptor: int, path: bytes, links: Links | None
) -> Iterator[tuple[list[str], Sequence[Looked], list[str]]]:
    """Give the names and states of what is no directory, and the names of subdirectories, some at a time."""
    with os.scandir(descriptor) as entries:
        while chunk := list(islice(entries, CHUNK)):
            subdirectories = [entry.name for entry in chunk if entry.is_dir(follow_symlinks=False)]
            files = [entry for entry in chunk if not entry.is_dir(follow_symlinks=False)] if subdirectories else chunk
            try:
                states = lstat_all(files)
            except FileNotFoundError:
                there = [(entry, state) for entry in files if (state := _state(entry)) is not None]
                files, states = [entry for entry, _ in there], [state for _, state in there]
            yield [entry.name for entry in files], _follow(files, states, descriptor, path, links), subdirectories


def _follow(
    files: "Sequence[os.DirEntry[str]]",
    states: Sequence[os.stat_result],
    descriptor: int,
    path: bytes,
    links: Links | None,
) -> Sequence[Looked]:
    """Give the states with those of what symlinks lead to, if they are followed."""
    if links is None:
        return states
    return [
        links.look(descriptor, path, os.fsencode(entry.name), state)
        if state.st_mode >> FORMAT_SHIFT == _LINK_FORMAT
        else state
        for entry, state in zip(files, states, strict=True)
    ]


def _state(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


class _Digest:
    """Takes a directory's chunks."""

    def __init__(self, key: str, device: int) -> None:
        self._hash = blake2b(digest_size=DIGEST_BYTES)
        self._part(key.encode())
        self._hash.update(device.to_bytes(8, "little"))

    def add(
        self, names: Sequence[str], states: Sequence[Looked], subdirectories: Sequence[str]
    ) -> "tuple[bytes, array[int], array[int], array[int]]":
        """Take a chunk; gives its kinds, sizes, mtimes and ctimes."""
        kinds = bytes([_KIND_OF_FORMAT.get(state.st_mode >> FORMAT_SHIFT, _OTHER[0]) for state in states])
        sizes = array("q", [state.st_size for state in states])
        mtimes = _times([state.st_mtime_ns for state in states])
        ctimes = _times([state.st_ctime_ns for state in states])
        self._part("\0".join(names).encode(sys.getfilesystemencoding(), "surrogateescape"))
        self._part("\0".join(subdirectories).encode(sys.getfilesystemencoding(), "surrogateescape"))
        self._part(kinds)
        for column in (sizes, mtimes, ctimes):
            self._hash.update(column)
        return kinds, sizes, mtimes, ctimes

    def result(self) -> bytes:
        """Give the digest of all that was taken."""
        return self._hash.digest()

    def _part(self, part: bytes) -> None:
        self._hash.update(len(part).to_bytes(8, "little"))
        self._hash.update(part)


def _times(values: Iterable[int]) -> "array[int]":
    try:
        return array("q", values)
    except OverflowError:
        return array("q", map(clamp, values))
