"""What a restored tree is to have: every file and directory, spilled to a temporary database."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple, Self

_COLUMNS: Final = "directory, name, key, size, mtime_ns, crc64nvme, version, etag, published"


class Wanted(NamedTuple):
    """One file as it is to be."""

    directory: bytes
    """Path of its directory."""
    name: bytes
    key: str
    size: int
    """Bytes."""
    mtime_ns: int | None
    """None: what the object's metadata says, which is known when it is read."""
    crc64nvme: int | None
    """None: not known."""
    version: str | None = None
    """Of the object; None: the current one."""
    etag: str = ""
    published: bool = True
    """The bucket has the same bytes as the current version."""


class WantedTree:
    """All of it. Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE file (directory BLOB, name BLOB, key TEXT, size INTEGER, mtime_ns INTEGER, crc64nvme BLOB,"
            " version TEXT, etag TEXT, published INTEGER, PRIMARY KEY (directory, name)) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE directory (parent BLOB, name BLOB, PRIMARY KEY (parent, name)) WITHOUT ROWID")
        self._db.execute("CREATE TABLE covered (path BLOB PRIMARY KEY) WITHOUT ROWID")
        self._has_keys = False
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, files: Iterable[Wanted]) -> None:
        """Add files, and the directories that they are in; of two with one path the first stays."""
        for directory, beneath in groupby(files, key=attrgetter("directory")):
            self.add_directory(directory)
            query = "INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            self._db.executemany(query, map(_row, beneath))

    def add_directory(self, path: bytes) -> None:
        """Add a directory, and those that it is in."""
        while path:
            parent, _, name = path.rpartition(b"/")
            if not self._db.execute("INSERT OR IGNORE INTO directory VALUES (?, ?)", (parent, name)).rowcount:
                return
            path = parent

    def remove(self, wanted: Wanted) -> None:
        """Take a file out."""
        self._db.execute("DELETE FROM file WHERE directory = ? AND name = ?", (wanted.directory, wanted.name))

    def files(self, directory: bytes) -> dict[bytes, Wanted]:
        """Give a directory's files by name."""
        query = f"SELECT {_COLUMNS} FROM file WHERE directory = ?"  # noqa: S608
        return {row[1]: _wanted(row) for row in self._db.execute(query, (directory,))}

    def file(self, path: bytes) -> Wanted | None:
        """Give one file, or None."""
        directory, _, name = path.rpartition(b"/")
        query = f"SELECT {_COLUMNS} FROM file WHERE directory = ? AND name = ?"  # noqa: S608
        row = self._db.execute(query, (directory, name)).fetchone()
        return None if row is None else _wanted(row)

    def subdirectories(self, directory: bytes) -> list[bytes]:
        """Give the names of a directory's subdirectories, sorted."""
        query = "SELECT name FROM directory WHERE parent = ? ORDER BY name"
        return [row[0] for row in self._db.execute(query, (directory,))]

    def has_key(self, key: str) -> bool:
        """Tell whether one of the files has a key."""
        if not self._has_keys:
            self._db.execute("CREATE INDEX file_key ON file (key)")
            self._has_keys = True
        return self._db.execute("SELECT 1 FROM file WHERE key = ?", (key,)).fetchone() is not None

    def cover(self, path: bytes) -> None:
        """Remember a path whose key has something else now, so that nothing tells whether a file is to be there."""
        self._db.execute("INSERT OR IGNORE INTO covered VALUES (?)", (path,))

    def is_covered(self, path: bytes) -> bool:
        """Tell whether a path is remembered so."""
        return self._db.execute("SELECT 1 FROM covered WHERE path = ?", (path,)).fetchone() is not None

    def all(self) -> Iterator[Wanted]:
        """Give every file by directory and name."""
        after: tuple[bytes, bytes] = (b"", b"")
        query = f"SELECT {_COLUMNS} FROM file WHERE (directory, name) > (?, ?) ORDER BY directory, name LIMIT 1000"  # noqa: S608
        while rows := self._db.execute(query, after).fetchall():  # in parts: who goes through them may take some out
            yield from map(_wanted, rows)
            after = (rows[-1][0], rows[-1][1])

    def is_directory(self, path: bytes) -> bool:
        """Tell whether a path is to be a directory."""
        parent, _, name = path.rpartition(b"/")
        query = "SELECT 1 FROM directory WHERE parent = ? AND name = ?"
        return not path or self._db.execute(query, (parent, name)).fetchone() is not None

    def count(self) -> int:
        """Give the number of files."""
        return int(self._db.execute("SELECT count(*) FROM file").fetchone()[0])


def blob_of(crc: int | None) -> bytes | None:
    """Give a checksum as it is kept: it may be larger than SQLite's integers."""
    return None if crc is None else crc.to_bytes(8, "big")


def crc_of(blob: bytes | None) -> int | None:
    """Give the checksum that was kept."""
    return None if blob is None else int.from_bytes(blob, "big")


def _row(wanted: Wanted) -> tuple[object, ...]:
    return (*wanted[:5], blob_of(wanted.crc64nvme), *wanted[6:])


def _wanted(row: tuple[Any, ...]) -> Wanted:
    directory, name, key, size, mtime_ns, crc, version, etag, published = row
    return Wanted(directory, name, key, size, mtime_ns, crc_of(crc), version, etag, bool(published))
