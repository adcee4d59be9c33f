"""The record of runs in the state directory: which run changed what, and when. Disposable, like all there."""
# ruff: noqa: D102 - the reporter's port says what each method hears

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from siteferry.plan import Action, Change, Totals
from siteferry.ports import Clock
from siteferry.report import Finding, Reporter, Summary
from siteferry.tree import FileState

NAME: Final = "runs.sqlite"
COMMIT_SECONDS: Final = 1.0
"""After which what was recorded survives the agent's sudden end."""
_DAY: Final = 86_400
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS run (number INTEGER PRIMARY KEY, opened REAL NOT NULL, closed REAL);
CREATE TABLE IF NOT EXISTS change (run INTEGER NOT NULL, path BLOB NOT NULL, what TEXT NOT NULL,
    PRIMARY KEY (run, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS change_path ON change (path);
"""

NEW: Final = "new"
CHANGED: Final = "changed"
DELETED: Final = "deleted"
TOUCHED: Final = "touched"
"""Its times changed, or its headers; its bytes are what they were."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run on this host."""

    number: int
    opened: float
    """Seconds since 1970, by this host's clock."""
    closed: float | None
    """None: it was cut short, or the record could not be written, so that not all it did may be recorded."""
    new: int
    changed: int
    deleted: int
    touched: int


class RunRecorder:
    """Passes everything on, and records what runs change. No run fails for want of these records."""

    def __init__(self, reporter: Reporter, path: Path, clock: Clock, days: int) -> None:
        """Record in a file beneath `path`, and forget after so many days."""
        self._reporter, self._clock, self._days = reporter, clock, days
        self._run: int | None = None
        self._committed = 0.0
        self._lost = False
        """Something of this run could not be recorded."""
        self._db: sqlite3.Connection | None = None
        with suppress(sqlite3.Error):
            self._db = sqlite3.connect(path / NAME, isolation_level=None)
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._db:
            with suppress(sqlite3.Error):
                self._commit()
                self._db.close()

    def note(self, text: str) -> None:
        self._reporter.note(text)

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        self._reporter.looking(hinted)

    def planned(self, totals: Totals) -> None:
        self._reporter.planned(totals)

    def opened(self, run: int) -> None:
        self._run, self._lost = run, False
        now = self._clock.now()
        # The number is another table's, if it was used before: the index began anew.
        self._write("DELETE FROM change WHERE run >= ?", run)
        self._write("DELETE FROM run WHERE number >= ?", run)
        old = "SELECT number FROM run WHERE opened < ?"
        self._write(f"DELETE FROM change WHERE run IN ({old})", now - self._days * _DAY)  # noqa: S608
        self._write("DELETE FROM run WHERE opened < ?", now - self._days * _DAY)
        self._write("INSERT INTO run VALUES (?, ?, NULL)", run, now)
        self._commit()
        self._reporter.opened(run)

    def transferred(self, change: Change) -> None:
        self._reporter.transferred(change)

    def differs(self, finding: Finding) -> None:
        self._reporter.differs(finding)

    def published(self, change: Change, *, uploaded: bool) -> None:
        if change.action is not Action.ADOPT:
            new = NEW if change.reason == NEW else CHANGED
            self._record(change.full_path, new if uploaded and change.action is Action.PUT else TOUCHED)
        self._reporter.published(change, uploaded=uploaded)

    def deleted(self, change: Change) -> None:
        self._record(change.full_path, DELETED)
        self._reporter.deleted(change)

    def failed(self, path: bytes, reason: str) -> None:
        self._reporter.failed(path, reason)

    def left_over(self, path: bytes, state: FileState | None) -> None:
        self._reporter.left_over(path, state)

    def closed(self, run: int) -> None:
        self._write("UPDATE run SET closed = ? WHERE number = ?", None if self._lost else self._clock.now(), run)
        self._commit()
        self._run = None
        self._reporter.closed(run)

    def finished(self, summary: Summary) -> None:
        self._reporter.finished(summary)

    def _record(self, path: bytes, what: str) -> None:
        self._write("INSERT OR REPLACE INTO change VALUES (?, ?, ?)", self._run, path, what)
        if self._clock.elapsed() - self._committed >= COMMIT_SECONDS:
            self._commit()

    def _write(self, statement: str, *values: object) -> None:
        if self._db:
            try:
                if not self._db.in_transaction:
                    self._db.execute("BEGIN")
                self._db.execute(statement, values)
            except sqlite3.Error:
                self._lost = True

    def _commit(self) -> None:
        self._committed = self._clock.elapsed()
        if self._db and self._db.in_transaction:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error:
                self._lost = True  # SQLite may have rolled back, or tries again with the next commit


class RunRecord:
    """What was recorded, to be read; also while a daemon writes. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Read what there is in a state directory; nothing, if there is none."""
        self._db: sqlite3.Connection | None = None
        if (path / NAME).exists():
            self._db = sqlite3.connect(f"file:{path / NAME}?mode=ro", uri=True, isolation_level=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._db:
            self._db.close()

    def runs(self, most: int) -> list[Run]:
        """Give the last runs, the newest first."""
        return [self._run(row) for row in self._select("SELECT * FROM run ORDER BY number DESC LIMIT ?", most)]

    def run(self, number: int) -> Run | None:
        """Give one run; None: this host has no record of it."""
        return next((self._run(row) for row in self._select("SELECT * FROM run WHERE number = ?", number)), None)

    def changes(self, number: int) -> Iterator[tuple[bytes, str]]:
        """Give what a run changed: path, and what became of it."""
        yield from self._select("SELECT path, what FROM change WHERE run = ? ORDER BY path", number)

    def paths(self, since: float) -> Iterator[bytes]:
        """Give every path that was changed by a run that was open then or later."""
        if self._db:
            query = "SELECT DISTINCT path FROM change JOIN run ON number = run WHERE closed IS NULL OR closed >= ?"
            with closing(self._db.execute(query, (since,))) as found:
                yield from (row[0] for row in found)

    def is_new_since(self, path: bytes, time: float) -> bool:
        """Tell whether a path was not published at a time, but is new by a run that began later."""
        query = (
            "SELECT what, opened FROM change JOIN run ON number = run"
            " WHERE path = ? AND (closed IS NULL OR closed >= ?) AND what != ? ORDER BY number LIMIT 1"
        )
        found = self._select(query, path, time, TOUCHED)
        return bool(found) and found[0][0] == NEW and found[0][1] > time

    def changed_after(self, number: int, path: bytes) -> int | None:
        """Give the first later run that changed a file's bytes, or deleted it; None: none did."""
        query = "SELECT min(run) FROM change WHERE path = ? AND run > ? AND what != ?"
        return next((row[0] for row in self._select(query, path, number, TOUCHED)), None)

    def run_of(self, path: bytes, at: float) -> int | None:
        """Give the run that changed a path about that time: the last that was open then; None: it is not known."""
        query = (
            "SELECT max(run.number) FROM change JOIN run ON run.number = change.run"
            " WHERE path = ? AND opened <= ? AND what != ?"
        )
        return next((row[0] for row in self._select(query, path, at + 1, TOUCHED)), None)

    def _run(self, row: tuple[int, float, float | None]) -> Run:
        query = "SELECT what, count(*) FROM change WHERE run = ? GROUP BY what"
        counts: dict[str, int] = dict(self._select(query, row[0]))
        return Run(*row, *(counts.get(what, 0) for what in (NEW, CHANGED, DELETED, TOUCHED)))

    def _select(self, query: str, *values: object) -> list[Any]:
        if self._db is None:
            return []
        with closing(self._db.execute(query, values)) as found:
            return found.fetchall()
