"""The AWS in memory, that of the simulation, behind the same ports."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from siteferry_contract.job import JobKind
from siteferry_lambdas.ports import Bucket
from tests.conformance.cloud import Cloud, Received
from tests.simulation import agent_ports, handler_ports
from tests.simulation.cloud import describe_site
from tests.simulation.cloudfront import Cdn
from tests.simulation.faults import Faults, Requests, UnknownFault
from tests.simulation.s3 import Bucket as MemoryBucket
from tests.simulation.scheduler import Scheduler
from tests.simulation.sqs import Message, Queues
from tests.simulation.table import Table

_START: Final = 1_790_000_000.0
_WAIT: Final = 20.0
_INVALIDATION_SECONDS: Final = 30.0


def in_memory() -> Cloud:
    """Make an AWS of its own. Its queues are late and deliver twice, as in the simulation."""
    rng, counts = random.Random(1), Counter[str]()
    scheduler = Scheduler(rng, _START)
    faults = Faults(rng, kinds=(), targets="both", rate=0.0, budget=0)
    requests = Requests(scheduler, faults, tell=lambda _text: None, lease=60.0)
    descriptor = describe_site("", pages=True)
    agent = agent_ports.Asking(requests, 10.0)
    handler = handler_ports.Asking(requests, counts)
    bucket, table = MemoryBucket(lambda: scheduler.now), Table()
    queues = Queues(lambda: scheduler.now, scheduler.at, rng, counts, 0.0)
    cdn = Cdn(lambda: scheduler.now, scheduler.at, lambda: _INVALIDATION_SECONDS, bucket.current, "")
    messages: dict[str, tuple[Message, int]] = {}

    def visible(kind: JobKind) -> list[Message]:
        return [message for message in queues.waiting[kind] if message.visible_at <= scheduler.now]

    def receive(kind: JobKind) -> list[Received]:
        end = scheduler.now + _WAIT
        scheduler.at(end, lambda: None)
        scheduler.run(until=lambda: scheduler.now >= end or bool(visible(kind)))
        found = []
        for message in visible(kind)[:10]:
            receipt = queues.receive(message)
            if receipt is not None:
                handle = f"{message.id}/{id(message)}/{receipt}"
                messages[handle] = message, receipt
                found.append(Received(message.body, handle))
        return found

    def change_visibility(_kind: JobKind, handle: str, delay: int) -> None:
        message, receipt = messages[handle]
        queues.change_visibility(message, receipt, float(delay))

    def plant(item: Mapping[str, Any]) -> None:
        table.items[item["pk"]["S"], item["sk"]["S"]] = item

    @contextmanager
    def markers_refused(beneath: str) -> Iterator[Bucket]:
        denied = _Denied(beneath, bucket)
        yield handler_ports.HandlerBucket(handler, denied)  # type: ignore[arg-type]

    return Cloud(
        prefix="",
        index=agent_ports.AgentIndex(agent, table),
        objects=agent_ports.AgentObjects(agent, bucket),
        jobs=agent_ports.AgentQueues(agent, queues, descriptor),
        leaves=handler_ports.HandlerIndex(handler, table),
        bucket=handler_ports.HandlerBucket(handler, bucket),
        queues=handler_ports.HandlerQueues(handler, queues, change_visibility, lambda: ()),
        cdn=handler_ports.HandlerCdn(handler, cdn),
        broker=handler_ports.HandlerBroker(handler, table),
        now=lambda: scheduler.now,
        receive=receive,
        delete=lambda _kind, received: queues.delete(messages[received.handle][0]),
        clear=table.items.clear,
        plant=plant,
        invalidations=lambda: len(cdn.done),
        markers_refused=markers_refused,
    )


class _Denied:
    """The bucket to somebody who may not put a delete marker beneath a prefix."""

    def __init__(self, beneath: str, bucket: MemoryBucket) -> None:
        self._beneath, self._bucket = beneath, bucket

    def put_marker(self, key: str) -> None:
        if key.startswith(self._beneath):
            raise UnknownFault(key)
        self._bucket.put_marker(key)
