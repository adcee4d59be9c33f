"""What a restore is about to do, each step with its reason; like a run's plan, known before the first effect."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Self

from siteferry.names import join_path
from siteferry.restore.wanted import Wanted, blob_of, crc_of


class Do(StrEnum):
    """What is done."""

    GET = "get"
    """Download a file."""
    TIME = "time"
    """Give a file its mtime: it has its bytes already."""
    MAKE = "make"
    """Make a directory."""
    DELETE = "delete"
    """Remove what is no directory."""
    REMOVE = "remove"
    """Remove a directory, if it is empty then."""


_DOS: Final = {do.value: do for do in Do}
_ROWS: Final = 500
_COLUMNS: Final = "do, reason, found, in_the_way, directory, name, key, size, mtime_ns, crc64nvme, version, etag"


class Step(NamedTuple):
    """One of them."""

    do: Do
    reason: str
    wanted: Wanted
    """Of a deletion and a directory: path and size alone."""
    found: str = ""
    """The state of the file that was there when it was planned (`FileState.text`); "": none was."""
    in_the_way: bool = False
    """It is deleted before the others: something of the site is to be in its place."""

    @property
    def path(self) -> bytes:
        """Relative to the root."""
        return join_path(self.wanted.directory, self.wanted.name)


@dataclass(slots=True)
class RestoreTotals:
    """What a plan comes to."""

    gets: int = 0
    get_bytes: int = 0
    times: int = 0
    directories: int = 0
    deletes: int = 0
    """Files."""
    held: int = 0
    """Deletes that the brake holds."""
    there: int = 0
    """Files that were looked at."""
    same: int = 0
    """Files that are there already, as they are to be."""
    kept: int = 0
    """What stays although the site does not have it, where such is removed: it is never published."""
    problems: int = 0
    """What cannot be restored, or is left as it is."""
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.gets or self.times or self.directories or self.deletes)


class RestorePlan:
    """The plan. Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE step (id INTEGER PRIMARY KEY, do TEXT, reason TEXT, directory BLOB, name BLOB, key TEXT,"
            " size INTEGER, mtime_ns INTEGER, crc64nvme BLOB, version TEXT, etag TEXT, found TEXT, in_the_way INTEGER)"
        )
        self._db.execute("CREATE TABLE problem (path BLOB, reason TEXT)")
        self._db.execute("BEGIN")
        self._rows: list[tuple[object, ...]] = []
        """Of steps, to be written together."""
        self.totals = RestoreTotals()
        self.hold_reason = ""
        """Why deletes are held; "": none are."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, step: Step) -> None:
        """Add a step."""
        wanted, totals = step.wanted, self.totals
        row = (*wanted[:5], blob_of(wanted.crc64nvme), *wanted[6:8])
        do = step.do
        self._rows.append((do.value, step.reason, *row, step.found, step.in_the_way))
        if len(self._rows) == _ROWS:
            self._write()
        if do is Do.GET:
            totals.gets += 1
            totals.get_bytes += wanted.size
        totals.times += do is Do.TIME
        totals.directories += do is Do.MAKE or do is Do.REMOVE
        totals.deletes += do is Do.DELETE
        if do is Do.GET or do is Do.DELETE:
            totals.reasons[step.reason] = totals.reasons.get(step.reason, 0) + 1

    def add_problem(self, path: bytes, reason: str) -> None:
        """Add something that is left as it is."""
        self._db.execute("INSERT INTO problem VALUES (?, ?)", (path, reason))
        self.totals.problems += 1

    def problems(self) -> Iterator[tuple[bytes, str]]:
        """Give them: path and reason."""
        yield from self._db.execute("SELECT path, reason FROM problem ORDER BY path")

    def hold_deletes(self, reason: str) -> None:
        """Leave out all deletions; what they are in the way of fails."""
        totals = self.totals
        self._write()
        removed = self._db.execute("SELECT count(*) FROM step WHERE do = ?", (Do.REMOVE.value,)).fetchone()[0]
        totals.held, totals.deletes, totals.directories = totals.deletes, 0, totals.directories - removed
        self.hold_reason = reason

    def in_the_way(self) -> Iterator[Step]:
        """Give the deletions that come first."""
        yield from self._deletions(in_the_way=True)

    def deletions(self) -> Iterator[Step]:
        """Give the deletions that come last."""
        yield from self._deletions(in_the_way=False)

    def steps(self) -> Iterator[Step]:
        """Give all but deletions, each directory after the one that it is in."""
        yield from self._select("do NOT IN ('delete', 'remove') ORDER BY id")

    def held(self) -> Iterator[Step]:
        """Give the deletes that are held."""
        if self.hold_reason:
            yield from self._select("do = 'delete' ORDER BY id")

    def all(self) -> Iterator[Step]:
        """Give every step that is carried out, in the order in which it was planned."""
        yield from self._select("do NOT IN ('delete', 'remove') ORDER BY id" if self.hold_reason else "1 ORDER BY id")

    def _deletions(self, *, in_the_way: bool) -> Iterator[Step]:
        if not self.hold_reason:
            yield from self._select(f"do = 'delete' AND in_the_way = {in_the_way:d} ORDER BY id")
            yield from self._select(f"do = 'remove' AND in_the_way = {in_the_way:d} ORDER BY id DESC")

    def _select(self, where: str) -> Iterator[Step]:
        query = f"SELECT {_COLUMNS} FROM step WHERE {where}"  # noqa: S608
        self._write()
        for do, reason, found, in_the_way, directory, name, key, size, mtime_ns, crc, *rest in self._db.execute(query):
            wanted = Wanted(directory, name, key, size, mtime_ns, crc_of(crc), *rest)
            yield Step(_DOS[do], reason, wanted, found, bool(in_the_way))

    def _write(self) -> None:
        self._db.executemany("INSERT INTO step VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._rows.clear()
