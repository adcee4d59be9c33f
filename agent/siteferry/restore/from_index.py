"""The site as the index has it."""

from collections.abc import Iterator

from siteferry.cache import Cache
from siteferry.diff import Naming
from siteferry.names import join_path
from siteferry.restore.scope import Scope
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry_contract.keys import join, root_directory
from siteferry_contract.leaf import FileEntry


def take_from_index(cache: Cache, naming: Naming, scope: Scope, tree: WantedTree) -> None:
    """Add what is published of a scope, under the names that it had on the host."""
    for path, key in _directories(cache, naming, scope):
        whole = scope.has_directory(path)
        if whole:
            tree.add_directory(path)
        entries = [entry for entry in cache.entries(key).values() if isinstance(entry, FileEntry)]
        names = ((entry.raw if entry.raw is not None else naming.raw_name(entry.name), entry) for entry in entries)
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
                child = join_path(path, entry.raw if entry.raw is not None else naming.raw_name(entry.name))
                if scope.leads_to(child):
                    waiting.append((child, join(key, entry.name)))
