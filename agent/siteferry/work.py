"""What a run works with, and what is on its way in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from siteferry.cache import Cache
from siteferry.commit import Committer, Edited
from siteferry.diff import Forced, Naming, Settled
from siteferry.outbox import Outbox
from siteferry.plan import Change
from siteferry.ports import Executor
from siteferry.publish import Published, Publisher
from siteferry.report import Reporter
from siteferry.tree import Tree
from siteferry.uploads import Slice
from siteferry_contract.leaf import Leaf


@dataclass(frozen=True, slots=True)
class Work:
    """What a run works with."""

    tree: Tree
    cache: Cache
    committer: Committer
    publisher: Publisher
    outbox: Outbox
    executor: Executor
    reporter: Reporter
    naming: Naming
    run: int
    workers: int
    """Uploads at a time."""
    stopping: Callable[[], bool]
    settled: Settled
    forced: Forced
    rebuilt: bool
    """The index takes the place of one that was lost."""
    recovering: bool
    """An earlier run was not closed: what it did may have sent no jobs."""
    agreed: Callable[[str], None]
    """Hears of every key on which index and bucket agree after a commit."""


@dataclass(slots=True)
class Chunk:
    """Changes of one directory on their way."""

    changes: Sequence[Change]
    puts: Sequence[Change] = ()
    directory: int = -1
    """Open as long as there are uploads."""
    uploads: list[Slice] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Edited leaves that are committed together."""

    leaves: list[Leaf] = field(default_factory=list)
    edited: list[tuple[str, Edited, Change, Published | None]] = field(default_factory=list)
    """With the directory key."""
    directories: set[str] = field(default_factory=set)
    came_or_went: set[str] = field(default_factory=set)
    """Of the directories."""
