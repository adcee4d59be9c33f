"""The site's operator: redrives, approves, deploys, configures. And somebody who meddles with the bucket."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tests.simulation.cloud import Cloud
from tests.simulation.hosts import Host
from tests.simulation.meddler import Meddler
from tests.simulation.schedule import LEASE, Schedule
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.settings import EXCLUDES, HEADER_RULES, INVALIDATIONS, REFORMS


@dataclass(slots=True)
class Operator:
    """Does what a schedule says, until all is to be quiet."""

    schedule: Schedule
    scheduler: Scheduler
    cloud: Cloud
    hosts: Sequence[Host]
    rng: random.Random
    counts: Counter[str]
    approved: Callable[[], None]
    """Hears of every approval."""
    forgotten: Callable[[], None]
    """Hears of every loss of the index, and with it of what was counted."""
    losing: list[Process] = field(default_factory=list, init=False)
    """Until the index is rebuilt."""
    quiet: bool = field(default=False, init=False)

    def begin(self, now: float) -> None:
        """Begin."""
        schedule = self.schedule
        self.scheduler.spawn(Process("operator"), self._work)
        plans: tuple[tuple[float, Callable[[], None]], ...] = (
            *((after, partial(self._deploy_rules, number)) for after, number in schedule.rules),
            *((after, partial(self._reform, number)) for after, number in schedule.reforms),
            *((after, partial(self._configure, number)) for after, number in schedule.excludes),
            *((after, partial(self._tag, number)) for after, number in schedule.tagging),
            *((after, self._meddle) for after in schedule.meddling),
        )
        for after, action in plans:
            self.scheduler.at(now + after, partial(self._unless_quiet, action))
        for after, cue in schedule.losses:
            process = Process("operator with a lost index")
            self.losing.append(process)
            self.scheduler.spawn(process, partial(self._lose, after, cue))

    def approve(self, host: Host) -> bool:
        """Let the deletes go that a host's last sync held; tells whether there were any."""
        approved = host.approve()
        if approved:
            self.approved()
        return approved

    def _work(self) -> None:
        while not self.quiet:
            self.scheduler.sleep(self.rng.random() * self.rng.choice((30.0, 200.0, 1000.0)))
            if self.schedule.redrives and self.cloud.queues.redrive():
                self.cloud.requests.tell("redrives the dead letters")
            if self.rng.random() < self.schedule.approves:
                self.approve(self.rng.choice(self.hosts))

    def _lose(self, after: float, cue: str) -> None:
        """Lose the index, and do what docs/lost-index.md says."""
        if cue:
            self.cloud.requests.cues.wait(cue.split(" then "), after)
        else:
            self.scheduler.sleep(after)
        if self.quiet or self.cloud.lost:
            return
        cloud, host = self.cloud, self.rng.choice(self.hosts)
        cloud.lost = True
        cloud.table.delete()
        self._done("indexes lost", "the index is lost")
        while any(one.process and not one.process.ended for one in self.hosts):
            for one in self.hosts:
                if one.running is not None:
                    one.running.set()
            self.scheduler.sleep(1.0)
        self.scheduler.sleep(LEASE)  # until no request can be under way any more
        cloud.table.create()
        self.forgotten()
        while cloud.lost:
            self.scheduler.join(host.rebuild())
            head = cloud.table.head
            if head and head.open and head.rebuilt and self.rng.random() < 0.2:
                cloud.lost = False
                cloud.requests.tell("leaves the rest of it to a sync")
            self.scheduler.sleep(LEASE * self.rng.random())

    def _unless_quiet(self, action: Callable[[], None]) -> None:
        if not self.quiet:
            action()

    def _deploy_rules(self, number: int) -> None:
        self.cloud.deploy(replace(self.cloud.descriptor, header_rules=HEADER_RULES[number]))
        self._done("header rules changed", f"header rules {number} are deployed")

    def _tag(self, number: int) -> None:
        self.cloud.deploy(replace(self.cloud.descriptor, invalidation=INVALIDATIONS[number]))
        self._done("ways to invalidate changed", f"{INVALIDATIONS[number]} are what is invalidated")

    def _reform(self, number: int) -> None:
        rules, pages, redirects = REFORMS[number]
        own = self.cloud.descriptor
        self.cloud.deploy(replace(own, copy_rules=rules, directory_pages=pages, directory_redirects=redirects))
        self._done("copy rules or pages changed", f"copy rules and pages {number} are deployed")

    def _configure(self, number: int) -> None:
        for host in self.hosts:
            host.excludes = number
        self._done("excludes changed", f"the excludes are {', '.join(EXCLUDES[number])}")

    def _meddle(self) -> None:
        self._done("changes behind the site's back", Meddler(self.cloud, self.rng).meddle())

    def _done(self, count: str, text: str) -> None:
        self.counts[count] += 1
        self.cloud.requests.tell(text)
