"""One AWS to hold the ports against: all of them over the same bucket, table, queues and distribution."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final

from siteferry.errors import UnavailableError
from siteferry.head import Head, LeaseRecord
from siteferry.ports import IndexStore, JobQueues, ObjectStore
from siteferry_contract.job import JobKind
from siteferry_contract.leaf import FileEntry, Leaf, sorted_entries
from siteferry_lambdas.ports import Broker, Bucket, Cdn, Index, Queues

TOKEN: Final = "the-token-of-the-lease"
VISIBILITY_SECONDS: Final = 300
"""For which a message that was received is kept from others, at least."""
REFUSED: Final = (UnavailableError, AssertionError)
"""How a request over a limit of AWS ends: the AWS in memory calls it a defect of whoever makes it."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was received."""

    body: str
    handle: str


@dataclass(frozen=True, slots=True)
class Cloud:
    """The ports of both halves, and what a test sees of them from outside."""

    prefix: str
    """Of every key and directory of one test; ends in a slash."""
    index: IndexStore
    objects: ObjectStore
    jobs: JobQueues
    """The agent's."""
    leaves: Index
    bucket: Bucket
    queues: Queues
    """The handlers'."""
    cdn: Cdn
    broker: Broker
    now: Callable[[], float]
    """Seconds."""
    receive: Callable[[JobKind], list[Received]]
    """Receives up to ten messages, after a wait if there is none."""
    delete: Callable[[JobKind, Received], None]
    clear: Callable[[], None]
    """Empties the table."""
    plant: Callable[[Mapping[str, Any]], None]
    """Puts an item into the table, past every port."""
    invalidations: Callable[[], int]
    """Counts the distribution's invalidations."""
    markers_refused: Callable[[str], AbstractContextManager[Bucket]]
    """Gives the bucket to somebody who may not put a delete marker beneath a prefix."""

    def head_with_lease(self, token: str = TOKEN) -> Head:
        """Create the head with a lease, as an agent does before its first run."""
        self.index.create_head(Head.first())
        first = self.index.read_head()
        assert first
        held = with_lease(first, token)
        assert self.index.replace_head(first, held)
        return held

    def commit(self, *leaves: Leaf) -> None:
        """Commit under the lease of `head_with_lease`."""
        assert self.index.commit(leaves, TOKEN)

    def collect(self, kind: JobKind, wanted: set[str], seconds: float = 7200) -> dict[str, float]:
        """Receive and delete messages until each wanted body came; gives when each came first.

        `seconds` are those of `now`, so that only a queue in memory, which may be hours late, ever takes them.
        """
        came: dict[str, float] = {}
        for message in self._incoming(kind, seconds):
            self.delete(kind, message)
            if message.body in wanted:
                came.setdefault(message.body, self.now())
            if len(came) == len(wanted):
                break
        assert came.keys() == wanted
        return came

    def receive_one(self, kind: JobKind, body: str, seconds: float = 7200) -> Received:
        """Receive a message and leave it in its queue."""
        return next(message for message in self._incoming(kind, seconds) if message.body == body)

    def _incoming(self, kind: JobKind, seconds: float) -> Iterator[Received]:
        deadline = self.now() + seconds
        while self.now() < deadline:
            yield from self.receive(kind)


def with_lease(head: Head, token: str, beat: int = 1) -> Head:
    """Give a head with a lease."""
    lease = LeaseRecord("host:/var/lib/siteferry", token, beat, 60.0)
    return replace(head, lease=lease)


def leaf_of(directory: str, *names: str, bound: str = "", run: int = 1, gone: bool = False) -> Leaf:
    """Give a leaf that lists files."""
    entries = sorted_entries(FileEntry(name, len(name), 1, -1, (1 << 64) - 1) for name in names)
    return Leaf(directory, bound, run, had_delete=gone, gone=gone, entries=entries)
