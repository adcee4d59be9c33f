"""The cache: a copy of the index in SQLite, and a digest of each directory as it was when it matched the index.

Disposable: without it the index is read again. It is valid if its (epoch, run) equal the head's and the head is
not open.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

from siteferry.plan import Problem
from siteferry.snapshot import SNAPSHOT_SCHEMA, Snapshot, transaction
from siteferry_contract.leaf import Entry, FileEntry, Leaf, by_sort_name, decode_entries
from siteferry_contract.leaf import sort_name as _sort_name

_SCHEMA_VERSION: Final = 4
_SCHEMA: Final = f"""
CREATE TABLE leaf (
    directory TEXT NOT NULL, bound TEXT NOT NULL, run INTEGER NOT NULL, had_delete INTEGER NOT NULL,
    gone INTEGER NOT NULL, files INTEGER NOT NULL, blob BLOB NOT NULL,
    PRIMARY KEY (directory, bound)
) WITHOUT ROWID;
CREATE INDEX leaf_files ON leaf (files);
{SNAPSHOT_SCHEMA}
CREATE TABLE look (path BLOB PRIMARY KEY, state TEXT NOT NULL, first REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE fragment (path BLOB PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE problem (directory TEXT NOT NULL, path BLOB NOT NULL, reason TEXT NOT NULL);
CREATE INDEX problem_directory ON problem (directory);
CREATE TABLE owed (directory TEXT, name TEXT, PRIMARY KEY (directory, name)) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Version:
    """Which state of the index a cache holds."""

    epoch: str
    run: int


class Cache:
    """The agent's copy of the index. Raises sqlite3.Error."""

    def __init__(self, path: Path, *, read_only: bool = False, progress: Callable[[], None] = lambda: None) -> None:
        """Open it; `progress` is called for each leaf where all are gone through."""
        self._path, self._progress = path, progress
        self._recent: dict[tuple[str, str], Leaf] = {}
        """The leaf that was last read, or those that were last written: names come by the directory."""
        self._db = _connect_to_read(path) if read_only else self._open()
        self.snapshot = Snapshot(self._db)
        """What the scan may skip."""

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

    @staticmethod
    def is_readable(path: Path) -> bool:
        """Tell whether there is a cache of this release."""
        try:
            db = _connect_to_read(path)
        except sqlite3.Error:
            return False
        db.close()
        return True

    def copy(self, path: Path) -> None:
        """Write a consistent copy, also while its owner works with it."""
        target = sqlite3.connect(path)
        with target:
            self._db.backup(target)
        target.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
                raise sqlite3.DatabaseError("another schema")
        except sqlite3.DatabaseError:
            db.close()
            self._remove()
            db = sqlite3.connect(self._path, isolation_level=None)
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def reset(self) -> None:
        """Begin anew, with nothing."""
        self._recent = {}
        self._db.close()
        self._remove()
        self._db = self._open()
        self.snapshot = Snapshot(self._db)

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    # ---- which index, and under which settings

    def version(self) -> Version | None:
        """Give the state of the index that the cache holds; None if it holds none."""
        epoch, run = self._meta("epoch"), self._meta("run")
        return Version(epoch, int(run)) if epoch is not None and run is not None else None

    def set_version(self, version: Version | None) -> None:
        """Record it. None, before a run's first commit: the cache is then no longer the state it was."""
        with self.transaction():
            self._db.execute("DELETE FROM meta WHERE name IN ('epoch', 'run')")
            if version:
                rows = [("epoch", version.epoch), ("run", str(version.run))]
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", rows)

    def set_table(self, table: str) -> None:
        """Record that a run was opened in this index table."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('table', ?)", (table,))

    def has_used(self, table: str) -> bool:
        """Tell whether that was so in this one, the last time."""
        return self._meta("table") == table

    def set_settings(self, fingerprint: str) -> None:
        """Forget the digests if they were made under other settings."""
        if self._meta("settings") != fingerprint:
            with self.transaction():
                self.snapshot.forget()
                self._db.execute("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", (fingerprint,))

    def load(self, leaves: Iterable[Leaf]) -> int:
        """Replace the copy of the index; gives the number of leaves. Digests and looks are forgotten."""
        self.set_version(None)
        self._recent = {}
        number = 0
        with self.transaction():
            self.snapshot.forget()
            self.set_owed(None)
            for table in ("leaf", "problem"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  table names of our own
            for leaf in leaves:
                self._put(leaf)
                number += 1
        return number

    # ---- the copy of the index

    def put_leaves(self, leaves: Sequence[Leaf]) -> None:
        """Take over leaves that were committed. Their directories' digests tell of another state and are forgotten."""
        self._recent = {}
        with self.transaction():
            for leaf in leaves:
                self._put(leaf)
                self.snapshot.doubt(leaf.directory)
        self._recent = {(leaf.directory, leaf.bound): leaf for leaf in leaves}

    def bounds(self, directory: str) -> list[str]:
        """Give the lower bounds of a directory's leaves, sorted; empty if it has none."""
        rows = self._db.execute("SELECT bound FROM leaf WHERE directory = ? ORDER BY bound", (directory,))
        return [row[0] for row in rows]

    def leaf(self, directory: str, bound: str) -> Leaf:
        """Give one leaf, which must exist."""
        if recent := self._recent.get((directory, bound)):
            return recent
        row = self._db.execute(
            "SELECT run, had_delete, gone, blob FROM leaf WHERE directory = ? AND bound = ?", (directory, bound)
        ).fetchone()
        leaf = Leaf(directory, bound, row[0], bool(row[1]), bool(row[2]), decode_entries(row[3]))
        self._recent = {(directory, bound): leaf}
        return leaf

    def leaves(self, directory: str) -> list[Leaf]:
        """Give a directory's leaves in order."""
        return [self.leaf(directory, bound) for bound in self.bounds(directory)]

    def leaf_for(self, directory: str, sort_name: str) -> Leaf | None:
        """Give the leaf in whose range a name lies."""
        bounds = self.bounds(directory)
        position = bisect_right(bounds, sort_name) - 1
        return self.leaf(directory, bounds[position]) if position >= 0 else None

    def entry(self, directory: str, sort_name: str) -> Entry | None:
        """Give one entry, or None."""
        leaf = self.leaf_for(directory, sort_name)
        return leaf.entry(sort_name) if leaf else None

    def all_leaves(self) -> Iterator[Leaf]:
        """Give every leaf by directory and bound, with the entries of its own range alone."""
        rows = self._db.execute(
            "SELECT directory, bound, run, had_delete, gone, blob,"
            " lead(bound) OVER (PARTITION BY directory ORDER BY bound) FROM leaf ORDER BY directory, bound"
        )
        for directory, bound, run, had_delete, gone, blob, end in rows:
            self._progress()
            # A split writes the upper half first: what a lower leaf still has of it is out of date.
            own = decode_entries(blob)
            if end is not None:
                own = tuple(entry for entry in own if _sort_name(entry) < end)
            yield Leaf(directory, bound, run, bool(had_delete), bool(gone), own)

    def directories(self) -> list[str]:
        """Give the directories that the index has as existing."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT directory FROM leaf WHERE NOT gone")]

    def entries(self, directory: str) -> dict[str, Entry]:
        """Give a directory's entries by sort name.

        A split writes the upper half first: what a lower leaf still has at or above the next bound is out of date.
        """
        found: dict[str, Entry] = {}
        leaves = self.leaves(directory)
        for leaf, following in zip_longest(leaves, leaves[1:]):
            entries = by_sort_name(leaf.entries)
            if following:
                entries = {name: entry for name, entry in entries.items() if name < following.bound}
            found |= entries
        return found

    def is_known(self, directory: str) -> bool:
        """Tell whether the index has the directory as existing."""
        query = "SELECT 1 FROM leaf WHERE directory = ? AND NOT gone LIMIT 1"
        return self._db.execute(query, (directory,)).fetchone() is not None

    def beneath(self, directory: str) -> list[str]:
        """Give a directory and all beneath it that the index has as existing, deepest last."""
        if not directory:
            query = "SELECT DISTINCT directory FROM leaf WHERE (NOT gone OR files > 0) ORDER BY directory"
            return [row[0] for row in self._db.execute(query)]
        rows = self._db.execute(
            "SELECT DISTINCT directory FROM leaf WHERE (NOT gone OR files > 0) AND (directory = ?1"
            " OR (directory >= ?1 || '/' AND directory < ?1 || '0')) ORDER BY directory",  # "0" follows "/"
            (directory,),
        )
        return [row[0] for row in rows]

    def file_count(self) -> int:
        """Give the number of published files."""
        return int(self._db.execute("SELECT coalesce(sum(files), 0) FROM leaf").fetchone()[0])

    def files_by_directory(self) -> Iterator[tuple[str, int]]:
        """Give the number of published files right in each directory that exists."""
        yield from self._db.execute("SELECT directory, sum(files) FROM leaf WHERE NOT gone GROUP BY directory")

    def shaped(self) -> tuple[int, int | None] | None:
        """Give the number of published files, and the tagged run, when the shape was last written; None: not known."""
        written = self._meta("shaped")
        if written is None:
            return None
        files, _, run = written.partition(" ")
        return int(files), int(run) if run else None

    def set_shaped(self, files: int, tagged_run: int | None) -> None:
        """Record them."""
        text = f"{files} {'' if tagged_run is None else tagged_run}"
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('shaped', ?)", (text,))

    def forget_shaped(self) -> None:
        """Forget them: the shape was lost with the index."""
        self._db.execute("DELETE FROM meta WHERE name = 'shaped'")

    def without_a_delete(self) -> list[tuple[str, str]]:
        """Give the leaves under which no name was ever deleted, as directory key and bound."""
        return self._db.execute("SELECT directory, bound FROM leaf WHERE NOT had_delete").fetchall()

    def owed(self, header_sets: str) -> list[tuple[str, str]] | None:
        """Give what alone is left to get other headers, as directory key and name; None: it is not known."""
        if self._meta("owed") != header_sets:
            return None
        return self._db.execute("SELECT directory, name FROM owed ORDER BY directory, name").fetchall()

    def set_owed(self, header_sets: str | None, names: Iterable[tuple[str, str]] = ()) -> None:
        """Record it for these sets of header rules; None: it is not known."""
        with self.transaction():
            self._db.execute("DELETE FROM meta WHERE name = 'owed'")
            self._db.execute("DELETE FROM owed")
            if header_sets is not None:
                self._db.execute("INSERT INTO meta VALUES ('owed', ?)", (header_sets,))
                self._db.executemany("INSERT INTO owed VALUES (?, ?)", names)

    # ---- looks (for a file system with a clock of its own) and problems

    def first_look(self, path: bytes, state: str, now: float) -> float:
        """Record that a file was seen in this state, and give when it was first seen so."""
        row = self._db.execute("SELECT state, first FROM look WHERE path = ?", (path,)).fetchone()
        if row and row[0] == state and row[1] <= now:
            return float(row[1])
        self._db.execute("INSERT OR REPLACE INTO look VALUES (?, ?, ?)", (path, state, now))
        return now

    def forget_looks(self, before: float) -> None:
        """Forget looks that began before this time."""
        self._db.execute("DELETE FROM look WHERE first < ?", (before,))

    def absences(self) -> set[bytes]:
        """Give the looks at names that were missing: they end with a slash, as no path does."""
        return {row[0] for row in self._db.execute("SELECT path FROM look WHERE substr(path, -1) = x'2f'")}

    def forget_look(self, path: bytes) -> None:
        """Forget one look."""
        self._db.execute("DELETE FROM look WHERE path = ?", (path,))

    def add_fragment(self, path: bytes, state: str) -> None:
        """Record that a file, in this state, is what an upload that was cut short left behind."""
        self._db.execute("INSERT OR REPLACE INTO fragment VALUES (?, ?)", (path, state))

    def fragments(self) -> set[bytes]:
        """Give their paths."""
        return {row[0] for row in self._db.execute("SELECT path FROM fragment")}

    def forget_fragment(self, path: bytes) -> None:
        """Forget one."""
        self._db.execute("DELETE FROM fragment WHERE path = ?", (path,))

    def has_fragments(self) -> bool:
        """Tell whether there are any."""
        return self._db.execute("SELECT 1 FROM fragment LIMIT 1").fetchone() is not None

    def is_fragment(self, path: bytes, state: str | None = None) -> bool:
        """Tell whether a file is one; in another state it is no longer, and that is recorded."""
        row = self._db.execute("SELECT state FROM fragment WHERE path = ?", (path,)).fetchone()
        if row and state is not None and row[0] != state:
            self._db.execute("DELETE FROM fragment WHERE path = ?", (path,))
            return False
        return row is not None

    def set_problems(self, directory: str, problems: Sequence[Problem]) -> None:
        """Record which names of a directory are not published."""
        self._db.execute("DELETE FROM problem WHERE directory = ?", (directory,))
        self._db.executemany(
            "INSERT INTO problem VALUES (?, ?, ?)", ((directory, problem.path, problem.reason) for problem in problems)
        )

    def forget_problems(self, directory: str) -> None:
        """Forget those of a directory that went, and of all beneath it."""
        self._db.execute(
            "DELETE FROM problem WHERE directory = ?1 OR (directory >= ?1 || '/' AND directory < ?1 || '0')",
            (directory,),
        )

    def problems(self, limit: int = -1) -> list[Problem]:
        """Give the names that are not published."""
        rows = self._db.execute("SELECT path, reason FROM problem ORDER BY path LIMIT ?", (limit,))
        return [Problem(path, reason) for path, reason in rows]

    def problem_count(self) -> int:
        """Give their number."""
        return int(self._db.execute("SELECT count(*) FROM problem").fetchone()[0])

    # ----

    def _put(self, leaf: Leaf) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO leaf VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                leaf.directory,
                leaf.bound,
                leaf.run,
                leaf.had_delete,
                leaf.gone,
                sum(isinstance(entry, FileEntry) for entry in leaf.entries),
                leaf.blob,
            ),
        )

    def _meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def transaction(self) -> AbstractContextManager[None]:
        """Have what is written in a block written as one; a block within a block is part of it."""
        return transaction(self._db)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a cache without ever changing or replacing it; raises sqlite3.Error."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
            raise sqlite3.DatabaseError("another schema")
    except sqlite3.Error:
        db.close()
        raise
    return db
