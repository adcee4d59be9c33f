"""What the agent needs of AWS and of time, as small interfaces.

`siteferry.aws` implements them on boto3 and obstore. Each promise below is what the protocol rests on, so whoever
implements one keeps all of it: "may have worked" is never reported as "failed".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from siteferry.head import Head
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import Job, JobKind
from siteferry_contract.leaf import Leaf
from siteferry_contract.shape import Shape

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A current object, as a HEAD with checksum shows it."""

    size: int
    crc64nvme: int | None
    metadata: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content headers by lower-case name."""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """A current object, as a listing shows it."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of a key, as a listing of versions shows it."""

    key: str
    version: str
    """Its id."""
    modified: datetime
    size: int | None
    """None: a delete marker."""
    etag: str
    latest: bool


@dataclass(frozen=True, slots=True)
class Content:
    """An object that is being read."""

    size: int
    metadata: Mapping[str, str]
    chunks: Iterator[bytes | memoryview]
    """Raises as `Archive.get` does."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs of one kind there are, approximately as SQS counts them."""

    waiting: int
    """In the queue, delayed, or in a handler's hands."""
    dead: int
    """In the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What the CDN answered to a HEAD."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""


class DescriptorSource(Protocol):
    """Where `cdk deploy` left the site descriptor."""

    def read(self) -> Descriptor:
        """Read it; raises ConfigError if there is none, AccessError, UnavailableError."""
        ...


class IndexStore(Protocol):
    """The index table. Raises AccessError, UnavailableError, IndexDamagedError."""

    def read_head(self) -> Head | None:
        """Read the head, strongly consistent; None if there is none."""
        ...

    def create_head(self, head: Head) -> None:
        """Write the head if there is none and the table is empty; raises IndexDamagedError if it is not."""
        ...

    def replace_head(self, old: Head, new: Head) -> bool:
        """Write `new` if the head is still `old`; False: it is not, nothing was written.

        Compared are version, epoch, run, open, lease token and beat: every write by a holder has another beat.

        After UnavailableError it may or may not have been written.
        """
        ...

    def commit(self, leaves: Sequence[Leaf], lease_token: str) -> bool:
        """Write all leaves or none, if the head's lease has this token; False: it has not, nothing was written.

        At most 99 leaves. After UnavailableError they may or may not have been written.
        """
        ...

    def write_shape(self, shape: Shape) -> None:
        """Write the tree's shape."""
        ...

    def leaves(self, after: int | None = None) -> Iterator[Leaf]:
        """Read every leaf, in no order, strongly consistent; with `after`, those with a run of at least that."""
        ...


class ObjectStore(Protocol):
    """The bucket, as the agent uses it. Raises AccessError, UnavailableError except where it says otherwise."""

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Write an object with its crc64nvme; raises only RefusedError, ThrottledError or OutcomeUnknownError.

        `headers` are lower-case; `x-amz-meta-*` among them are user metadata.
        """
        ...

    def put_chunks(self, key: str, chunks: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        """Write a large object; completed only after the last chunk. An error of `chunks` passes through."""
        ...

    def replace_headers(self, key: str, seen: ObjectInfo, headers: Mapping[str, str]) -> None:
        """Copy an object onto itself with other headers, if it is still what was seen; raises as `put` does.

        RefusedError: it is not, or S3 copies no object of its size.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Look at the current object; None if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """List current objects in the order of their keys' UTF-8 bytes."""
        ...


class Archive(Protocol):
    """The bucket with its versions, to be read only. Raises AccessError, UnavailableError except where it says so."""

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """List current objects in the order of their keys' UTF-8 bytes, with their ETags."""
        ...

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """List every version and delete marker; those of a key one after another, the newest first."""
        ...

    def head(self, key: str, version: str | None = None) -> ObjectInfo | None:
        """Look at an object; None if there is none."""
        ...

    def get(self, key: str, size: int, version: str | None = None) -> Content:
        """Begin to read an object of about a size; all that is read of it is of one version.

        Raises RefusedError (it is not there, say), ThrottledError (may work later).
        """
        ...


class JobQueues(Protocol):
    """The four queues."""

    def send(self, jobs: Sequence[Job]) -> None:
        """Send jobs, each at least once; raises UnavailableError or AccessError if any may not have been sent."""
        ...


class QueueLook(Protocol):
    """A look at the queues that takes nothing out of them."""

    def count(self, kind: JobKind) -> QueueCounts:
        """Count the jobs of a kind; raises UnavailableError, AccessError."""
        ...


class Cdn(Protocol):
    """The distribution, as a viewer meets it."""

    def visit(self, path: str) -> Visit:
        """Ask for the headers of an encoded path, and follow no redirect; raises UnavailableError."""
        ...


class Executor(Protocol):
    """Runs requests, some at a time."""

    def submit(self, work: Callable[[], T], /) -> "Future[T]":
        """Begin some work."""
        ...


class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def elapsed(self) -> float:
        """Seconds from some fixed moment, counting those for which the host was suspended."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait; True at once when the agent was asked to stop."""
        ...
