"""CloudFront's limits, with the real handler: whatever is sent, it drains, and is never refused or lost."""
# ruff: noqa: D102 - the ports say what each method does

import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

import pytest

from siteferry_contract.job import EVERYTHING, Job, JobKind, encode_job
from siteferry_contract.keys import split
from siteferry_contract.shape import Shape, shape_of
from siteferry_contract.urls import url_paths
from siteferry_lambdas.batch import Edge
from siteferry_lambdas.errors import BusyError
from siteferry_lambdas.invalidate import handle_batch
from tests.simulation.cloudfront import Cdn, TooManyError
from tests.unit.lambdas.fakes import memory_site

BEGIN = 1_795_000_000.0
SECONDS = 240.0
"""That an invalidation takes."""


class Service:
    """A queue, the Lambda service and CloudFront on one clock; one window at a time, two seconds each."""

    def __init__(self, shape: Shape | None, *, window: int = 1000, budget: int = 10_000) -> None:
        self.now = BEGIN
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.waiting: dict[str, tuple[float, str]] = {}
        """When each message can be received, and its body, by id."""
        self.sent: dict[str, float] = {}
        """When each job was first sent, by its id."""
        self.created: list[tuple[float, tuple[str, ...]]] = []
        self.refused = self.failed = self.delayed = self.windows = self._ids = 0
        self._window = window
        self._cdn = Cdn(lambda: self.now, self._at, lambda: SECONDS, lambda _: None, "")
        memory = memory_site(now=lambda: self.now, invalidation_budget=budget)
        memory.broker.known = shape
        self._broker = memory.broker
        self.site = replace(memory.site, queues=self, cdn=self)
        self._edge = Edge.of("invalidate")
        for handler in logging.getLogger("siteferry-invalidate").handlers:
            assert isinstance(handler, logging.StreamHandler)
            handler.stream = sys.stdout

    def drain(self, jobs: Sequence[Job], *, over: float, most: float = 7200.0) -> None:
        """Send jobs over some seconds, and let the handler work until there are none."""
        for n, one in enumerate(jobs):
            self._at(BEGIN + over * n / len(jobs), lambda one=one: self._send(one))  # type: ignore[misc]
        self._at(BEGIN + 0.1, self._receive)
        while self._events:
            self.now, _, event = heappop(self._events)
            assert self.now < BEGIN + most, f"{len(self.waiting)} messages are left"
            event()

    # Cdn

    def invalidate(self, paths: Sequence[str], reference: str) -> str:
        try:
            created = self._cdn.invalidate(paths, reference)
        except TooManyError as error:
            self.refused += 1
            raise BusyError("TooManyInvalidationsInProgress", retry_helps=True) from error
        self.created.append((self.now, tuple(paths)))
        return created

    def completed(self) -> Collection[str]:
        return self._cdn.completed()

    # Queues

    def send(self, jobs: Any) -> None:
        pytest.fail(f"{jobs} are not the invalidate handler's to send")

    def send_body(self, kind: JobKind, body: str, *, delay: int) -> None:
        assert kind == "invalidate"
        assert 0 < delay <= 900
        self.delayed += 1
        self._put(body, delay)

    def retry_in(self, kind: JobKind, receipt_handle: str, *, delay: int) -> None:
        self.failed += 1

    def _send(self, job: Job) -> None:
        self.sent[job.id] = self.now
        self._put(encode_job(job), 0)

    def _put(self, body: str, delay: float) -> None:
        self._ids += 1
        self.waiting[str(self._ids)] = self.now + delay, body

    def _receive(self) -> None:
        ready = [name for name, (moment, _) in self.waiting.items() if moment <= self.now][: self._window]
        if ready:
            self.windows += 1
            records = [
                {
                    "messageId": name,
                    "receiptHandle": name,
                    "body": self.waiting.pop(name)[1],
                    "attributes": {"ApproximateReceiveCount": "1"},
                    "eventSource": "aws:sqs",
                }
                for name in ready
            ]
            answer = handle_batch(self._edge, self.site, {"Records": records}, None)
            assert answer == {"batchItemFailures": []}
        if self.waiting or self._events:
            self._at(self.now + 2.0, self._receive)

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        self._ids += 1
        heappush(self._events, (moment, self._ids, event))

    # What came of it

    @property
    def paths(self) -> int:
        return sum(len(paths) for _, paths in self.created)

    @property
    def wildcards(self) -> int:
        return sum(path.endswith("*") for _, paths in self.created for path in paths)

    def unreached(self, jobs: Sequence[Job]) -> list[str]:
        """Give the names that no invalidation covers that was created after their job was sent."""
        left = []
        for one in jobs:
            later = [path for moment, paths in self.created if moment >= self.sent[one.id] for path in paths]
            exact = {path for path in later if not path.endswith("*")}
            wild = tuple(path[:-1] for path in later if path.endswith("*"))
            for name in one.names:
                paths = ("/",) if name == EVERYTHING else url_paths(name, "")
                left += [path for path in paths if path not in exact and not path.startswith(wild)]
        return left


def _large_run(count: int = 100) -> tuple[list[Job], Shape]:
    """Give the jobs of a run that changed 100,000 of 200,000 files, in 1,600 directories, and the site's shape."""
    names = [f"t{n % 16}/d{n % 1601}/f{n}.html" for n in range(count * 1000)]
    jobs = [Job("invalidate", "www", 7, tuple(names[n * 1000 : n * 1000 + 1000]), f"j{n}") for n in range(count)]
    return jobs, shape_of(Counter(split(name)[0] for name in names * 2).items())


@pytest.mark.parametrize(("window", "known"), [(1000, True), (1000, False), (1, False)])
def test_a_hundred_thousand_changes_drain_within_the_limits(window: int, *, known: bool) -> None:
    """In few windows or in many: never refused, no job fails, all is reached, for 3,000 paths at most."""
    jobs, shape = _large_run()
    service = Service(shape if known else None, window=window)
    service.drain(jobs, over=40.0)
    assert service.waiting == {}
    assert (service.refused, service.failed) == (0, 0)
    assert service.paths <= 3_000
    assert service.unreached(jobs) == []


def test_a_few_changes_at_a_time_stay_exact() -> None:
    """An hour of single edits, one every ten seconds, costs a path each and no wildcard, and none waits."""
    jobs = [Job("invalidate", "www", n, (f"d{n % 7}/f{n}",), f"j{n}") for n in range(360)]
    service = Service(Shape({"": 10_000}, typical=100))
    service.drain(jobs, over=3500.0)
    assert (service.paths, service.wildcards, service.delayed) == (360, 0, 0)
    assert service.unreached(jobs) == []


def test_what_has_to_wait_comes_together() -> None:
    """Site-wide invalidations beyond the 15 that are taken become one when there is room again."""
    jobs = [Job("invalidate", "www", n, (EVERYTHING,), f"j{n}") for n in range(30)]
    service = Service(None, window=1)
    service.drain(jobs, over=60.0)
    assert service.refused == 0
    assert service.delayed > 0
    assert service.wildcards <= 30
    assert service.unreached(jobs) == []


def test_a_budget_that_is_used_up_makes_windows_coarse_and_stops_nothing() -> None:
    """Each window of changes is one path from then on."""
    jobs = [Job("invalidate", "www", n, tuple(f"d{n}/f{m}" for m in range(9)), f"j{n}") for n in range(40)]
    service = Service(Shape({"": 10_000}, typical=100), budget=100)
    service.drain(jobs, over=40 * 60.0)
    assert service.unreached(jobs) == []
    lengths = [len(paths) for _, paths in service.created]
    assert lengths[0] == 9
    assert lengths[-1] == 1
    assert sum(lengths) < 150
