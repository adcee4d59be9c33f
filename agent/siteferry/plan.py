"""The plan: every change a run is about to make, each with its reason, known before the first effect.

Spilled to a temporary SQLite database, so a plan of millions of changes costs no memory.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple, Self

from siteferry.names import join_path
from siteferry.tree import FileState
from siteferry_contract.keys import join

CHUNK: Final = 2000
"""Changes of one directory that are worked on, and committed, together."""


class Action(StrEnum):
    """What is to be done about a name or a directory."""

    PUT = "put"
    ADOPT = "adopt"
    """Enter a file whose object is in the bucket already."""
    COMPARE = "compare"
    """Enter a file whose object, which has its size, turns out to have its checksum; put it otherwise."""
    HEADERS = "headers"
    """Give a published object the headers of the present rules, by a copy of it onto itself."""
    DELETE = "delete"
    ADD_DIRECTORY = "add-directory"
    """Enter a subdirectory in its parent's leaf."""
    DROP_DIRECTORY = "drop-directory"
    CREATE = "create"
    """Give a directory its first leaf."""
    GONE = "gone"
    """Mark a directory's leaves: it no longer exists."""


_ACTIONS: Final = {action.value: action for action in Action}
DELETIONS: Final = frozenset({Action.DELETE, Action.DROP_DIRECTORY, Action.GONE})
OF_FILES: Final = frozenset({Action.PUT, Action.ADOPT, Action.COMPARE, Action.HEADERS, Action.DELETE})
UPLOADS: Final = frozenset({Action.PUT, Action.COMPARE, Action.HEADERS})
"""What is done in the bucket before it is committed."""
READ: Final = frozenset({Action.PUT, Action.COMPARE})
"""For what files are read."""


_SELECT: Final = (
    "SELECT action, reason, directory, path, name, raw, inode, size, mtime_ns, ctime_ns, published FROM change"
)


GONE: Final = "gone"
GONE_WITH_DIRECTORY: Final = "directory gone"
WITH_DIRECTORY: Final = frozenset({GONE_WITH_DIRECTORY, "directory excluded"})
"""The reasons of what ends because its whole directory does."""
EXCLUDED_NAME: Final = "excluded"
EXCLUDED: Final = frozenset({EXCLUDED_NAME, "directory excluded"})
"""The reasons of what is on disk, but no longer part of the site."""


BUCKET_DIFFERS: Final = "the bucket differs"
"""The reason of what an unfinished run may have left behind, and of what an audit found."""


HEADERS: Final = "headers"
"""The reason of what is published under other header rules than the present ones."""


class Phase(IntEnum):
    """The order of effects.

    What pages refer to comes before the pages. A directory is entered in its parent before anything is published in
    it, and taken out only after all beneath it ended: so wherever a run ends, every directory with something
    published in it is found from the root, and nothing is ever forgotten.
    """

    ASSETS = 0
    """Directories too, parents first."""
    PAGES = 1
    """And deletes in directories that stay."""
    ENDS = 2
    """Of directories, deepest first."""


class Change(NamedTuple):
    """One line of the plan."""

    action: Action
    reason: str
    directory: str
    """Directory key."""
    path: bytes
    """The directory's path."""
    name: str = ""
    """Decoded; empty when the change is about the directory itself."""
    raw: bytes = b""
    """The name on the host."""
    state: FileState | None = None
    """Of the file as scanned, for `put`, `adopt` and `compare`."""
    published: int | None = None
    """For `put`: the crc64nvme of what is published, if the file may have the same bytes, and that would be enough.
    For `headers`: that of the object, if it is known."""

    @property
    def key(self) -> str:
        """The key that the change is about."""
        return join(self.directory, self.name) if self.name else self.directory

    @property
    def full_path(self) -> bytes:
        """The path that the change is about."""
        return join_path(self.path, self.raw) if self.raw else self.path

    @property
    def phase(self) -> Phase:
        """When the change is made."""
        if self.action in (Action.GONE, Action.DROP_DIRECTORY) or self.reason in WITH_DIRECTORY:
            return Phase.ENDS
        if self.action is Action.DELETE:
            return Phase.PAGES
        page = self.action is Action.PUT and self.name.lower().endswith((".html", ".htm", ".xhtml"))
        return Phase.PAGES if page else Phase.ASSETS


@dataclass(frozen=True, slots=True)
class Problem:
    """A name that is not published, and why."""

    path: bytes
    reason: str


@dataclass(slots=True)
class Totals:
    """What a plan comes to."""

    puts: int = 0
    put_bytes: int = 0
    adopted: int = 0
    compared: int = 0
    compared_bytes: int = 0
    headers: int = 0
    """Published objects that get other headers."""
    deletes: int = 0
    others: int = 0
    """Changes of the index alone."""
    deferred: int = 0
    held: int = 0
    """Deletes that a safety rule keeps back."""
    kept: int = 0
    """Deletes that the operator switched off."""
    oldest_ns: int | None = None
    """The least ctime of what is to be put."""
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do; holds and defers alone are nothing."""
        return not (self.files or self.adopted or self.deletes or self.others)

    @property
    def files(self) -> int:
        """Files that are transferred, or compared."""
        return self.puts + self.compared + self.headers

    @property
    def bytes(self) -> int:
        """Of the files that are read."""
        return self.put_bytes + self.compared_bytes


class Plan:
    """The changes of one run. Use as a context manager."""

    def __init__(self) -> None:
        # SQLite keeps a database without a name in a temporary file of its own, in memory while it is small.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE change (phase INTEGER, directory TEXT, path BLOB, name TEXT, action TEXT, reason TEXT,"
            " raw BLOB, held INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,"
            " published INTEGER, PRIMARY KEY (phase, directory, name, action)) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        self.deferred = 0
        """Files that are being written, and so no part of it."""
        self._switched_off = False
        self._totals: Totals | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, changes: Iterable[Change], *, hold: bool = False) -> None:
        """Add changes; with `hold`, the deletes among them as held. The same change twice is one."""
        rows = (
            (
                int(change.phase),
                change.directory,
                change.path,
                change.name,
                change.action.value,
                change.reason,
                change.raw,
                hold and change.action in DELETIONS,
                _signed(change.state.inode) if change.state else None,
                *(change.state[1:] if change.state else (0, 0, 0)),
                _signed(change.published),
            )
            for change in changes
        )
        self._db.executemany("INSERT OR IGNORE INTO change VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._totals = None

    @property
    def totals(self) -> Totals:
        """What it comes to so far."""
        if self._totals is None:
            self._totals = self._count()
        return replace(self._totals, deferred=self.deferred)

    def has_effect(self, directory: str, name: str) -> bool:
        """Tell whether a file is to be put, adopted, compared or deleted."""
        query = (
            "SELECT 1 FROM change WHERE phase IN (0, 1, 2) AND directory = ? AND name = ? AND NOT held"
            " AND action IN ('put', 'adopt', 'compare', 'delete')"
        )
        return self._db.execute(query, (directory, name)).fetchone() is not None

    def hold_deletes(self, *, switched_off: bool = False) -> None:
        """Hold every delete, those of directories too: until they are released, or because the operator wants none."""
        self._set_held(held=True)
        self._switched_off = switched_off

    def release_deletes(self) -> None:
        """Hold no delete any more."""
        self._set_held(held=False)

    def chunks(self, phase: Phase) -> Iterator[Sequence[Change]]:
        """Give the changes of a phase, cut by directory, at most CHUNK at a time."""
        chunk: list[Change] = []
        # Within an ending directory, too, the change about the directory itself (without a name) is the last.
        order = "DESC" if phase is Phase.ENDS else "ASC"
        for change in self._changes("WHERE phase = ? AND NOT held", (phase,), order):
            if chunk and (chunk[0].directory != change.directory or len(chunk) >= CHUNK):
                yield chunk
                chunk = []
            chunk.append(change)
        if chunk:
            yield chunk

    def changes(self, *, held: bool = False) -> Iterator[Change]:
        """Give all changes that are not held, in the order in which they would be made, or those that are."""
        return self._changes("WHERE held = ?", (held,), "ASC")

    def _changes(self, where: str, values: tuple[int, ...], order: str) -> Iterator[Change]:
        query = f"{_SELECT} {where} ORDER BY phase, directory {order}, name {order}"
        rows = self._db.execute(query, values)
        for row in rows:
            inode, published = _unsigned(row[6]), _unsigned(row[10])
            state = FileState(inode, *row[7:10]) if inode is not None else None
            yield Change(_ACTIONS[row[0]], row[1], row[2], row[3], row[4], row[5], state, published)

    def _set_held(self, *, held: bool) -> None:
        marks = ", ".join("?" * len(DELETIONS))
        query = f"UPDATE change SET held = ? WHERE action IN ({marks})"  # noqa: S608
        self._db.execute(query, (held, *(action.value for action in DELETIONS)))
        self._totals = None

    def _count(self) -> Totals:
        totals = Totals()
        query = (
            "SELECT action, reason, held, count(*), total(size), min(ctime_ns) FROM change"
            " GROUP BY action, reason, held"
        )
        for name, reason, held, count, size, oldest in self._db.execute(query):
            action = Action(name)
            if action is Action.DELETE and held and self._switched_off:
                totals.kept += count
            elif action is Action.DELETE and held:
                totals.held += count
            elif action in OF_FILES:
                totals.puts += count if action is Action.PUT else 0
                totals.put_bytes += int(size) if action is Action.PUT else 0
                if action is Action.PUT:
                    totals.oldest_ns = oldest if totals.oldest_ns is None else min(totals.oldest_ns, oldest)
                totals.adopted += count if action is Action.ADOPT else 0
                totals.compared += count if action is Action.COMPARE else 0
                totals.compared_bytes += int(size) if action is Action.COMPARE else 0
                totals.headers += count if action is Action.HEADERS else 0
                totals.deletes += count if action is Action.DELETE else 0
                totals.reasons[reason] = totals.reasons.get(reason, 0) + count
            elif not held:
                totals.others += count
        return totals


def _signed(value: int | None) -> int | None:
    """Give 64 bits without a sign as SQLite's integers, which have one."""
    return value - (1 << 64) if value is not None and value >= 1 << 63 else value


def _unsigned(value: int | None) -> int | None:
    return value + (1 << 64) if value is not None and value < 0 else value
