"""A place in the tree: what is on disk at one path, and which rules of naming apply to it."""

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from siteferry.cache import Cache
from siteferry.diff import Naming, choose, publishable_name
from siteferry.errors import FileError, FileLockedError
from siteferry.links import FORMAT_SHIFT, NOT_THERE, REFUSED_NAMES, Looked
from siteferry.names import join_path
from siteferry.scan import DirectoryScan, walk
from siteferry.tree import FileState, OpenFile, Tree
from siteferry_contract.keys import MAX_KEY_BYTES, UnpublishableNameError, decode_name, join, root_directory


class Kind(StrEnum):
    """What a path can be."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"
    """A device, a FIFO, a socket."""
    NOTHING = "nothing"
    UNREADABLE = "unreadable"
    """A directory that this user may not read, so that nothing is known."""


_KINDS: Final = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK}


@dataclass(frozen=True, slots=True)
class Place:
    """What is on disk at a path."""

    path: bytes
    kind: Kind
    """Of what is at `at`."""
    at: bytes
    """Where the look ended: the path, or the parent that is no directory, is missing or cannot be read."""
    state: FileState | None = None
    error: str = ""
    """Why a file or directory that is there cannot be read."""
    link: str = ""
    """What a symlink that is not followed is, where some are."""
    locked: bool = False
    """Another process has the file locked to write it."""

    @property
    def is_whole(self) -> bool:
        """Whether the look came to the path's end."""
        return self.at == self.path


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules of naming make of a path."""

    key: str | None
    """The key, or directory key; None: it can have none."""
    at: bytes
    """The path, or the parent that is excluded or cannot be published."""
    glob: str | None = None
    """That excludes it."""
    problem: str = ""
    """Why it cannot be published."""


def look_at(tree: Tree, path: bytes) -> Place:
    """Look at a path, following no symlink."""
    at, state = b"", FileState.of(os.fstat(tree.descriptor))
    for name in path.split(b"/") if path else ():
        try:
            with tree.directory(at) as parent:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno in NOT_THERE:
                return Place(path, Kind.NOTHING, join_path(at, name))
            return Place(path, Kind.UNREADABLE, at, error=error.strerror or str(error))
        at, state = join_path(at, name), FileState.of(status)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), Kind.OTHER)
        if kind is not Kind.DIRECTORY:
            linked = _look_through(tree, at) if kind is Kind.SYMLINK else None
            if linked and stat.S_ISREG(linked.st_mode):
                kind, state = Kind.FILE, FileState.of(linked)
            word = REFUSED_NAMES.get(linked.st_mode >> FORMAT_SHIFT, "") if linked else ""
            why, locked = _why_unreadable(tree, at, state) if kind is Kind.FILE else ("", False)
            return Place(path, kind, at, state, why, word, locked)
    try:
        with tree.directory(path) as descriptor:
            os.scandir(descriptor).close()
    except OSError as error:
        return Place(path, Kind.UNREADABLE, path, state, error.strerror or str(error))
    return Place(path, Kind.DIRECTORY, path, state)


def rules_of(tree: Tree, cache: Cache, naming: Naming, path: bytes, *, directory: bool) -> Rules:
    """Say what the rules of naming make of a path, whether anything is there or not."""
    at, key = b"", root_directory(naming.prefix)
    found: tuple[bytes, str | None, str] | None = None
    parts = path.split(b"/") if path else []
    for depth, raw in enumerate(parts, 1):
        full, is_directory = join_path(at, raw), directory or depth < len(parts)
        if not found and (glob := naming.excludes.which(at, raw)):
            found = full, glob, ""
        if not found and (problem := _problem(tree, cache, naming, at, key, raw, directory=is_directory)):
            found = full, None, problem
        try:
            at, key = full, join(key, decode_name(raw, naming.encoding))
        except UnpublishableNameError:
            return Rules(None, *found) if found else Rules(None, full)
    return Rules(key if len(key.encode()) <= MAX_KEY_BYTES else None, *(found or (path,)))


def _problem(tree: Tree, cache: Cache, naming: Naming, at: bytes, key: str, raw: bytes, *, directory: bool) -> str:
    """Say why a name in a directory has no key of its own; empty if it has."""
    try:
        publishable_name(key, raw, naming, directory=directory)
    except UnpublishableNameError as error:
        return str(error)
    scan = next(iter(list(walk(tree, at, key, lambda _: ()))), None)
    if not isinstance(scan, DirectoryScan):
        return ""
    problems = choose(scan, naming, lambda: cache.entries(key)).problems
    # What is neither a file nor a directory is no matter of its name.
    others = {other for other, _ in scan.others()}
    path = join_path(at, raw)
    return next((problem.reason for problem in problems if problem.path == path and raw not in others), "")


def _look_through(tree: Tree, path: bytes) -> Looked | None:
    """Say as what a symlink counts; None: none is followed."""
    if not tree.links:
        return None
    directory, _, name = path.rpartition(b"/")
    try:
        with tree.directory(directory) as parent:
            return tree.links.look(parent, directory, name, os.stat(name, dir_fd=parent, follow_symlinks=False))
    except OSError:
        return None


def _why_unreadable(tree: Tree, path: bytes, state: FileState) -> tuple[str, bool]:
    """Say why a file cannot be read (empty: it can), and whether another process has it locked to write it."""
    directory, _, name = path.rpartition(b"/")
    try:
        with tree.directory(directory) as parent, OpenFile(parent, name, state, tree.links, directory):
            return "", False
    except OSError as error:
        return error.strerror or str(error), False
    except FileLockedError:
        return "", True
    except FileError as error:
        return str(error), False
