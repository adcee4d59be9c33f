"""What uploads that were cut short left behind: by its log, a server says that a file on disk is not the whole of it.

The log names it in ways that may be another file's. So only a file that can be no other's, and has as many bytes as the
log says, is taken for a fragment; and only as long as it stays as it is.
"""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from siteferry.cache import Cache
from siteferry.errors import RootError
from siteferry.ftp_log import Logged, may_be
from siteferry.names import join_path
from siteferry.tree import FileState, Tree
from siteferry.whereabouts import Late, holder

MOST_FOUND: Final = 1_000
"""Names that resemble a logged one, and are looked at for its size."""
MOST_NAMES: Final = 100_000
"""In a directory that are looked through for one."""


def mark(cut_short: Collection[Logged], root: Path, roots: Sequence[bytes], cache: Cache, late: Late) -> list[Logged]:
    """Record in the cache which files are fragments; gives what it did not come to before it was late."""
    by_directory: dict[bytes, list[tuple[bytes, Logged]]] = {}
    left: list[Logged] = []
    for number, logged in enumerate(cut_short):
        place = None if late() else holder(logged, roots, cache.snapshot, late)
        if number and late():  # but for one that took all the time there was
            left.append(logged)
        elif place:
            by_directory.setdefault(place[0], []).append((place[1], logged))
    try:
        with Tree(root) as tree:
            for number, (path, files) in enumerate(by_directory.items()):
                if number and late():
                    left += [logged for _, logged in files]
                    continue
                for name, state in _fragments(tree, path, files):
                    cache.add_fragment(join_path(path, name), state.text())
    except RootError:
        return list(cut_short)  # the next cycle says so
    return left


def _fragments(tree: Tree, path: bytes, files: Sequence[tuple[bytes, Logged]]) -> Iterator[tuple[bytes, FileState]]:
    try:
        with tree.directory(path) as descriptor:
            for logged_name, logged in files:
                found = _resembling(descriptor, logged_name) if logged.lossy else [logged_name]
                states = [(name, state) for name in found if (state := _regular(descriptor, name))]
                fitting = [(name, state) for name, state in states if state.size == logged.cut_short]
                if len(fitting) == 1:
                    yield fitting[0]
    except OSError:
        return  # it went, or changes just now


def _resembling(directory: int, logged: bytes) -> list[bytes]:
    """Give the names that a lossy one may be; none where they are too many to tell that it is no other's."""
    with os.scandir(directory) as entries:
        names = [os.fsencode(entry.name) for entry in islice(entries, MOST_NAMES + 1)]
    found = [name for name in names if may_be(logged, name)]
    return found if len(names) <= MOST_NAMES and len(found) <= MOST_FOUND else []


def _regular(directory: int, name: bytes) -> FileState | None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return FileState.of(status) if stat.S_ISREG(status.st_mode) else None
