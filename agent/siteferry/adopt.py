"""`siteferry adopt`: what a bucket has already is entered in the index instead of being uploaded again (rule 9)."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from siteferry.cache import Cache
from siteferry.ports import ObjectStore
from siteferry.tree import FileState
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.keys import split
from siteferry_contract.leaf import FileEntry

DIFFERS: Final = "differs from the bucket"
"""The reason of a file whose object is there, but is not its."""

_ADOPTED: Final = "adopted"
_REFUSED: Final = "refused"
_NANO: Final = 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Adoption:
    """The bucket's listing, spilled to a temporary database. Use as a context manager."""

    def __init__(self, fudge: float) -> None:
        """Take the seconds by which an object may be older than its file."""
        self._fudge_ns = int(fudge * _NANO)
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE listed (key TEXT PRIMARY KEY, size INTEGER, modified INTEGER, verdict TEXT) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def list(self, objects: ObjectStore, descriptor: Descriptor) -> int:
        """List the bucket; gives the number of objects that may be files'."""
        for found in objects.list(descriptor.prefix):
            if not is_reserved(found.key.removeprefix(descriptor.prefix), descriptor.copy_rules):
                modified = (found.modified - _EPOCH) // timedelta(microseconds=1) * 1000
                row = (found.key, found.size, modified)
                self._db.execute("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, NULL)", row)
        return int(self._db.execute("SELECT count(*) FROM listed").fetchone()[0])

    def adopts(self, key: str, state: FileState) -> bool:
        """Tell whether the object of a key is the file's: of equal size, and not older.

        An object's time has whole seconds; where that leaves it open, the file is uploaded.
        """
        row = self._db.execute("SELECT size, modified FROM listed WHERE key = ?", (key,)).fetchone()
        if row is None:
            return False
        taken = bool(row[0] == state.size and row[1] >= state.mtime_ns - self._fudge_ns)
        self._db.execute("UPDATE listed SET verdict = ? WHERE key = ?", (_ADOPTED if taken else _REFUSED, key))
        return taken

    def forced(self, key: str) -> str | None:
        """Give a reason to invalidate a key that is uploaded: visitors may have the object cached that it replaces."""
        query = "SELECT 1 FROM listed WHERE key = ? AND verdict = ?"
        return DIFFERS if self._db.execute(query, (key, _REFUSED)).fetchone() else None

    def without_a_file(self, cache: Cache) -> int:
        """Give the number of objects that are no file's in the index either."""
        rows = self._db.execute("SELECT key FROM listed WHERE verdict IS NULL")
        return sum(not isinstance(cache.entry(*split(row[0])), FileEntry) for row in rows)
