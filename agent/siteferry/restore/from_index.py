"""The site as the index has it."""

import functools
import os
from collections.abc import Iterator
from typing import Final

from siteferry.cache import Cache
from siteferry.diff import Naming, why_changed
from siteferry.names import join_path
from siteferry.restore.scope import Scope
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry.tree import FileState
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import join, root_directory, split
from siteferry_contract.leaf import Entry, FileEntry

_DIRECTORIES: Final = 8
"""Kept at hand: who asks for names goes by directories."""


class Published:
    """What the index has under a key."""

    def __init__(self, cache: Cache, naming: Naming) -> None:
        self._naming = naming
        self._entries = functools.lru_cache(_DIRECTORIES)(cache.entries)

    def file(self, key: str) -> FileEntry | None:
        """Give the entry of a file, or None."""
        directory, name = split(key)
        entry = self._entries(directory).get(name)
        return entry if isinstance(entry, FileEntry) else None

    def has(self, path: bytes, status: os.stat_result) -> bool:
        """Tell whether a file is on disk as it is published, so that the bucket has its bytes."""
        try:
            entry = self.file(self._naming.key(path))
        except ContractError:
            return False
        if entry is None:
            return False
        raw = self._naming.raw_if_differs(entry.name, path.rpartition(b"/")[2])
        return why_changed(entry, raw, FileState.of(status)) is None

    def path(self, key: str) -> bytes:
        """Give the path that a file has on the host; what of it the index does not have, as its key tells it."""
        directory, path = root_directory(self._naming.prefix), b""
        *parents, name = key.removeprefix(self._naming.prefix).split("/")
        for parent in parents:
            path = join_path(path, self._raw(directory, f"{parent}/", parent))
            directory = join(directory, parent)
        return join_path(path, self._raw(directory, name, name))

    def _raw(self, directory: str, sort_name: str, name: str) -> bytes:
        entry = self._entries(directory).get(sort_name)
        return self._naming.raw_name(name) if entry is None else _raw(entry, self._naming)


def take_from_index(cache: Cache, naming: Naming, scope: Scope, tree: WantedTree) -> None:
    """Add what is published of a scope, under the names that it had on the host."""
    for path, key in _directories(cache, naming, scope):
        whole = scope.has_directory(path)
        if whole:
            tree.add_directory(path)
        entries = [entry for entry in cache.entries(key).values() if isinstance(entry, FileEntry)]
        names = ((_raw(entry, naming), entry) for entry in entries)
        tree.add(
            Wanted(path, raw, join(key, entry.name), entry.size, entry.mtime_ns, entry.crc64nvme)
            for raw, entry in names
            if whole or scope.has(join_path(path, raw))
        )


def _directories(cache: Cache, naming: Naming, scope: Scope) -> Iterator[tuple[bytes, str]]:
    """Give the directories that have something of the scope: path and key."""
    waiting = [(b"", root_directory(naming.prefix))]
    while waiting:
        path, key = waiting.pop()
        yield path, key
        for entry in cache.entries(key).values():
            if not isinstance(entry, FileEntry):
                child = join_path(path, _raw(entry, naming))
                if scope.leads_to(child):
                    waiting.append((child, join(key, entry.name)))


def _raw(entry: Entry, naming: Naming) -> bytes:
    return entry.raw if entry.raw is not None else naming.raw_name(entry.name)
