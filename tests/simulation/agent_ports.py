"""The agent's ports on the AWS in memory."""
# ruff: noqa: D102 - the ports say what each method does

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from siteferry.checksum import crc64nvme
from siteferry.errors import OutcomeUnknownError, RefusedError, ThrottledError, UnavailableError
from siteferry.head import Head
from siteferry.ports import ListedObject, ObjectInfo
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import Job, decode_job, encode_job
from siteferry_contract.leaf import Leaf
from siteferry_contract.shape import Shape, shape_to_item
from tests.simulation.faults import Requests, ThrottledFault, UnknownFault
from tests.simulation.s3 import Bucket, PreconditionFailedError, Version
from tests.simulation.scheduler import Event, Scheduler
from tests.simulation.sqs import Queues
from tests.simulation.table import NoTableError, Table

T = TypeVar("T")

PAGE = 2
"""Items of a page of a scan or a listing: between pages, others go on."""

METADATA = "x-amz-meta-"


@dataclass(slots=True)
class Asking:
    """How the agent asks: every answer but a success is one of its own errors."""

    requests: Requests
    timeout: float

    def ask(self, what: str, effect: Callable[[], T], *, fenced: bool = False) -> T:
        try:
            return self.requests.make(what, effect, timeout=self.timeout, suspends=True, fenced=fenced)
        except (ThrottledFault, UnknownFault) as fault:
            raise UnavailableError(f"{what}: no answer") from fault

    def put(self, what: str, effect: Callable[[], None]) -> None:
        try:
            self.requests.make(what, effect, timeout=self.timeout, suspends=True)
        except ThrottledFault as fault:
            raise ThrottledError(what) from fault
        except UnknownFault as fault:
            raise OutcomeUnknownError(what) from fault


@dataclass(slots=True)
class AgentIndex:
    """Implements `IndexStore`."""

    asking: Asking
    table: Table

    def read_head(self) -> Head | None:
        return self._ask("reading the head", lambda: self.table.head)

    def create_head(self, head: Head) -> None:
        self._ask("creating the head", lambda: self.table.create_head(head))

    def replace_head(self, old: Head, new: Head) -> bool:
        word = "renewing the lease"
        if old.open != new.open:
            word = f"opening run {new.run}" if new.open else f"closing run {new.run}"
        elif (old.lease is None) != (new.lease is None):
            word = "taking the lease" if new.lease else "releasing the lease"
        written = self._ask(word, lambda: self.table.replace_head(old, new), fenced=True)
        if word != "renewing the lease":
            self.asking.requests.tell(word if written else f"{word}: refused")
        return written

    def commit(self, leaves: Sequence[Leaf], lease_token: str) -> bool:
        names = "; ".join(
            f"/{leaf.directory}{' (gone)' if leaf.gone else ''}: {', '.join(leaf.files) or '-'}" for leaf in leaves
        )
        written = self._ask(f"committing {names}", lambda: self.table.transact(leaves, lease_token), fenced=True)
        self.asking.requests.tell(f"commits {names}" if written else f"commit of {names} refused")
        return written

    def write_shape(self, shape: Shape) -> None:
        item = shape_to_item(shape)
        self._ask("writing the tree's shape", lambda: self.table.put(item))

    def leaves(self, after: int | None = None) -> Iterator[Leaf]:
        last = ("", "")
        while True:
            page = self._ask("scanning the index", lambda last=last: self._page(last))  # type: ignore[misc]
            for key, leaf in page:
                last = key
                if after is None or leaf.run >= after:
                    yield leaf
            if len(page) < PAGE:
                return

    def _ask(self, what: str, effect: Callable[[], T], *, fenced: bool = False) -> T:
        try:
            return self.asking.ask(what, self.table.asked(effect), fenced=fenced)
        except NoTableError:
            raise UnavailableError(f"{what}: there is no such table") from None

    def _page(self, last: tuple[str, str]) -> list[tuple[tuple[str, str], Leaf]]:
        return [(key, self.table.leaf_at(key)) for key in self.table.leaf_keys() if key > last][:PAGE]


@dataclass(slots=True)
class AgentObjects:
    """Implements `ObjectStore`."""

    asking: Asking
    bucket: Bucket
    part_checksums: bool = True
    """Whether S3 has the checksum of the whole of what was put in parts: what obstore asks for is not known."""

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        def effect() -> None:
            self._store(key, body, headers)

        self.asking.put(f"PUT {key} {body!r}", effect)
        self.asking.requests.tell(f"has put {key} {body!r}")

    def put_chunks(self, key: str, chunks: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        parts = []
        for chunk in chunks:
            self.asking.requests.scheduler.sleep(self.asking.requests.latency())
            parts.append(chunk)
        body = b"".join(parts)
        assert len(body) == size

        def effect() -> None:
            self._store(key, body, headers, parts=len(parts))

        try:
            self.asking.put(f"completing {key} {body!r}", effect)
        except ThrottledError as error:
            raise OutcomeUnknownError(str(error)) from error
        self.asking.requests.tell(f"has put {key} {body!r} in {len(parts)} parts")

    def head(self, key: str) -> ObjectInfo | None:
        current = self.asking.ask(f"HEAD {key}", lambda: self.bucket.current(key))
        if current is None or current.body is None:
            return None
        return ObjectInfo(len(current.body), current.crc64nvme, current.metadata, current.headers, current.etag)

    def replace_headers(self, key: str, seen: ObjectInfo, headers: Mapping[str, str]) -> None:
        # S3 reads, and writes some time later: what comes between is buried.
        def read() -> Version | None:
            try:
                return self.bucket.read_for_copy(key, seen.etag)
            except PreconditionFailedError:
                return None

        try:
            source = self.asking.ask(f"reading {key} for other headers", read)
        except UnavailableError as error:
            raise OutcomeUnknownError(str(error)) from error
        if source is None:
            raise RefusedError(f"{key} is not what was seen")
        metadata, plain = _split(headers)

        def effect() -> None:
            self.bucket.write_copy(replace(source, headers=plain, metadata=metadata), key)

        self.asking.put(f"other headers for {key}", effect)
        self.asking.requests.tell(f"has given {key} other headers")

    def list(self, prefix: str) -> Iterator[ListedObject]:
        last = ""
        while True:
            page: list[tuple[str, Version]] = self.asking.ask(
                "listing the bucket",
                lambda last=last: self.bucket.page(prefix, last, PAGE),  # type: ignore[misc]
            )
            for key, found in page:
                last = key
                yield ListedObject(key, len(found.body or b""), datetime.fromtimestamp(found.modified, UTC))
            if len(page) < PAGE:
                return

    def _store(self, key: str, body: bytes, headers: Mapping[str, str], parts: int = 0) -> None:
        metadata, plain = _split(headers)
        checksum = crc64nvme(body) if self.part_checksums or not parts else None
        self.bucket.put(key, body, plain, metadata, checksum=checksum, parts=parts)


def _split(headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    metadata = {name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)}
    plain = {name: value for name, value in headers.items() if not name.startswith(METADATA)}
    return metadata, plain


@dataclass(slots=True)
class AgentQueues:
    """Implements `JobQueues`."""

    asking: Asking
    queues: Queues
    descriptor: Descriptor

    def send(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            body = encode_job(job)
            decode_job(body, kind=job.kind, site=self.descriptor.site, prefix=self.descriptor.prefix)
            self.asking.ask(f"sending {job.kind} {job.names}", lambda job=job, body=body: self._send(job, body))  # type: ignore[misc]
            self.asking.requests.tell(f"sends {job.kind} {', '.join(name or '(root)' for name in job.names)}")

    def _send(self, job: Job, body: str) -> None:
        self.queues.send(job.kind, body)


@dataclass(slots=True)
class HostClock:
    """Implements `Clock` for one process on a host whose clock is off by `skew` seconds."""

    scheduler: Scheduler
    skew: float
    stop: Event
    requests: Requests

    def now(self) -> float:
        return self.scheduler.now + self.skew

    def elapsed(self) -> float:
        self.requests.look_at_the_clock()
        return self.scheduler.now

    def is_called(self) -> bool:
        return self.stop.is_set()

    def wait(self, seconds: float) -> bool:
        return self.stop.wait(max(seconds, 0.0))
