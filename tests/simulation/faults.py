"""What may go wrong with a request, and when: each request of an actor is made through `Requests.make`."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from tests.simulation.cloudfront import TooManyError
from tests.simulation.cues import Cues, Steer
from tests.simulation.s3 import PreconditionFailedError
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.table import NoTableError

T = TypeVar("T")

FaultKind = Literal["throttle", "error", "time-out", "crash", "suspend"]
Targets = Literal["agent", "handler", "both"]
SHARP_WORDS: Final = (
    "PUT", "PUT", "PUT", "PUT", "committing", "committing", "sending", "sending", "closing", "HEAD", "marking",
    "removing", "copying", "putting page", "reading the leaf", "invalidating",
)  # fmt: skip
FAULT_KINDS: Final[tuple[FaultKind, ...]] = ("throttle", "error", "time-out", "crash", "suspend")

LATENCIES: Final = (0.01, 0.1, 0.1, 1.0, 5.0)
"""Seconds, at most: from within a rack to a bad day. All of them stay below every time-out."""


class ThrottledFault(Exception):  # noqa: N818  it becomes the port's own error
    """Refused for now, without an effect."""


class UnknownFault(Exception):  # noqa: N818
    """No answer: it may have had its effect."""


@dataclass(slots=True)
class Faults:
    """Draws faults. The same draws come again with the same seed and settings."""

    rng: random.Random
    kinds: tuple[FaultKind, ...]
    targets: Targets
    rate: float
    """Chance of a fault for each request."""
    budget: int
    """Faults that are left."""
    sharp: tuple[str, FaultKind, int] | None = None
    """A word of a request, the fault that often meets it, and after how many."""
    counts: Counter[str] = field(default_factory=Counter)
    on: bool = True
    outage: tuple[float, float] = (0.0, 0.0)
    """Begin and end of a time in which handlers reach nothing, mostly: their jobs end as dead letters."""

    def draw(self, what: str, now: float, *, suspends: bool) -> FaultKind | None:
        """Give the fault of a request, mostly None."""
        outage = self.outage[0] <= now < self.outage[1] and "visibility" not in what
        if not suspends and self.on and outage and self.rng.random() < 0.8:
            return "throttle"
        if self.on and self.budget and self.sharp and self.sharp[0] in what:
            word, kind, after = self.sharp
            self.sharp = word, kind, max(after - 1, 0)
            if not after and self.rng.random() < 0.5 and (suspends or kind != "suspend"):
                self.budget -= 1
                return kind
        if not (self.on and self.budget and self.kinds) or self.rng.random() >= self.rate:
            return None
        if self.targets == ("handler" if suspends else "agent"):
            return None
        kind = self.rng.choice(self.kinds)
        if kind == "suspend" and not suspends:
            return None
        self.budget -= 1
        return kind

    def suspends(self) -> bool:
        """Draw whether a host is suspended between two of its requests."""
        if not (self.on and self.budget and "suspend" in self.kinds and self.targets != "handler"):
            return False
        if self.rng.random() >= self.rate / 4:
            return False
        self.budget -= 1
        return True


@dataclass(slots=True)
class Requests:
    """Makes requests: they take their time, and may fail in every way in which requests fail."""

    scheduler: Scheduler
    faults: Faults
    tell: Callable[[str], None]
    lease: float
    cues: Cues = field(init=False)

    def __post_init__(self) -> None:
        self.cues = Cues(self.scheduler)

    def latency(self) -> float:
        """Draw the seconds of one way."""
        rng, process = self.scheduler.rng, self.scheduler.process
        return rng.random() * LATENCIES[int(rng.random() * len(LATENCIES))] * (process.tempo if process else 1.0)

    def make(
        self, what: str, effect: Callable[[], T], *, timeout: float, suspends: bool = False, fenced: bool = False
    ) -> T:
        """Make a request; raises ThrottledFault, UnknownFault.

        No effect comes later than `timeout` after the begin, not even when the process that asked for it is dead. Where
        the effect is `fenced`, or a handler's, the begin itself may come any time after its process decided upon it.
        """
        scheduler = self.scheduler
        process, begun = scheduler.process, scheduler.now
        if process is None:
            return effect()
        fault = self.faults.draw(what, begun, suspends=suspends)
        steer = self.cues.meet(process.name, what)
        if fault == "suspend":
            fault = None
            self._suspend(process, self.lease * self.faults.rng.choice((0.5, 1.2, 3.0)))
            begun = self._begin(begun, late=fenced and self.faults.rng.random() < 0.5)
        match steer.act if steer else None:
            case "hold":
                assert steer
                self.tell(f"is held at {what}")
                self.cues.wait(steer.until, steer.seconds)
                begun = self._begin(begun, late=fenced or not suspends)
            case "suspend":
                assert steer
                self._suspend(process, steer.seconds)
                begun = self._begin(begun, late=fenced)
            case None:
                pass
            case met:
                fault = met
        scheduler.sleep(self.latency())
        if scheduler.now - begun > timeout:
            raise UnknownFault(what)
        if fault is not None:
            self._fail(fault, what, effect, process, begun + timeout, steer)
        result = effect()
        scheduler.sleep(self.latency())
        return result

    def look_at_the_clock(self) -> None:
        """Be suspended before a look at the clock, perhaps."""
        process = self.scheduler.process
        if process is None:
            return
        steer = self.cues.meet(process.name, "the clock")
        if steer is not None:
            self._suspend(process, steer.seconds)
            self.scheduler.sleep(0.0)
        elif self.faults.suspends():
            self._suspend(process, self.lease * self.faults.rng.choice((0.5, 1.2, 3.0)))
            self.scheduler.sleep(0.0)

    def _begin(self, begun: float, *, late: bool) -> float:
        self.scheduler.sleep(0.0)
        return self.scheduler.now if late else begun

    def _suspend(self, process: Process, seconds: float) -> None:
        self.faults.counts["hosts suspended"] += 1
        self.tell(f"is suspended for {seconds:.0f} s")
        process.asleep_until = self.scheduler.now + seconds

    def _fail(
        self,
        fault: FaultKind,
        what: str,
        effect: Callable[[], T],
        process: Process,
        end: float,
        steer: Steer | None,
    ) -> None:
        rng, scheduler = self.faults.rng, self.scheduler
        if fault == "throttle":
            self.faults.counts["throttled"] += 1
            self.tell(f"{what}: 503 SlowDown")
            raise ThrottledFault(what)
        works, moment = (steer.works, steer.late) if steer else (rng.random() < 0.5, rng.random())
        outcome = "with effect" if works else "without effect"
        if fault == "error":
            self.faults.counts["errors 500"] += 1
            self.tell(f"{what}: 500, {outcome}")
            if works:
                effect()
            raise UnknownFault(what)
        late = scheduler.now + moment * (end - scheduler.now)

        def land() -> None:
            self.tell(f"{what} of {process.name}: has its effect now")
            with suppress(PreconditionFailedError, TooManyError, NoTableError):
                effect()

        if fault == "time-out":
            self.faults.counts["time-outs"] += 1
            self.tell(f"{what}: no answer, {outcome}")
            if works:
                scheduler.at(late, land)
            scheduler.sleep(end - scheduler.now + 0.001)
            raise UnknownFault(what)
        self.faults.counts["crashes"] += 1
        self.tell(f"DIES at {what}, {outcome}{' (later)' if works and moment > 0.5 else ''}")
        if works and moment > 0.5:
            scheduler.at(late, land)
        elif works:
            effect()
        scheduler.kill(process)
