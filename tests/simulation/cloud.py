"""The site in the cloud: bucket, table, queues, distribution, and the Lambda service that runs the handlers."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.job import Job, JobKind, decode_job
from siteferry_contract.keys import split
from siteferry_lambdas.batch import retry_delay
from siteferry_lambdas.errors import HandlerError
from siteferry_lambdas.invalidations import settle_invalidations
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report
from siteferry_lambdas.settle_copy import handle_copy
from siteferry_lambdas.settle_delete import handle_delete
from siteferry_lambdas.settle_page import handle_page
from tests.simulation.cloudfront import Cdn
from tests.simulation.faults import Requests
from tests.simulation.handler_ports import (
    AnyOrder,
    Asking,
    HandlerBroker,
    HandlerBucket,
    HandlerCdn,
    HandlerIndex,
    HandlerQueues,
)
from tests.simulation.s3 import Bucket
from tests.simulation.schedule import Schedule
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.settings import describe_site
from tests.simulation.sqs import Message, Queues
from tests.simulation.table import Table

HANDLERS: Final[dict[JobKind, Callable[[Site, Job], Report]]] = {
    "copy": handle_copy,
    "delete": handle_delete,
    "page": handle_page,
}
TIMEOUTS: Final[dict[JobKind, float]] = {"copy": 300.0, "delete": 120.0, "page": 120.0, "invalidate": 60.0}
TEMPOS: Final = (0.1, 0.3, 1.0, 5.0)
"""Of one invocation: some are over before others have looked."""
CONCURRENT: Final = 10
BATCH: Final = 5

__all__ = ["Cloud", "describe_site"]


class Cloud:
    """Everything in the cloud, on one clock."""

    def __init__(
        self,
        scheduler: Scheduler,
        requests: Requests,
        descriptor: Descriptor,
        counts: Counter[str],
        rng: random.Random,
        schedule: Schedule,
    ) -> None:
        self.scheduler, self.requests, self.counts = scheduler, requests, counts
        self.descriptor = descriptor
        """As it is deployed now."""
        self.bucket = Bucket(lambda: scheduler.now)
        self.bucket.author = lambda: scheduler.process.name if scheduler.process else "-"
        self.table = Table()
        self.lost = False
        """The index is lost, and not yet rebuilt: nobody publishes meanwhile."""
        self.queues = Queues(lambda: scheduler.now, scheduler.at, rng, counts, schedule.held)
        self.queues.arrived = self._arrived
        self.cdn = Cdn(
            lambda: scheduler.now,
            scheduler.at,
            lambda: rng.random() * rng.choice((5.0, 60.0, 300.0)),
            self.bucket.current,
            descriptor.prefix,
        )
        self.cdn.tell = requests.tell
        self._rng, self._tempo = rng, schedule.handler_tempo
        self._running: list[Process] = []
        asking = Asking(requests, counts)
        queues = HandlerQueues(
            asking,
            self.queues,
            self._change_visibility,
            lambda: self.bucket.touched.get(self.bucket.author(), ()),
        )
        self.site = Site(
            _of_a_lambda(descriptor),
            HandlerIndex(asking, self.table),
            HandlerBucket(asking, self.bucket),
            queues,
            HandlerCdn(asking, self.cdn),
            HandlerBroker(asking, self.table),
            AnyOrder(rng),
            lambda: scheduler.now,
        )
        self._received: dict[str, Message] = {}

    def deploy(self, descriptor: Descriptor) -> None:
        """Have everybody who starts from now on work with another descriptor."""
        self.descriptor = descriptor
        self.site = replace(self.site, descriptor=_of_a_lambda(descriptor))

    def drop_what_has_no_leaf(self) -> None:
        """Delete dead letters that name a directory which the index does not know: nothing is left of it."""
        for letters in self.queues.dead.values():
            for letter in list(letters):
                own = self.descriptor
                job = decode_job(letter.body, kind=letter.kind, site=own.site, prefix=own.prefix)
                directories = job.names if job.kind == "page" else [split(name)[0] for name in job.names]
                if not all(self.table.directory(directory) for directory in directories):
                    self.counts["dead letters dropped"] += 1
                    letters.remove(letter)

    def handle(self, kind: JobKind, job: Job) -> None:
        """Do a job; raises HandlerError, ContractError."""
        HANDLERS[kind](self.site, job)

    def _arrived(self, message: Message) -> None:
        """Receive a batch that begins with a message, and run a handler on it."""
        self._running = [process for process in self._running if not process.ended]
        if len(self._running) >= CONCURRENT:
            self.scheduler.at(self.scheduler.now + 1.0, lambda: self._arrived(message))
            return
        now = self.scheduler.now
        others = [m for m in self.queues.waiting[message.kind] if m is not message and m.visible_at <= now]
        self._rng.shuffle(others)
        batch = []
        for one in (message, *others[: self._rng.randrange(BATCH)]):
            receipt = self.queues.receive(one)
            if receipt is not None:
                batch.append((one, receipt))
        if not batch:
            return
        self.counts["invocations"] += 1
        tempo = self._tempo * self._rng.choice(TEMPOS)
        process = Process(f"{message.kind} handler {self.counts['invocations']}", tempo)
        self._running.append(process)
        self.scheduler.spawn(process, lambda: self._invoke(message.kind, batch), self._rng.random() * 0.5)
        self.scheduler.at(now + TIMEOUTS[message.kind], lambda: self._time_out(process))

    def _time_out(self, process: Process) -> None:
        if not process.ended:
            self.counts["handlers timed out"] += 1
            self.scheduler.kill(process)

    def _invoke(self, kind: JobKind, batch: list[tuple[Message, int]]) -> None:
        for message, receipt in batch:
            self._received[f"{message.id}/{receipt}"] = message
        done = self._settle_invalidations(batch) if kind == "invalidate" else self._settle(kind, batch)
        for message, _ in done:
            # The service deletes what was done, and sometimes fails to.
            if self.queues.calm or self._rng.random() > 0.03:
                self.queues.delete(message)

    def _settle(self, kind: JobKind, batch: list[tuple[Message, int]]) -> list[tuple[Message, int]]:
        done = []
        for message, receipt in batch:
            own = self.descriptor
            try:
                job = decode_job(message.body, kind=kind, site=own.site, prefix=own.prefix)
                self.requests.tell(f"takes {kind} {', '.join(name or '(root)' for name in job.names)}")
                self.handle(kind, job)
                self.requests.tell(f"has done {kind} {', '.join(name or '(root)' for name in job.names)}")
            except (HandlerError, ContractError) as error:
                self._retry(message, receipt, error)
            else:
                done.append((message, receipt))
        return done

    def _settle_invalidations(self, batch: list[tuple[Message, int]]) -> list[tuple[Message, int]]:
        bodies = {message.id: message.body for message, _ in batch}
        outcomes = settle_invalidations(self.site, bodies, self.requests.tell)
        done = []
        for message, receipt in batch:
            outcome = outcomes[message.id]
            if isinstance(outcome, Exception):
                self._retry(message, receipt, outcome)
            else:
                done.append((message, receipt))
        return done

    def _retry(self, message: Message, receipt: int, error: Exception) -> None:
        self.counts["jobs failed"] += 1
        self.requests.tell(f"fails: {error}")
        try:
            self.site.queues.retry_in(message.kind, f"{message.id}/{receipt}", delay=retry_delay(message.receives))
        except HandlerError:
            return

    def _change_visibility(self, _: JobKind, handle: str, delay: int) -> None:
        receipt = int(handle.rpartition("/")[2])
        self.queues.change_visibility(self._received[handle], receipt, float(delay))


def _of_a_lambda(descriptor: Descriptor) -> Descriptor:
    """Give what a Lambda's environment has: it is too small for header rules, and needs none."""
    return replace(descriptor, header_rules=())
