"""What index and bucket disagree on: the bucket's listing beside the index, in bounded memory (rules 4 and 9)."""

import functools
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, Self

from siteferry.cache import Cache
from siteferry.ports import Executor, ListedObject, ObjectInfo, ObjectStore
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import check_key, join, split
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import UPLOAD, is_generated

CLOCK_SKEW: Final = timedelta(minutes=15)
"""S3 refuses requests from clocks that are further off (RequestTimeTooSkewed), so no effect is older than that."""

LOOKS_AT_ONCE: Final = 256

MISSING: Final = "not in the bucket"
SIZE: Final = "of another size in the bucket"
BYTES: Final = "of other bytes in the bucket"
GENERATED: Final = "a generated page is in its place"
STRAY: Final = "in the bucket, but neither a file of the site nor made for it"


class Looks(Protocol):
    """What looking needs."""

    @property
    def objects(self) -> ObjectStore:
        """The bucket."""
        ...

    @property
    def executor(self) -> Executor:
        """Runs several looks at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Which listed objects are looked at closely, with a HEAD."""

    live: Callable[[ListedObject], bool]
    """Of those that the index has with the same size."""
    other: Callable[[ListedObject], bool]
    """Of those that it does not have. Those that are not looked at count as agreed on."""
    doubts: bool
    """Whether an object whose bytes cannot be told counts as different."""
    derived: bool = False
    """Whether what the Lambdas make, duplicates and directory pages, is to be compared afterwards."""


class Disagreements:
    """Keys on which index and bucket disagree, spilled to a temporary database. Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE listed (key TEXT PRIMARY KEY, size INTEGER, generated INTEGER DEFAULT 0) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE suspect (key TEXT PRIMARY KEY, why TEXT) WITHOUT ROWID")
        self._db.execute("CREATE TABLE stray (key TEXT PRIMARY KEY, why TEXT, chosen INTEGER DEFAULT 0) WITHOUT ROWID")
        self._db.execute("BEGIN")
        self.foreign = 0
        """Objects with keys that no file can have, so that no agent wrote them: left alone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def find(self, cache: Cache, services: Looks, descriptor: Descriptor, scope: Scope) -> None:
        """List the bucket beside the index, and look closely at what the scope says."""
        look = Window(services)
        for listed in services.objects.list(descriptor.prefix):
            if is_reserved(listed.key.removeprefix(descriptor.prefix), descriptor.copy_rules):
                if scope.derived:
                    self._list(listed)
                continue
            if not self._may_be_a_files(listed.key, descriptor):
                continue
            self._list(listed)
            entry = cache.entry(*split(listed.key))
            if isinstance(entry, FileEntry):
                if listed.size != entry.size:
                    self._add("suspect", listed.key, SIZE)
                elif scope.live(listed):
                    self._judge(look.at(listed.key, entry), doubts=scope.doubts)
            elif scope.other(listed):
                self._judge(look.at(listed.key, None), doubts=scope.doubts)
        self._judge(look.rest(), doubts=scope.doubts)
        for key, _ in live_files(cache):
            if self.listed_size(key) is None:
                self._add("suspect", key, MISSING)

    def is_suspect(self, key: str) -> bool:
        """Tell whether index and bucket disagree on a key that the index lists, or may."""
        return self._has("suspect", key) or self._has("stray", key)

    def resolve(self, key: str) -> None:
        """Take a key off: index and bucket agree on it again."""
        for table in ("suspect", "stray"):
            self._db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))  # noqa: S608  names of our own

    def suspects(self) -> Iterator[tuple[str, str]]:
        """Give what the index lists and the bucket has otherwise, with why."""
        return self._rows("suspect")

    def choose(self, key: str) -> None:
        """Hear that a file of the tree is published under a key."""
        self._db.execute("UPDATE stray SET chosen = 1 WHERE key = ?", (key,))

    def strays_without_a_file(self) -> Iterator[str]:
        """Give the strays of whose keys nothing was heard."""
        return (key for key, _ in self._rows("stray", "AND NOT chosen"))

    def left(self) -> Iterator[str]:
        """Give what the index lists and the bucket has otherwise, and the strays of which something was heard."""
        yield from (key for key, _ in self._rows("suspect"))
        yield from (key for key, _ in self._rows("stray", "AND chosen"))

    def strays(self) -> Iterator[tuple[str, str]]:
        """Give what is in the bucket, but neither in the index nor made by a Lambda, with why."""
        return self._rows("stray")

    def count(self) -> int:
        """Give the number of keys that are still in disagreement."""
        row = self._db.execute("SELECT (SELECT count(*) FROM suspect) + (SELECT count(*) FROM stray)").fetchone()
        return int(row[0])

    # ---- the listing, for what is derived from the index

    def listed_size(self, key: str) -> int | None:
        """Give the size of a listed object; None if there is none."""
        row = self._db.execute("SELECT size FROM listed WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else None

    def listed_count(self) -> int:
        """Give the number of listed objects."""
        return int(self._db.execute("SELECT count(*) FROM listed").fetchone()[0])

    def listed_under(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Give listed objects under a prefix, with their sizes."""
        yield from self._db.execute(
            "SELECT key, size FROM listed WHERE key >= ?1 AND key < ?1 || char(1114111)", (prefix,)
        )

    def generated(self) -> Iterator[tuple[str, int]]:
        """Give the generated objects that were looked at, with their sizes."""
        yield from self._db.execute("SELECT key, size FROM listed WHERE generated ORDER BY key")

    def is_generated(self, key: str) -> bool:
        """Tell whether a generated object was seen there."""
        return self._db.execute("SELECT 1 FROM listed WHERE key = ? AND generated", (key,)).fetchone() is not None

    def add_stray(self, key: str, why: str, descriptor: Descriptor) -> None:
        """Count an object that looks like one of the Lambdas' as one that nobody made for this site."""
        if self._may_be_a_files(key, descriptor):
            self._add("stray", key, why)

    # ----

    def _may_be_a_files(self, key: str, descriptor: Descriptor) -> bool:
        try:
            check_key(key, descriptor.prefix)
        except ContractError:
            self.foreign += 1
            return False
        return True

    def _rows(self, table: str, where: str = "") -> Iterator[tuple[str, str]]:
        """Give (key, why) a page at a time, because keys are resolved meanwhile."""
        query = f"SELECT key, why FROM {table} WHERE key > ? {where} ORDER BY key LIMIT 1000"  # noqa: S608
        page = self._db.execute(query, ("",)).fetchall()
        while page:
            yield from page
            page = self._db.execute(query, (page[-1][0],)).fetchall()

    def _judge(self, looks: "Iterable[tuple[str, FileEntry | None, ObjectInfo | None]]", *, doubts: bool) -> None:
        for key, entry, found in looks:
            if entry is None:
                if found is not None and is_generated(found.metadata):
                    self._db.execute("UPDATE listed SET generated = 1 WHERE key = ?", (key,))
                elif found is not None:
                    self._add("stray", key, STRAY)
            elif why := difference(found, entry, doubts=doubts):
                self._add("suspect", key, why)

    def _list(self, listed: ListedObject) -> None:
        self._db.execute("INSERT OR REPLACE INTO listed (key, size) VALUES (?, ?)", (listed.key, listed.size))

    def _has(self, table: str, key: str) -> bool:
        query = f"SELECT 1 FROM {table} WHERE key = ?"  # noqa: S608
        return self._db.execute(query, (key,)).fetchone() is not None

    def _add(self, table: str, key: str, why: str) -> None:
        self._db.execute(f"INSERT OR IGNORE INTO {table} (key, why) VALUES (?, ?)", (key, why))  # noqa: S608


class Window:
    """HEADs, some at a time, in bounded memory."""

    def __init__(self, services: Looks) -> None:
        self._services = services
        self._begun: deque[tuple[str, FileEntry | None, Future[ObjectInfo | None]]] = deque()

    def at(self, key: str, entry: FileEntry | None) -> "Iterator[tuple[str, FileEntry | None, ObjectInfo | None]]":
        """Begin a look, and give what earlier ones saw when the window is full."""
        look = functools.partial(self._services.objects.head, key)
        self._begun.append((key, entry, self._services.executor.submit(look)))
        while len(self._begun) > LOOKS_AT_ONCE:
            yield self._next()

    def rest(self) -> "Iterator[tuple[str, FileEntry | None, ObjectInfo | None]]":
        """Give what the last ones saw."""
        while self._begun:
            yield self._next()

    def _next(self) -> "tuple[str, FileEntry | None, ObjectInfo | None]":
        key, entry, future = self._begun.popleft()
        return key, entry, future.result()


def of_unclosed_runs(cache: Cache, *, opened: float, first_open: int) -> Scope:
    """Look at what runs from `first_open` on may have touched; it was opened at `opened` (seconds since 1970)."""
    since = datetime.fromtimestamp(opened, UTC) - CLOCK_SKEW

    def may_have_lost_a_delete(listed: ListedObject) -> bool:
        # Its leaf does not name its dead, but knows of them.
        leaf = cache.leaf_for(*split(listed.key))
        return leaf is not None and leaf.had_delete and leaf.run >= first_open

    return Scope(
        live=lambda listed: listed.modified >= since,
        # Any other object no unclosed run has touched: it is the audit's business.
        other=lambda listed: listed.modified >= since or may_have_lost_a_delete(listed),
        doubts=True,
    )


def both(one: Scope, other: Scope) -> Scope:
    """Look at whatever either looks at."""
    return Scope(
        live=lambda listed: one.live(listed) or other.live(listed),
        other=lambda listed: one.other(listed) or other.other(listed),
        doubts=one.doubts or other.doubts,
        derived=one.derived or other.derived,
    )


def difference(found: ObjectInfo | None, entry: FileEntry, *, doubts: bool) -> str:
    """Say in what an object differs from what the index has of it; empty if in nothing.

    Of an object that was uploaded in parts S3 may have no checksum of the whole: that differs only for one who doubts.
    """
    if found is None:
        return MISSING
    if is_generated(found.metadata):
        return GENERATED
    if found.size != entry.size:
        return SIZE
    untold = found.crc64nvme is None and UPLOAD in found.metadata and not doubts
    return "" if entry.crc64nvme in (None, found.crc64nvme) or untold else BYTES


def live_files(cache: Cache) -> Iterator[tuple[str, FileEntry]]:
    """Give every key that the index lists as a file."""
    for leaf in cache.all_leaves():
        for name, entry in leaf.files.items():
            yield join(leaf.directory, name), entry
