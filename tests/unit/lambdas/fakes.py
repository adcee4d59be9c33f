"""A site in memory, as strict as the real one: versions, delete markers, and conditions that are checked."""
# ruff: noqa: D102 - the ports say what each method does

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JOB_KINDS, Job, JobKind
from siteferry_contract.leaf import Entry, FileEntry, Leaf, SubdirectoryEntry, sorted_entries
from siteferry_contract.objects import GENERATED, GENERATED_PAGE
from siteferry_contract.redirects import Redirects
from siteferry_contract.shape import Shape
from siteferry_lambdas.errors import ChangedError, StoreError
from siteferry_lambdas.ledger import Ledger, item_to_ledger, ledger_to_item
from siteferry_lambdas.ports import Marker, Nothing, Object, Seen, Site

A = TypeVar("A")
B = TypeVar("B")

PAGE = {GENERATED: GENERATED_PAGE}


@dataclass(frozen=True)
class Version:
    id: str
    body: bytes | None
    """None: a delete marker."""
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


class MemoryBucket:
    """A versioned bucket. `before` is called with the operation and key before each, to let something happen."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Version]] = {}
        self.log: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda operation, key: None
        self.refused: dict[tuple[str, str], str] = {}
        """Reason by operation and key."""
        self._ids = 0

    def user_puts(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        """Put an object behind the back of whoever is tested."""
        self._add(key, body, {"content-type": "text/plain"}, metadata or {"mtime": "1"})

    def user_deletes(self, key: str) -> None:
        """Put a marker likewise."""
        self._add(key, None, {}, {})

    def current(self, key: str) -> bytes | None:
        """Give what a visitor gets."""
        versions = self.versions.get(key)
        return versions[-1].body if versions else None

    def head(self, key: str) -> Seen:
        self._begin("head", key)
        versions = self.versions.get(key)
        if not versions:
            return Nothing()
        top = versions[-1]
        if top.body is None:
            return Marker(top.id)
        return Object(top.id, _etag(top.body), len(top.body), top.headers, top.metadata)

    def remove_version(self, key: str, version_id: str) -> None:
        self._begin("remove", key)
        self.versions[key] = [version for version in self.versions.get(key, []) if version.id != version_id]

    def put_markers(self, keys: Collection[str]) -> Mapping[str, StoreError]:
        assert 0 < len(keys) <= 1000
        failed: dict[str, StoreError] = {}
        for key in keys:
            try:
                self._begin("mark", key)
            except StoreError as error:
                failed[key] = error
            else:
                self._add(key, None, {}, {})
        return failed

    def put(
        self, key: str, body: bytes, *, headers: Mapping[str, str], metadata: Mapping[str, str], over: Seen
    ) -> None:
        self._begin("put", key)
        current = self.current(key)
        holds = current is not None and _etag(current) == over.etag if isinstance(over, Object) else current is None
        if not holds:
            raise ChangedError(f"put {key!r}")
        self._add(key, body, headers, metadata)

    def copy(self, source: str, seen: Object, destination: str) -> None:
        self._begin("copy", destination)
        current = self.current(source)
        if current is None or _etag(current) != seen.etag:
            raise ChangedError(f"copy {source!r}")
        top = self.versions[source][-1]
        self._add(destination, current, top.headers, top.metadata)

    def did(self, *operations: str) -> list[tuple[str, str]]:
        """Give what was done, of these operations."""
        return [entry for entry in self.log if entry[0] in operations]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Everything but looks."""
        return self.did("remove", "mark", "put", "copy")

    def _begin(self, operation: str, key: str) -> None:
        self.before(operation, key)
        if reason := self.refused.get((operation, key)):
            raise StoreError(f"{operation} {key!r}: {reason}", retry_helps=False)
        self.log.append((operation, key))

    def _add(self, key: str, body: bytes | None, headers: Mapping[str, str], metadata: Mapping[str, str]) -> None:
        self._ids += 1
        self.versions.setdefault(key, []).append(Version(f"v{self._ids}", body, dict(headers), dict(metadata)))


class MemoryIndex:
    """The leaves, found as DynamoDB finds them: by the greatest bound that is not above the name."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.reads: list[tuple[str, str]] = []
        self.damaged: dict[str, Exception] = {}
        """By directory."""

    def has(self, directory: str, *files: str, subdirectories: Sequence[str] = (), gone: bool = False) -> None:
        """Let a directory have one leaf with these files."""
        entries: list[Entry] = [file(name) for name in files]
        entries += [SubdirectoryEntry(name) for name in subdirectories]
        self.has_leaf(directory, "", entries, gone=gone)

    def has_leaf(self, directory: str, bound: str, entries: Iterable[Entry], *, gone: bool = False) -> None:
        """Let a directory have this leaf, instead of the one of the same bound."""
        self.leaves = [leaf for leaf in self.leaves if (leaf.directory, leaf.bound) != (directory, bound)]
        self.leaves.append(Leaf(directory, bound, run=1, had_delete=False, gone=gone, entries=sorted_entries(entries)))

    def leaf_for(self, directory: str, name: str) -> Leaf | None:
        self._begin(directory, name)
        return next((leaf for leaf in reversed(self._sorted(directory)) if leaf.bound <= name), None)

    def directory(self, directory: str) -> Sequence[Leaf]:
        self._begin(directory, "")
        return self._sorted(directory)

    def _begin(self, directory: str, name: str) -> None:
        self.reads.append((directory, name))
        if error := self.damaged.get(directory):
            raise error

    def _sorted(self, directory: str) -> list[Leaf]:
        return sorted((leaf for leaf in self.leaves if leaf.directory == directory), key=lambda leaf: leaf.bound)


class MemoryQueues:
    """The queues: what was sent."""

    def __init__(self, log: list[tuple[str, str]]) -> None:
        self.jobs: list[Job] = []
        self.bodies: list[tuple[JobKind, str, int]] = []
        self.retries: list[tuple[JobKind, str, int]] = []
        self.failure: Exception | None = None
        self._log = log

    def send(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._begin()
            self._log.append(("send", job.kind))
            self.jobs.append(job)

    def send_body(self, kind: JobKind, body: str, *, delay: int) -> None:
        self._begin()
        self.bodies.append((kind, body, delay))

    def retry_in(self, kind: JobKind, receipt_handle: str, *, delay: int) -> None:
        self._begin()
        self.retries.append((kind, receipt_handle, delay))

    def names(self, kind: JobKind) -> list[str]:
        """Give the names in all jobs of a kind."""
        return [name for job in self.jobs if job.kind == kind for name in job.names]

    def _begin(self) -> None:
        if self.failure:
            raise self.failure


class MemoryCdn:
    """The distribution: what was invalidated."""

    def __init__(self) -> None:
        self.invalidations: list[tuple[tuple[str, ...], str]] = []
        self.failures: list[Exception] = []
        """Raised one after the other."""
        self.over: set[str] = set()
        """Ids of what is completed."""
        self.listed = 0

    def invalidate(self, paths: Sequence[str], reference: str) -> str:
        if self.failures:
            raise self.failures.pop(0)
        self.invalidations.append((tuple(paths), reference))
        return f"I{len(self.invalidations)}"

    def completed(self) -> Collection[str]:
        self.listed += 1
        return self.over


class MemoryBroker:
    """The broker's item and the shape."""

    def __init__(self) -> None:
        self.item: Ledger = Ledger()
        self.known: Shape | None = Shape({"": 1000})
        self.failures: dict[str, Exception] = {}
        """By method."""
        self.before_replace: Callable[[], None] = lambda: None

    def ledger(self) -> Ledger:
        self._begin("ledger")
        return self.item

    def replace(self, before: Ledger, after: Ledger) -> bool:
        self._begin("replace")
        self.before_replace()
        if self.item.beat != before.beat:
            return False
        # As it comes back from the table.
        self.item = item_to_ledger(ledger_to_item(after))
        return True

    def shape(self) -> Shape | None:
        self._begin("shape")
        return self.known

    def _begin(self, method: str) -> None:
        if error := self.failures.get(method):
            raise error


@dataclass(frozen=True)
class Memory:
    """Everything that a site has, in memory."""

    site: Site
    index: MemoryIndex
    bucket: MemoryBucket
    queues: MemoryQueues
    cdn: MemoryCdn
    broker: MemoryBroker

    @property
    def log(self) -> list[tuple[str, str]]:
        """What was done to the bucket and sent, in order."""
        return self.bucket.log


def memory_site(
    *rules: CopyRule,
    prefix: str = "",
    directory_pages: bool = True,
    directory_redirects: Redirects = "none",
    invalidation: str = "paths",
    invalidation_budget: int = 10_000,
    now: Callable[[], float] = lambda: 0.0,
) -> Memory:
    """Make a site."""
    descriptor = Descriptor(
        site="www",
        region="us-east-1",
        bucket="bucket",
        prefix=prefix,
        table="table",
        encoding="utf-8",
        queues={kind: f"https://sqs.test/{kind}" for kind in JOB_KINDS},
        distribution="E1",
        domain="d1.test",
        directory_pages=directory_pages,
        page_layout="0a1b2c3d4e5f",
        copy_rules=rules,
        directory_redirects=directory_redirects,
        invalidation=invalidation,
        invalidation_budget=invalidation_budget,
    )
    index, bucket, cdn, broker = MemoryIndex(), MemoryBucket(), MemoryCdn(), MemoryBroker()
    queues = MemoryQueues(bucket.log)
    site = Site(descriptor, index, bucket, queues, cdn, broker, one_by_one, now)
    return Memory(site, index, bucket, queues, cdn, broker)


def one_by_one(function: Callable[[A], B], items: Iterable[A], /) -> Sequence[B]:
    """Map without threads."""
    return [function(item) for item in items]


def file(name: str, *, size: int = 1, mtime_ns: int = 0) -> FileEntry:
    """Make an entry."""
    return FileEntry(name, size, mtime_ns, 0, None)


def job(kind: JobKind, *names: str) -> Job:
    """Make a job."""
    return Job(kind, "www", 7, names, "job-1")


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
