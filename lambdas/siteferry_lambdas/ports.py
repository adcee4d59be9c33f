"""What the handlers need of the world. Every request goes through one of these.

Each call may be made several times for the same job, by several handlers at once, and must say truthfully what it
found: every one raises HandlerError rather than guess.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Final, Protocol, TypeVar

from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import Job, JobKind
from siteferry_contract.leaf import Leaf
from siteferry_contract.objects import is_generated
from siteferry_contract.shape import Shape
from siteferry_lambdas.errors import StoreError
from siteferry_lambdas.ledger import Ledger

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no version of the key."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The current version is a delete marker."""

    version_id: str


@dataclass(frozen=True, slots=True)
class Object:
    """The current version is an object."""

    version_id: str
    etag: str
    """With its quotes, as S3 gives and takes it."""
    size: int
    """Bytes."""
    headers: Mapping[str, str]
    """Those of `CONTENT_HEADERS` that it has, by lower-case name."""
    metadata: Mapping[str, str]
    """User metadata, by lower-case name without `x-amz-meta-`."""
    crc64nvme: str | None = None
    """Of the whole object, as S3 shows it; None: S3 has none."""

    @property
    def generated(self) -> bool:
        """A Lambda made it, not a user."""
        return is_generated(self.metadata)


Seen = Nothing | Marker | Object

CONTENT_HEADERS: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
"""The headers that S3 keeps with an object and gives back with it."""


class Index(Protocol):
    """The leaves, read strongly consistently. Handlers never write them."""

    def leaf_for(self, directory: str, name: str) -> Leaf | None:
        """Give the leaf of a directory that holds `name` or would; None: the directory has no such leaf."""

    def directory(self, directory: str) -> Sequence[Leaf]:
        """Give all leaves of a directory, in the order of their bounds; none: the index does not know it."""


class Bucket(Protocol):
    """The versioned bucket."""

    def head(self, key: str) -> Seen:
        """Look at the current version. A refusal (403) is an error: it never means that nothing is there."""

    def remove_version(self, key: str, version_id: str) -> None:
        """Remove one version for good; whatever is beneath it becomes current. One that is gone is no error."""

    def put_markers(self, keys: Collection[str]) -> Mapping[str, StoreError]:
        """Put a delete marker over each key; gives the keys that failed. At most 1,000."""

    def put(
        self, key: str, body: bytes, *, headers: Mapping[str, str], metadata: Mapping[str, str], over: Seen
    ) -> None:
        """Write an object if what is current is still `over`; raises ChangedError if it is not."""

    def copy(self, source: str, seen: Object, destination: str) -> None:
        """Copy with headers and metadata if `source` is still what was seen; raises ChangedError if it is not."""


class Queues(Protocol):
    """The job queues."""

    def send(self, jobs: Iterable[Job]) -> None:
        """Send each job to the queue of its kind."""

    def send_body(self, kind: JobKind, body: str, *, delay: int) -> None:
        """Send a message as it is, to be received in `delay` seconds (at most 900, SQS's limit)."""

    def retry_in(self, kind: JobKind, receipt_handle: str, *, delay: int) -> None:
        """Let a message that was received come again in `delay` seconds."""


class Cdn(Protocol):
    """The distribution."""

    def invalidate(self, paths: Sequence[str], reference: str) -> str:
        """Invalidate URL paths, or `#` and a cache tag; gives the invalidation's id.

        The same reference with the same paths is one invalidation. Raises BusyError if too many are in progress, and
        RefusedPathsError if a path is not taken.
        """

    def completed(self) -> Collection[str]:
        """Give the ids of those among the latest invalidations that are completed."""


class Broker(Protocol):
    """The broker's own item, and what the agent says of the tree's shape."""

    def ledger(self) -> Ledger:
        """Read the ledger, strongly consistently; an empty one if there is none."""

    def replace(self, before: Ledger, after: Ledger) -> bool:
        """Write the ledger if it is still `before`; tells whether it was."""

    def shape(self) -> Shape | None:
        """Give the tree's shape, some minutes old at most; None: the agent has said nothing yet."""


class ParallelMap(Protocol):
    """Applies a function to every item, perhaps several at a time; results come in the order of the items."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Sequence[B]:
        """Apply it."""


@dataclass(frozen=True, slots=True)
class Site:
    """A site, and all that a handler does to it."""

    descriptor: Descriptor
    index: Index
    bucket: Bucket
    queues: Queues
    cdn: Cdn
    broker: Broker
    """For the invalidate handler only."""
    parallel: ParallelMap
    now: Callable[[], float] = time
    """Seconds since 1970."""
