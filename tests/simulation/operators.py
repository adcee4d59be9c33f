"""The site's operator: redrives, approves, deploys, configures. And somebody who meddles with the bucket."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tests.simulation.cloud import Cloud
from tests.simulation.hosts import Host
from tests.simulation.meddler import Meddler
from tests.simulation.schedule import Schedule
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
