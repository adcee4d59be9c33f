"""`siteferry adopt`: what a bucket has already is entered in the index instead of being uploaded again (rule 9)."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from siteferry.cache import Cache
from siteferry.disagree import Looks, Window
from siteferry.plan import Action
from siteferry.ports import ObjectInfo, ObjectStore
from siteferry.tree import FileState
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.keys import INDEX_NAME, split
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import is_generated

DIFFERS: Final = "differs from the bucket"
"""The reason of a file whose object is there, but is not its."""

_TAKEN: Final = "taken"
_REFUSED: Final = "refused"
_NANO: Final = 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Adoption:
    """The bucket's listing, spilled to a temporary database. Use as a context manager."""

    def __init__(self, fudge: float | None) -> None:
        """Take the seconds by which an object may be older than its file; None: whatever its age, its bytes decide."""
        self._fudge_ns = None if fudge is None else int(fudge * _NANO)
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE listed (key TEXT PRIMARY KEY, size INTEGER, modified INTEGER, verdict TEXT) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @property
    def rebuilds(self) -> bool:
        """Whether the index was lost, and what is in the bucket is siteferry's own."""
        return self._fudge_ns is None

    def list(self, objects: ObjectStore, descriptor: Descriptor) -> int:
        """List the bucket; gives the number of objects that may be files'."""
        for found in objects.list(descriptor.prefix):
            if not is_reserved(found.key.removeprefix(descriptor.prefix), descriptor.copy_rules):
                modified = (found.modified - _EPOCH) // timedelta(microseconds=1) * 1000
                row = (found.key, found.size, modified)
                self._db.execute("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, NULL)", row)
        return int(self._db.execute("SELECT count(*) FROM listed").fetchone()[0])

    def adopts(self, key: str, state: FileState) -> Action | None:
        """Tell whether the object of a key is the file's: of equal size, and not older, or to be compared.

        An object's time has whole seconds; where that leaves it open, the file is uploaded.
        """
        row = self._db.execute("SELECT size, modified FROM listed WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        taken = row[0] == state.size and (self._fudge_ns is None or row[1] >= state.mtime_ns - self._fudge_ns)
        self._db.execute("UPDATE listed SET verdict = ? WHERE key = ?", (_TAKEN if taken else _REFUSED, key))
        if not taken:
            return None
        return Action.COMPARE if self.rebuilds else Action.ADOPT

    def forced(self, key: str) -> str | None:
        """Give a reason to invalidate a key that is uploaded: visitors may have the object cached that it replaces."""
        query = "SELECT 1 FROM listed WHERE key = ? AND verdict = ?"
        return DIFFERS if self._db.execute(query, (key, _REFUSED)).fetchone() else None

    def without_a_file(self, cache: Cache, looks: Looks) -> int:
        """Give the number of objects that are no file's in the index either.

        After a loss siteferry's own pages and redirects are in the bucket: those of directories that the index has do
        not count.
        """
        count, generated, window = 0, 0, Window(looks)
        for key in self._strays(cache):
            directory, name = split(key)
            count += 1
            if self.rebuilds and cache.is_known(directory) and (name == INDEX_NAME or cache.is_known(key)):
                generated += sum(map(_is_generated, window.at(key, None)))
        return count - generated - sum(map(_is_generated, window.rest()))

    def _strays(self, cache: Cache) -> Iterator[str]:
        for (key,) in self._db.execute("SELECT key FROM listed WHERE verdict IS NULL"):
            if not isinstance(cache.entry(*split(key)), FileEntry):
                yield key


def _is_generated(look: tuple[str, FileEntry | None, ObjectInfo | None]) -> bool:
    return look[2] is not None and is_generated(look[2].metadata)
