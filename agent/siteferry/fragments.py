"""What uploads that were cut short left behind: by its log, a server says that a file on disk is not the whole of it.

The log names it in ways that may be another file's. So only a file that can be no other's, and has as many bytes as the
log says, is taken for a fragment; and only as long as it stays as it is.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from siteferry.cache import Cache
from siteferry.errors import RootError
from siteferry.ftp_log import Logged, may_be
from siteferry.names import join_path
from siteferry.tree import FileState, Tree
from siteferry.whereabouts import holder

MOST_DIRECTORIES: Final = 16
"""That are read for it between two waits."""


def mark(cut_short: Iterable[Logged], root: Path, roots: Sequence[bytes], cache: Cache) -> None:
    """Record in the cache which files are fragments."""
    by_directory: dict[bytes, list[tuple[bytes, Logged]]] = {}
    for logged in cut_short:
        if place := holder(logged, roots, cache.snapshot):
            by_directory.setdefault(place[0], []).append((place[1], logged))
    try:
        with Tree(root) as tree:
            for path, files in list(by_directory.items())[:MOST_DIRECTORIES]:
                for name, state in _fragments(tree, path, files):
                    cache.add_fragment(join_path(path, name), state.text())
    except RootError:
        return  # the next cycle says so


def _fragments(tree: Tree, path: bytes, files: Sequence[tuple[bytes, Logged]]) -> Iterator[tuple[bytes, FileState]]:
    try:
        with tree.directory(path) as descriptor:
            with os.scandir(descriptor) as entries:
                names = [os.fsencode(entry.name) for entry in entries]
            for logged_name, logged in files:
                found = [name for name in names if name == logged_name or (logged.lossy and may_be(logged_name, name))]
                states = [(name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)) for name in found]
                fitting = [
                    (name, FileState.of(status))
                    for name, status in states
                    if stat.S_ISREG(status.st_mode) and status.st_size == logged.cut_short
                ]
                if len(fitting) == 1:
                    yield fitting[0]
    except OSError:
        return  # it went, or changes just now
