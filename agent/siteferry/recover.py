"""Recovery: what an unfinished run may have left behind, found by comparing the index with the bucket (rule 4)."""

import functools
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, Self

from siteferry.cache import Cache
from siteferry.ports import Executor, ObjectInfo, ObjectStore
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import check_key, split
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import is_generated

CLOCK_SKEW: Final = timedelta(minutes=15)
"""S3 refuses requests from clocks that are further off (RequestTimeTooSkewed), so no effect is older than that."""

LOOKS_AT_ONCE: Final = 256


class Disagreements:
    """Keys on which index and bucket disagree, spilled to a temporary database. Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE listed (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TABLE suspect (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TABLE stray (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def find(self, cache: Cache, services: "Looks", descriptor: Descriptor, *, opened: float, first_open: int) -> None:
        """List the bucket, and look closely at what the unclosed runs may have touched.

        They began with run `first_open`, at `opened` (seconds since 1970).
        """
        since = datetime.fromtimestamp(opened, UTC) - CLOCK_SKEW
        look = Window(services)
        for listed in services.objects.list(descriptor.prefix):
            if is_reserved(listed.key.removeprefix(descriptor.prefix), descriptor.copy_rules):
                continue
            try:
                check_key(listed.key, descriptor.prefix)
            except ContractError:
                continue  # no file has such a key, so no agent wrote it
            entry = cache.entry(*split(listed.key))
            if isinstance(entry, FileEntry):
                self._add("listed", listed.key)
                if listed.size != entry.size:
                    self._add("suspect", listed.key)
                elif listed.modified >= since:
                    self._judge(look.at(listed.key, entry))
            elif listed.modified >= since or _may_have_lost_a_delete(cache, listed.key, first_open):
                # Any other object no unclosed run has touched: it is the audit's business.
                self._judge(look.at(listed.key, None))
        self._judge(look.rest())
        for leaf, end in cache.all_leaves():
            for name in leaf.files:
                key = f"{leaf.directory}/{name}" if leaf.directory else name
                if (end is None or name < end) and not self._has("listed", key):
                    self._add("suspect", key)

    def is_suspect(self, key: str) -> bool:
        """Tell whether index and bucket disagree on a key that the index lists, or may."""
        return self._has("suspect", key) or self._has("stray", key)

    def resolve(self, key: str) -> None:
        """Take a key off: index and bucket agree on it again."""
        for table in ("suspect", "stray"):
            self._db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))  # noqa: S608  names of our own

    def strays(self) -> Iterator[str]:
        """Give what is in the bucket, but neither in the index nor made by a Lambda."""
        yield from [row[0] for row in self._db.execute("SELECT key FROM stray ORDER BY key")]

    def count(self) -> int:
        """Give the number of keys that are still in disagreement."""
        row = self._db.execute("SELECT (SELECT count(*) FROM suspect) + (SELECT count(*) FROM stray)").fetchone()
        return int(row[0])

    def _judge(self, looked: "Iterable[tuple[str, FileEntry | None, ObjectInfo | None]]") -> None:
        for key, entry, found in looked:
            if entry is not None and _differs(found, entry):
                self._add("suspect", key)
            elif entry is None and found is not None and not is_generated(found.metadata):
                self._add("stray", key)

    def _has(self, table: str, key: str) -> bool:
        query = f"SELECT 1 FROM {table} WHERE key = ?"  # noqa: S608
        return self._db.execute(query, (key,)).fetchone() is not None

    def _add(self, table: str, key: str) -> None:
        self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES (?)", (key,))  # noqa: S608


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


def _differs(found: ObjectInfo | None, entry: FileEntry) -> bool:
    return (
        found is None
        or found.size != entry.size
        or is_generated(found.metadata)
        or (entry.crc64nvme is not None and found.crc64nvme != entry.crc64nvme)
    )


def _may_have_lost_a_delete(cache: Cache, key: str, first_open: int) -> bool:
    """Tell whether a key may have died in an unclosed run: its leaf does not name its dead, but knows of them."""
    leaf = cache.leaf_for(*split(key))
    return leaf is not None and leaf.had_delete and leaf.run >= first_open
