"""The handlers' ports on the AWS in memory."""
# ruff: noqa: D102 - the ports say what each method does

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from siteferry_contract.index import LEDGER_KEY, SHAPE_KEY
from siteferry_contract.job import Job, JobKind, encode_job
from siteferry_contract.leaf import Leaf
from siteferry_contract.objects import format_crc64nvme
from siteferry_contract.shape import Shape, item_to_shape
from siteferry_lambdas.errors import BusyError, ChangedError, StoreError
from siteferry_lambdas.ledger import Ledger, item_to_ledger, ledger_to_item
from siteferry_lambdas.ports import Marker, Nothing, Object, Seen
from tests.simulation.cloudfront import Cdn, TooManyError
from tests.simulation.faults import Requests, ThrottledFault, UnknownFault
from tests.simulation.s3 import Bucket, PreconditionFailedError
from tests.simulation.sqs import Queues
from tests.simulation.table import NoTableError, Table

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

TIMEOUT: Final = 60.0
"""Seconds of a handler's request."""


@dataclass(slots=True)
class Asking:
    """How a handler asks."""

    requests: Requests
    counts: Counter[str]

    def ask(self, what: str, effect: Callable[[], T]) -> T:
        try:
            return self.requests.make(what, effect, timeout=TIMEOUT)
        except (ThrottledFault, UnknownFault) as fault:
            raise StoreError(f"{what}: no answer", retry_helps=True) from fault
        except NoTableError as error:
            raise StoreError(f"{what}: there is no such table", retry_helps=True) from error
        except PreconditionFailedError as error:
            self.counts["conditions that failed"] += 1
            raise ChangedError(what) from error

    def tell(self, text: str) -> None:
        self.requests.tell(text)


@dataclass(slots=True)
class HandlerIndex:
    """Implements `Index`."""

    asking: Asking
    table: Table

    def leaf_for(self, directory: str, name: str) -> Leaf | None:
        leaf = self.asking.ask(
            f"reading the leaf of {name}", self.table.asked(lambda: self.table.leaf_for(directory, name))
        )
        if leaf is not None:
            self.asking.tell(f"sees {name} of /{directory} as {'live' if leaf.file(name) else 'dead'}")
        return leaf

    def directory(self, directory: str) -> Sequence[Leaf]:
        return self.asking.ask(
            f"reading directory /{directory}", self.table.asked(lambda: self.table.directory(directory))
        )


@dataclass(slots=True)
class HandlerBucket:
    """Implements `Bucket`."""

    asking: Asking
    bucket: Bucket

    def head(self, key: str) -> Seen:
        top = self.asking.ask(f"HEAD {key}", lambda: self.bucket.top(key))
        if top is None:
            return Nothing()
        if top.body is None:
            return Marker(top.id)
        crc = None if top.crc64nvme is None else format_crc64nvme(top.crc64nvme)
        return Object(top.id, top.etag, len(top.body), top.headers, top.metadata, crc)

    def remove_version(self, key: str, version_id: str) -> None:
        self.asking.ask(f"removing {version_id} of {key}", lambda: self.bucket.remove_version(key, version_id))
        self.asking.counts["conflicts taken back"] += 1
        self.asking.tell(f"has removed {version_id} of {key}")

    def put_markers(self, keys: Collection[str]) -> Mapping[str, StoreError]:
        failed: dict[str, StoreError] = {}
        for key in keys:
            try:
                self.asking.ask(f"marking {key}", lambda key=key: self.bucket.put_marker(key))  # type: ignore[misc]
                self.asking.counts["delete markers"] += 1
                self.asking.tell(f"has put a delete marker over {key}")
            except StoreError as error:
                failed[key] = error
        return failed

    def put(
        self, key: str, body: bytes, *, headers: Mapping[str, str], metadata: Mapping[str, str], over: Seen
    ) -> None:
        def effect() -> None:
            if isinstance(over, Object):
                self.bucket.put(key, body, headers, metadata, if_match=over.etag)
            else:
                self.bucket.put(key, body, headers, metadata, if_none_match=True)

        self.asking.ask(f"putting page {key}", effect)
        self.asking.counts["pages written"] += 1
        self.asking.tell(f"has put page {key}")

    def copy(self, source: str, seen: Object, destination: str) -> None:
        what = f"copying {source} to {destination}"
        found = self.asking.ask(what, lambda: self.bucket.read_for_copy(source, seen.etag))
        self.asking.ask(what, lambda: self.bucket.write_copy(found, destination))
        self.asking.counts["copies"] += 1
        self.asking.tell(f"has copied {source} {(found.body or b'')[:20]!r} to {destination}")


@dataclass(slots=True)
class HandlerQueues:
    """Implements `Queues`."""

    asking: Asking
    queues: Queues
    received: Callable[[JobKind, str, int], None]
    """Changes the visibility of a message, by its receipt handle."""
    touched: Callable[[], Collection[str]]
    """Gives the keys that this invocation changed: for mutations only."""

    def send(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self.send_body(job.kind, encode_job(job), delay=0)

    def send_body(self, kind: JobKind, body: str, *, delay: int) -> None:
        self.asking.ask(f"sending {kind}", lambda: self.queues.send(kind, body, delay))

    def retry_in(self, kind: JobKind, receipt_handle: str, *, delay: int) -> None:
        self.asking.ask("changing a visibility", lambda: self.received(kind, receipt_handle, delay))


@dataclass(slots=True)
class HandlerCdn:
    """Implements `Cdn`."""

    asking: Asking
    cdn: Cdn

    def invalidate(self, paths: Sequence[str], reference: str) -> str:
        try:
            created = self.asking.ask(f"invalidating {paths}", lambda: self.cdn.invalidate(paths, reference))
        except TooManyError as error:
            self.asking.counts["too many invalidations"] += 1
            raise BusyError("TooManyInvalidationsInProgress", retry_helps=True) from error
        self.asking.counts["invalidations"] += 1
        self.asking.tell(f"invalidates {', '.join(paths)}")
        return created

    def completed(self) -> Collection[str]:
        return self.asking.ask("listing invalidations", self.cdn.completed)


@dataclass(slots=True)
class HandlerBroker:
    """Implements `Broker`."""

    asking: Asking
    table: Table

    def ledger(self) -> Ledger:
        item = self.asking.ask("reading the ledger", self.table.asked(lambda: self.table.get(LEDGER_KEY)))
        return item_to_ledger(item) if item else Ledger()

    def replace(self, before: Ledger, after: Ledger) -> bool:
        item, beat = ledger_to_item(after), {"N": str(before.beat)} if before.beat else None
        written = self.asking.ask("writing the ledger", self.table.asked(lambda: self.table.put_if(item, "beat", beat)))
        self.asking.counts["lost races for the ledger"] += not written
        return written

    def shape(self) -> Shape | None:
        item = self.asking.ask("reading the shape", self.table.asked(lambda: self.table.get(SHAPE_KEY)))
        return item_to_shape(item) if item else None


@dataclass(slots=True)
class AnyOrder:
    """Implements `ParallelMap`: one after the other, in any order."""

    rng: random.Random

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Sequence[B]:
        work = list(items)
        order = list(range(len(work)))
        self.rng.shuffle(order)
        results = {n: function(work[n]) for n in order}
        return [results[n] for n in range(len(work))]
