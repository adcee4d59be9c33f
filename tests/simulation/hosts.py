"""The hosts that agents run on: one-shot syncs and daemons, their caches, and who takes over."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from siteferry.app import OpenSite
from siteferry.carry import request_seconds
from siteferry.config import Brake, Config
from siteferry.daemon import run_daemon
from siteferry.errors import BusyError, LeaseLostError, SiteferryError, UsageError
from siteferry.hints import Heard
from siteferry.lease import Control, Renewal
from siteferry.parts import Services
from siteferry.report import PlainReporter, Summary
from siteferry.state import StateDirectory
from siteferry.sync import Site
from siteferry_contract.descriptor import Descriptor
from tests.simulation.agent_ports import AgentIndex, AgentObjects, AgentQueues, Asking, HostClock
from tests.simulation.cloud import Cloud
from tests.simulation.disk import Disk
from tests.simulation.schedule import LEASE, Schedule
from tests.simulation.scheduler import Event, Executor, Process
from tests.simulation.settings import EXCLUDES, PERCENT


class Teller(PlainReporter):
    """A reporter that tells the story."""

    def __init__(self, tell: Callable[[str], None], counts: Counter[str]) -> None:
        super().__init__(quiet=True)
        self._tell, self._counts = tell, counts

    def finished(self, summary: Summary) -> None:
        """Count a daemon's run."""
        super().finished(summary)
        self._counts["runs over hinted directories, of daemons"] += summary.hinted and summary.run is not None

    def _print(self, line: str) -> None:
        self._tell(line)


class _Source:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def read(self) -> Descriptor:
        """Give it as it is deployed now."""
        return self._cloud.descriptor


@dataclass(slots=True)
class _Hints:
    """Implements `Source`: hints that may be true or not."""

    disk: Disk
    rng: random.Random
    chance: float
    """In a hundred looks."""

    def refresh(self) -> None:
        """Do nothing."""

    def is_behind(self) -> bool:
        """No."""
        return False

    def poll(self) -> Heard:
        """Give some now and then."""
        heard = Heard()
        if self.rng.random() * 100 < self.chance:
            for path in self.draw():
                heard.add(path, written=self.rng.random() < 0.5)
            heard.missed = self.rng.random() < 0.1
        return heard

    def draw(self) -> list[bytes]:
        """Draw some directories that are there, and some that are not."""
        root = os.fsencode(self.disk.root)
        there = sorted(os.path.relpath(at, root) for at, _, _ in os.walk(root))
        paths = [b"" if path == b"." else path for path in there] + [b"nowhere", b"docs/nowhere", b"..", b"keep.txt"]
        return self.rng.sample(paths, self.rng.randint(1, len(paths)))


@dataclass(slots=True)
class Host:
    """A host with a state directory."""

    name: str
    cloud: Cloud
    schedule: Schedule
    disk: Disk
    base: Path
    skew: float
    rng: random.Random
    excludes: int = 0
    """Which of `EXCLUDES` is configured now."""
    processes: int = 0
    process: Process | None = None
    """That was begun last."""
    running: Event | None = None
    """Asks the daemon that runs to stop."""
    last: Summary | None = None
    """Of the last sync that ended well."""
    ended: float = 0.0
    """When that was."""
    caches: list[Path] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.base / f"state-{self.name}"

    def sync(self, hinted: list[bytes] | None = None) -> Process:
        """Begin a sync in a process of its own, of hinted directories or of all."""
        return self._start(lambda site, _: self._finish(site.sync(hinted)))

    def audit(self, *, deep: bool) -> Process:
        """Begin an audit that mends, in a process of its own."""
        return self._start(lambda site, _: self._finish(site.repair(deep=deep)))

    def rebuild(self) -> Process:
        """Begin a rebuild of the index, in a process of its own."""

        def run(site: Site, _: HostClock) -> None:
            try:
                summary = site.adopt(None)
            except UsageError:
                self.cloud.lost = False  # the one before was complete, only that nobody heard of it
                return
            self._finish(summary)
            self.cloud.counts["files adopted"] += summary.adopted
            self.cloud.lost = not summary.closed

        return self._start(run)

    def daemon(self) -> Process:
        """Begin a daemon; it runs until it is asked to stop."""

        def run(site: Site, clock: HostClock) -> None:
            descriptor = self.cloud.descriptor
            opened = OpenSite(site, descriptor, _Source(self.cloud), StateDirectory(self.state))
            teller = Teller(self.cloud.requests.tell, self.cloud.counts)
            sources = [self._hints()] if self.schedule.hints else []
            run_daemon(opened, self._config(), teller, cast("Any", clock), sources=sources)

        return self._start(run)

    def loop(self, over: Callable[[], bool]) -> None:
        """Keep the site published, until it is over."""
        scheduler, idle = self.cloud.scheduler, 1.0
        while not over():
            if self.cloud.lost:
                scheduler.sleep(5.0)
                continue
            self._spoil_the_cache()
            if self.rng.random() < self.schedule.daemons:
                process = self.daemon()
                stop = self.running
                assert stop is not None
                seconds = self.rng.random() * 400.0
                scheduler.at(scheduler.now + seconds, stop.set)
            elif self.rng.random() < self.schedule.audits:
                process = self.audit(deep=self.rng.random() < 0.5)
            elif self.schedule.hints and self.rng.random() < self.schedule.hints:
                process = self.sync(self._hints().draw())
            else:
                process = self.sync()
            scheduler.join(process)
            idle = min(4 * idle, 64.0) if self.last and self.last.run is None and not self.last.deferred else 1.0
            scheduler.sleep(self.rng.random() * min(self.schedule.pauses * idle, 90.0))

    def approve(self) -> bool:
        """Let the deletes go that the last sync held; tells whether there were any."""
        held = self.last.held if self.last else 0
        if held:
            self.cloud.counts["deletes approved"] += held
            self.cloud.requests.tell(f"approves {held} deletes on host {self.name}")
            StateDirectory(self.state).approve(held)
        return bool(held)

    def _hints(self) -> _Hints:
        return _Hints(self.disk, self.rng, 5 * self.schedule.hints)

    def _start(self, work: Callable[[Site, HostClock], None]) -> Process:
        scheduler = self.cloud.scheduler
        self.processes += 1
        self.last = None
        process = Process(
            f"agent {self.name}{self.processes}", self.schedule.agent_tempo * self.rng.choice((0.3, 1.0, 1.0))
        )
        process.born = self.disk.clock()
        self.running, self.process = Event(scheduler), process
        clock = HostClock(scheduler, self.skew, self.running, self.cloud.requests)
        self.cloud.counts["agents started"] += 1
        scheduler.spawn(process, lambda: self._main(work, clock), self.rng.random() * 0.1)
        return process

    def _main(self, work: Callable[[Site, HostClock], None], clock: HostClock) -> None:
        cloud, tell = self.cloud, self.cloud.requests.tell
        asking = Asking(cloud.requests, request_seconds(LEASE))

        def renewal(control: Control, seconds: float) -> Renewal:
            cloud.counts["leases taken"] += 1
            return Renewal(control, seconds)

        services = Services(
            AgentIndex(asking, cloud.table),
            lambda: AgentObjects(asking, cloud.bucket, self.schedule.part_checksums),
            AgentQueues(asking, cloud.queues, cloud.descriptor),
            clock,
            cast("Any", Executor(cloud.scheduler)),
            renewal,
        )
        state = StateDirectory(self.state)
        site = Site(self._config(), cloud.descriptor, services, state, Teller(tell, cloud.counts), clock.stop.is_set)
        try:
            work(site, clock)
        except BusyError as error:
            cloud.counts["agents that found the site busy"] += 1
            tell(f"ends: {error}")
        except LeaseLostError as error:
            cloud.counts["leases lost"] += 1
            tell(f"ends: {error}")
        except SiteferryError as error:
            tell(f"ends: {error}")
        finally:
            try:
                site.close()
            finally:
                site.parts.cache.close()

    def _finish(self, summary: Summary) -> None:
        self.cloud.counts["syncs of hinted directories"] += summary.hinted
        self.cloud.counts["runs over hinted directories"] += summary.hinted and summary.run is not None
        if not summary.hinted:  # it tells nothing of what is held in all
            self.last, self.ended = summary, self.cloud.scheduler.now
        self.cloud.counts["audits that mend"] += summary.differences is not None
        self.cloud.counts["differences found"] += summary.differences or 0
        self.cloud.counts["deletes held"] += summary.held
        self.cloud.counts["recoveries"] += summary.recovered and summary.run is not None
        self.cloud.requests.tell(f"ends: {summary.line()}")

    def _config(self) -> Config:
        return Config(
            "www",
            self.disk.root,
            self.state,
            interval=max(self.schedule.pauses, 15.0),
            settle=self.schedule.settle,
            workers=4,
            lease=LEASE,
            brake=Brake(files=self.schedule.brake, percent=PERCENT),
            exclude=EXCLUDES[self.excludes],
        )

    def _spoil_the_cache(self) -> None:
        cache = self.state / "cache.sqlite"
        if not cache.exists() or (self.state / "cache.sqlite-wal").exists():
            return
        if self.rng.random() >= self.schedule.cache_faults:
            return
        match self.rng.choice(("keep", "keep", "lose", "old")):
            case "keep":
                self.caches.append(self.base / f"{self.name}-{len(self.caches)}.sqlite")
                shutil.copyfile(cache, self.caches[-1])
            case "lose":
                self.cloud.counts["caches lost"] += 1
                cache.unlink()
            case "old" if self.caches:
                self.cloud.counts["caches stale"] += 1
                shutil.copyfile(self.rng.choice(self.caches), cache)
