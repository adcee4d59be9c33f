"""The FTP host: a real agent over a real tree, a bucket in memory, and all that a reader ever saw of it."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from siteferry.app import OpenSite
from siteferry.clock import HostClock
from siteferry.config import Brake, Config
from siteferry.daemon import run_daemon
from siteferry.parts import Services
from siteferry.report import PlainReporter, Summary
from siteferry.state import StateDirectory
from siteferry.sync import Site
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import Job, decode_job, encode_job
from tests.simulation import agent_ports
from tests.simulation.cloud import HANDLERS, Cloud, describe_site
from tests.simulation.faults import Faults, Requests
from tests.simulation.s3 import Version
from tests.simulation.scheduler import Scheduler
from tests.unit.agent.fakes import InlineExecutor

SETTLE: Final = 2.0
"""Seconds. Uploads that are slow write several times in them, so that a machine that is busy does not stall them."""
INTERVAL: Final = 0.2
_PATIENCE: Final = 90.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader gets from a moment on."""

    body: bytes | None
    """None: 404."""
    at: float
    """Seconds since 1970."""
    ctime: float | None
    """Of the file that is on disk at that moment."""


@dataclass
class Host:
    """The host and its site."""

    root: Path
    state: Path
    history: dict[str, list[Seen]] = field(default_factory=dict)
    """By key."""
    cycles: list[float] = field(default_factory=list)
    """When each began, in seconds since 1970."""
    failures: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def seen(self, key: str) -> list[Seen]:
        """Give all that a reader ever saw of a key."""
        with self.news:
            return list(self.history.get(key, ()))

    def now_at(self, key: str) -> bytes | None:
        """Give what a reader gets."""
        seen = self.seen(key)
        return seen[-1].body if seen else None

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds, which is asked whenever anything happened."""
        deadline = time.monotonic() + _PATIENCE
        with self.news:
            while not condition():
                assert not self.failures, self.failures[0]
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come within {_PATIENCE:.0f} s"
                self.news.wait(min(left, 1.0))

    def wait_until_live(self, key: str, body: bytes | None) -> None:
        """Wait until a reader gets a body; None: 404."""
        self.wait_for(lambda: self.now_at(key) == body, f"{key} as {body[:20] if body else body!r}")

    def next_cycle(self) -> None:
        """Wait for the begin of a cycle, and of the one after it: one is over that began after this call."""
        begun = len(self.cycles)
        self.wait_for(lambda: len(self.cycles) >= begun + 2, "a cycle")

    def wait_quiet(self, directory: Path) -> None:
        """Wait until whatever is in a directory has been settled for a whole cycle, and more."""
        while time.time() - newest(directory) <= SETTLE:
            self.next_cycle()
        self.next_cycle()
        self.next_cycle()

    # ---- what it is made of

    def heard(self, key: str, current: Version | None) -> None:
        """Note what a reader gets from now on."""
        try:
            ctime: float | None = (self.root / key).stat().st_ctime
        except OSError:
            ctime = None
        with self.news:
            self.history.setdefault(key, []).append(Seen(current.body if current else None, time.time(), ctime))
            self.news.notify_all()

    def begin_cycle(self) -> None:
        """Note the begin of a cycle."""
        with self.news:
            self.cycles.append(time.time())
            self.news.notify_all()

    def fail(self, what: str) -> None:
        """Note that the agent or a handler failed."""
        with self.news:
            self.failures.append(what)
            self.news.notify_all()


def newest(directory: Path) -> float:
    """Give the greatest ctime in a directory, its own included."""
    found = [directory.stat().st_ctime]
    for folder, subdirectories, names in os.walk(directory):
        for name in (*subdirectories, *names):
            try:
                found.append(os.lstat(os.path.join(folder, name)).st_ctime)
            except FileNotFoundError:
                found.append(time.time())
    return max(found)


class _Reporter(PlainReporter):
    def __init__(self, host: Host, out: Any) -> None:
        super().__init__(out)
        self._host = host

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        self._host.begin_cycle()

    def note(self, text: str) -> None:
        super().note(text)
        if "ERROR" in text:
            self._host.fail(text)

    def failed(self, path: bytes, reason: str) -> None:
        super().failed(path, reason)
        self._host.fail(f"{path!r}: {reason}")

    def finished(self, summary: Summary) -> None:
        if summary.hold_reason:
            self._host.fail(summary.hold_reason)


@dataclass(slots=True)
class _DoneAtOnce:
    """Implements `JobQueues`: each job is handled when it is sent, by the real handlers."""

    cloud: Cloud
    descriptor: Descriptor

    def send(self, jobs: Sequence[Job]) -> None:
        """Handle jobs."""
        for job in jobs:
            own = self.descriptor
            taken = decode_job(encode_job(job), kind=job.kind, site=own.site, prefix=own.prefix)
            if job.kind in HANDLERS:
                self.cloud.handle(job.kind, taken)


@contextmanager
def publishing(root: Path, folder: Path) -> Iterator[Host]:
    """Publish a tree by a daemon of the real agent's, in a thread, until the block ends."""
    rng, counts = random.Random(1), Counter[str]()
    scheduler = Scheduler(rng, 0.0)  # nobody's: every request is made by a thread, at once
    requests = Requests(scheduler, Faults(rng, (), "both", 0.0, 0), tell=lambda _text: None, lease=60.0)
    descriptor = describe_site("", pages=False)
    calm: Any = SimpleNamespace(held=0.0, handler_tempo=1.0)
    cloud = Cloud(scheduler, requests, descriptor, counts, rng, calm)
    host = Host(root, folder)
    cloud.bucket.now, cloud.bucket.changed = time.time, host.heard
    asking = agent_ports.Asking(requests, 10.0)
    clock = HostClock()
    config = Config(
        "www", root, folder / "state", interval=INTERVAL, settle=SETTLE, lease=3600, audit_days=0,
        brake=Brake(files=10_000),
    )  # fmt: skip
    source: Any = SimpleNamespace(read=lambda: descriptor)

    def run(out: Any) -> None:
        state = StateDirectory(config.state_dir)
        services = Services(
            agent_ports.AgentIndex(asking, cloud.table),
            lambda: agent_ports.AgentObjects(asking, cloud.bucket),
            _DoneAtOnce(cloud, descriptor),
            clock,
            InlineExecutor(),
            lambda *_: nullcontext(),
        )
        reporter = _Reporter(host, out)
        try:
            site = Site(config, descriptor, services, state, reporter)
            try:
                run_daemon(OpenSite(site, descriptor, source, state), config, reporter, clock)
            finally:
                site.close()
        except BaseException as error:  # whatever ends the agent ends the tests
            host.fail(f"the agent ended: {error!r}")
            raise

    with (folder / "agent.log").open("w", encoding="utf-8") as out:
        thread = threading.Thread(target=run, args=(out,), name="agent")
        thread.start()
        try:
            yield host
        finally:
            clock.ask_to_stop()
            thread.join()
