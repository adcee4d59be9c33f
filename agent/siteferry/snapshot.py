"""The snapshot: how each directory looked on disk when it matched the index, so that a scan may skip it.

It has a row for every directory that the last whole walk, and the partial ones since, found to be part of the site, so
that looking at each of them is looking at the whole tree. A row without a digest stands for a directory that must be
compared again; a directory that has lost its row has a parent without a digest.
"""

import sqlite3
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from siteferry.names import path_of, place_of

_COLUMNS: Final = """
    place BLOB PRIMARY KEY, directory TEXT NOT NULL, digest BLOB NOT NULL, device INTEGER NOT NULL,
    names INTEGER NOT NULL
"""
SNAPSHOT_SCHEMA: Final = f"""
CREATE TABLE snapshot ({_COLUMNS}) WITHOUT ROWID;
CREATE UNIQUE INDEX snapshot_directory ON snapshot (directory);
CREATE TABLE seen ({_COLUMNS}) WITHOUT ROWID;
"""


class Snapshot:
    """The snapshot's part of the cache. Raises sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Work on the cache's connection."""
        self._db = db

    def is_whole(self) -> bool:
        """Tell whether every directory of the tree has a row."""
        return self._db.execute("SELECT 1 FROM meta WHERE name = 'whole'").fetchone() is not None

    def begin_walk(self) -> None:
        """Forget what an earlier walk saw without coming to its end."""
        self._db.execute("DELETE FROM seen")

    def see(self, path: bytes, directory: str, digest: bytes = b"", device: int = 0, names: int = 0) -> None:
        """Record how a directory looks now; an empty digest: it must be compared again."""
        row = (place_of(path), directory, digest, device, names)
        self._db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?)", row)

    def end_walk(self, unfinished: AbstractSet[str]) -> None:
        """Take over what was seen: all of it matches the index now, but for directories with something left to do."""
        with transaction(self._db):
            clashing = "SELECT directory FROM seen"  # a directory's key may come by another path now
            self._db.execute(f"DELETE FROM snapshot WHERE directory IN ({clashing})")  # noqa: S608
            self._db.execute("INSERT OR REPLACE INTO snapshot SELECT * FROM seen")
            for directory in unfinished:
                self.doubt(directory)
            self._db.execute("DELETE FROM seen")
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('whole', '1')")

    def row(self, directory: str) -> tuple[bytes, int] | None:
        """Give digest and device of a directory when it last matched the index; None: it has no row."""
        row = self._db.execute("SELECT digest, device FROM snapshot WHERE directory = ?", (directory,)).fetchone()
        return (row[0], row[1]) if row else None

    def directory_at(self, path: bytes) -> str | None:
        """Give the key of a known directory by its path."""
        row = self._db.execute("SELECT directory FROM snapshot WHERE place = ?", (place_of(path),)).fetchone()
        return str(row[0]) if row else None

    def count(self) -> int:
        """Give the number of known directories."""
        return int(self._db.execute("SELECT count(*) FROM snapshot").fetchone()[0])

    def paths(self) -> list[bytes]:
        """Give the path of every known directory, each before what is beneath it."""
        return [path_of(row[0]) for row in self._db.execute("SELECT place FROM snapshot ORDER BY place")]

    def children(self, path: bytes, most: int) -> list[bytes]:
        """Give the names of up to so many subdirectories of a known directory."""
        above = place_of(path) + b"\0" if path else b""
        found: list[bytes] = []
        after = above + b"\1"
        while len(found) < most:
            row = self._db.execute("SELECT min(place) FROM snapshot WHERE place >= ?", (after,)).fetchone()
            if row[0] is None or not row[0].startswith(above):
                break
            found.append(row[0][len(above) :].partition(b"\0")[0])
            after = above + found[-1] + b"\1"  # past all that is beneath it
        return found

    def doubt(self, directory: str) -> None:
        """Have a directory compared again."""
        self._db.execute("UPDATE snapshot SET digest = x'' WHERE directory = ?", (directory,))

    def forget_beneath(self, path: bytes) -> None:
        """Take out a directory that is no longer part of the site, and all beneath it."""
        place, parent = place_of(path), place_of(path.rpartition(b"/")[0])
        with transaction(self._db):
            self._db.execute("UPDATE snapshot SET digest = x'' WHERE place = ?", (parent,))
            query = "DELETE FROM snapshot WHERE place = ? OR (place > ? AND place < ?)"
            self._db.execute(query, (place, place + b"\0", place + b"\1"))

    def forget(self) -> None:
        """Have the whole tree compared again."""
        self._db.execute("DELETE FROM snapshot")
        self._db.execute("DELETE FROM meta WHERE name = 'whole'")


def transaction(db: sqlite3.Connection) -> AbstractContextManager[None]:
    """Have what is written in a block written as one; a block within a block is part of it."""
    return nullcontext() if db.in_transaction else _Transaction(db)


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("ROLLBACK" if kind else "COMMIT")
