"""One schedule: the real agent and the real handlers among users, visitors, an operator, and every kind of failure."""

import gc
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import siteferry.lease
import siteferry.look
import siteferry.lstat
import siteferry.publish
import siteferry.run
import siteferry.scan
import siteferry.state
import siteferry.tree
import siteferry.uploads
from siteferry_contract.copy_rules import original_of
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import path_to_key
from siteferry_contract.objects import is_generated
from tests.descriptors import descriptors_beneath
from tests.simulation.cloud import Cloud
from tests.simulation.disk import Disk, SimulatedOs
from tests.simulation.faults import Faults, Requests
from tests.simulation.hosts import Host
from tests.simulation.invariant import MISSING, violations
from tests.simulation.meddler import FOREIGN
from tests.simulation.mutations import MUTATIONS
from tests.simulation.operators import Operator
from tests.simulation.s3 import Version
from tests.simulation.schedule import LEASE, Schedule
from tests.simulation.scheduler import Event, Future, Lock, Process, Scheduler, StuckError, Thread
from tests.simulation.settings import EXCLUDES, describe_site, small_limits
from tests.simulation.users import Edit, User
from tests.simulation.watch import Watch

BEGIN = 1_800_000_000.0
"""Seconds since 1970."""
ROUNDS = 25
"""Syncs after everything else ended, in which the site must come to rest."""
REDRIVES = 3
"""Of what may fail for good."""
AUDITS = 5
"""Deep ones at most, for what was done behind the site's back: files may be deferred, deletes may need an approval."""


@dataclass(slots=True)
class Result:
    """What came of a schedule."""

    failures: list[str] = field(default_factory=list)
    trail: list[tuple[float, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class World:
    """Everything in one schedule."""

    def __init__(self, schedule: Schedule, base: Path, mutation: str = "") -> None:
        self.schedule, self.result, self._mutation = schedule, Result(), mutation
        rng = random.Random(f"{schedule.seed} {schedule.order}")
        self.scheduler = Scheduler(rng, BEGIN)
        counts = self.result.counts
        fault_rng = random.Random(f"{schedule.seed} {schedule.order} faults")
        self.faults = Faults(
            fault_rng, schedule.faults, schedule.targets, schedule.rate, schedule.budget, schedule.sharp, counts
        )
        begin, length = schedule.outage
        self.faults.outage = (BEGIN + begin, BEGIN + begin + length)
        self.requests = Requests(self.scheduler, self.faults, self.tell, LEASE)
        self.cloud = Cloud(
            self.scheduler,
            self.requests,
            describe_site(
                schedule.prefix, pages=schedule.pages, redirects=schedule.redirects, encoding=schedule.encoding
            ),
            counts,
            rng,
            schedule,
        )
        self.cloud.bucket.changed = self._changed
        clock = lambda: self.scheduler.now + schedule.skew  # noqa: E731
        self.disk = Disk(base, schedule.prefix, schedule.encoding, clock, self._pause)
        self.disk.make()
        table, violated = self.cloud.table, self.result.failures.append
        self.watch = Watch(
            self.scheduler, self.disk, schedule, violated, count_files=lambda: len(self.cloud.table.files())
        )
        table.committed, table.written = self.watch.committed, self.watch.written
        skews = (schedule.skew, -schedule.skew)
        self.hosts = [
            Host(name, self.cloud, schedule, self.disk, base, skew, rng)
            for name, skew in list(zip("AB", skews, strict=True))[: schedule.hosts]
        ]
        self.rng = rng
        self._quiet = False
        self.operator = Operator(
            schedule,
            self.scheduler,
            self.cloud,
            self.hosts,
            rng,
            counts,
            self.watch.hear_of_an_approval,
            self.watch.hear_of_a_loss,
        )
        self.requests.cues.steer(schedule.steers)

    def tell(self, text: str) -> None:
        """Add a line to the story."""
        process = self.scheduler.process
        name = process.name if process else "-"
        self.result.trail.append((self.scheduler.now - BEGIN, name, text))
        self.requests.cues.hear(f"{name}: {text}")

    def run(self) -> Result:
        """Run the schedule and look at what is left."""
        try:
            with self._real_code():
                self._live()
                # After a loss, a job about what is gone has no leaf before the audit gives it one.
                self._come_to_rest(letters_may_stay=bool(self.schedule.losses))
                if self.schedule.ends_with_an_audit:
                    if not self.schedule.ends_without_its_files:
                        self.result.failures += [text for text in self._violations() if text.startswith(MISSING)]
                    self._mend()
            self.result.failures += [f"ESCAPED: {text}" for text in self.scheduler.escaped]
            if not self.result.failures:
                self.result.failures += self._violations()
        except StuckError as error:
            self.result.failures.append(f"STUCK: {error}")
        return self.result

    # ---- phases

    def _violations(self) -> Iterator[str]:
        return violations(self.disk, self.cloud, EXCLUDES[self.hosts[0].excludes])

    def _live(self) -> None:
        schedule, scheduler = self.schedule, self.scheduler
        users = []
        for number in sorted({edit.user for edit in schedule.edits}):
            process = Process(f"user {number}")
            scheduler.spawn(process, partial(self._use, number))
            users.append(process)
        hosts = []
        for host in self.hosts:
            process = Process(f"host {host.name}")
            scheduler.spawn(process, partial(host.loop, lambda: self._quiet), self.rng.random() * 30)
            hosts.append(process)
        self.operator.begin(BEGIN)
        scheduler.run(lambda: all(user.ended for user in users))
        end = scheduler.now + self.rng.random() * self.rng.choice((1.0, 100.0, 500.0))
        scheduler.at(end, lambda: None)
        scheduler.run(lambda: scheduler.now >= end)
        self._quiet = self.operator.quiet = True
        self.faults.on = False
        self.disk.repair()
        self.requests.cues.release()
        self.cloud.queues.calm = True
        for host in self.hosts:
            if host.running is not None:
                host.running.set()
        scheduler.run(lambda: all(process.ended for process in (*hosts, *self.operator.losing)))

    def _come_to_rest(self, *, letters_may_stay: bool = False) -> None:
        # Whoever published last has a cache that is valid, and so the least reason to look again.
        scheduler, host = self.scheduler, max(self.hosts, key=lambda host: host.ended)
        for n in range(ROUNDS):
            process = host.sync()
            scheduler.run(lambda process=process: process.ended)  # type: ignore[misc]
            scheduler.run()
            redriven = self.cloud.queues.redrive() if n > 1 else 0
            scheduler.run()
            summary = host.last
            approved = self.operator.approve(host)
            at_rest = summary and summary.run is None and not summary.deferred and not summary.failures
            if at_rest and not approved and (n > REDRIVES + 1 if letters_may_stay else not (redriven or self._dead())):
                return
            scheduler.now += self.schedule.settle + LEASE / 2
            if self.scheduler.escaped:
                return
        self.result.failures.append(
            f"NO REST: after {ROUNDS} more syncs: {summary.line() if summary else 'the last one failed'}"
            f" {summary.failures if summary else ''}, {self._dead()} dead letters"
        )

    def _mend(self) -> None:
        host = max(self.hosts, key=lambda host: host.ended)
        for _ in range(AUDITS):
            process = host.audit(deep=True)
            self.scheduler.run(lambda process=process: process.ended)  # type: ignore[misc]
            self.scheduler.run()
            if not self.operator.approve(host) and host.last and not host.last.deferred:
                break
            self.scheduler.now += self.schedule.settle
        if self.schedule.losses:
            self.cloud.drop_what_has_no_leaf()
        self._come_to_rest()

    def _dead(self) -> int:
        return sum(map(len, self.cloud.queues.dead.values()))

    # ---- actors

    def _use(self, number: int) -> None:
        user = User(self.disk, self.scheduler.sleep, self.rng, self.schedule.settle, self._visit)
        for edit in self.schedule.edits:
            if edit.user == number:
                self._await(edit)
                self.tell(edit.describe())
                done = user.do(edit)
                self.result.counts["edits" if done else "edits refused"] += 1
                self.tell("done" if done else "that did not work")

    def _await(self, edit: Edit) -> None:
        if edit.cue:
            self.requests.cues.wait(edit.cue.split(" then "), edit.after)
            self.scheduler.sleep(self.rng.random() * self.rng.choice((0.1, 2.0)))
        else:
            self.scheduler.sleep(edit.after)

    def _changed(self, key: str, current: Version | None) -> None:
        """Look at what readers get from now on, and let visitors get it."""
        if current is not None and current.body == FOREIGN:
            return
        if current is not None and current.body is not None and not is_generated(current.metadata):
            history = self.disk.history
            sources = {key, *(original_of(key, self.schedule.prefix, rules) for rules in self.schedule.copy_rules)}
            if self.schedule.reforms:  # what was a duplicate may be a source by now, and be duplicated itself
                sources = {source for source, _ in history}
            if not any((source, current.body) in history for source in sources):
                self.result.failures.append(f"TORN OR FOREIGN: {key} is readable as {current.body[:40]!r}")
        self.cloud.queues.let_go(key)
        if self.rng.random() < self.schedule.visits:
            self.result.counts["visits"] += 1
            self.cloud.cdn.visit(key)
        if self.rng.random() < self.schedule.visits:
            self.scheduler.at(self.scheduler.now + self.rng.random() * 20, lambda: self.cloud.cdn.visit(key))

    def _visit(self, path: bytes) -> None:
        with suppress(ContractError):
            own = self.cloud.descriptor
            self.cloud.cdn.visit(path_to_key(path, prefix=own.prefix, encoding=own.encoding))
            self.result.counts["visits"] += 1
            self.tell(f"visits {path!r}")

    def _pause(self) -> None:
        if self.rng.random() < 0.3:
            self.scheduler.sleep(self.rng.random() * self.rng.choice((0.01, 0.01, 0.5)))

    # ---- the real code

    @contextmanager
    def _real_code(self) -> Iterator[None]:
        """Have the agent's modules wait in simulated time, and look at the tree through the simulation."""
        scheduler = self.scheduler

        def thread(*, target: Any, **_: object) -> Thread:
            return Thread(scheduler, target)

        threading = SimpleNamespace(Lock=lambda: Lock(scheduler), Event=lambda: Event(scheduler), Thread=thread)
        simulated = SimulatedOs(self.disk)

        def wait(futures: list[Future[Any]]) -> None:
            for future in futures:
                future.wait()

        with ExitStack() as stack:
            for module in (siteferry.tree, siteferry.scan):
                stack.enter_context(patch.object(module, "os", simulated))
            stack.enter_context(patch.object(siteferry.lstat, "SLOW_SECONDS", float("inf")))  # no real threads
            stack.enter_context(patch.object(siteferry.lease, "threading", threading))
            now = SimpleNamespace(time=lambda: scheduler.now)
            stack.enter_context(patch.object(siteferry.state, "time", now))
            stack.enter_context(patch.object(siteferry.uploads, "wait", wait))
            own_clock = self.schedule.own_clock or self.schedule.hosts > 1
            stack.enter_context(patch.object(siteferry.look, "has_own_clock", lambda _: own_clock))
            if self.schedule.chunked:
                stack.enter_context(patch.object(siteferry.publish, "WHOLE_BYTES", 3))
            for change in small_limits(self.schedule.small) if self.schedule.small else ():
                stack.enter_context(change)
            for change in MUTATIONS[self._mutation]() if self._mutation else ():
                stack.enter_context(change)
            yield


def run_schedule(schedule: Schedule, mutation: str = "") -> Result:
    """Run one schedule in a directory of its own, on memory where there is some; `mutation` leaves a clause out."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="siteferry-", dir=shared if shared.is_dir() else None) as base:
        world = World(schedule, Path(base) / "world", mutation)
        result = world.run()
        del world
    killed = result.counts["crashes"] + result.counts["handlers timed out"]  # then the descriptors die with the process
    if not killed and descriptors_beneath(Path(base)):
        gc.collect()
        if leaked := descriptors_beneath(Path(base)):
            result.failures.append(f"LEAKED: {len(leaked)} file descriptors, of {leaked[0]}")
    return result
