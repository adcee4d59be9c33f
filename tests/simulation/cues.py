"""What is waited for in the story, and the requests that are met on purpose.

Some losses take three or more coincidences. A schedule may bring the first ones about by `Steer`s; all else stays with
the scheduler.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from tests.simulation.scheduler import Event, Scheduler

Act = Literal["hold", "throttle", "error", "time-out", "crash", "suspend"]

PATIENCE: Final = 100.0
"""Seconds for which a request is held at most: less than a Lambda may take."""


@dataclass(frozen=True, slots=True)
class Steer:
    """One request that is met on purpose, once."""

    who: str
    """Regular expression of the name of the process that makes it."""
    what: str
    """Regular expression of the request."""
    act: Act
    until: tuple[str, ...] = ()
    """Of a hold: what is waited for, one after the other: regular expressions of lines of the story."""
    after: tuple[str, ...] = ()
    """What must have been told, one after the other, before the request counts."""
    skip: int = 0
    """Requests that go by before."""
    works: bool = False
    """The request has its effect, whatever its process learns."""
    late: float = 0.0
    """When it has it: the part of its time-out that is over then."""
    seconds: float = PATIENCE
    """Of a hold, at most, or of a suspend."""


@dataclass(slots=True)
class _Waiting:
    steer: Steer
    skip: int
    heard: int = 0
    """Of what must have been told."""

    @property
    def armed(self) -> bool:
        return self.heard == len(self.steer.after)


class Cues:
    """Hears the story."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._events: list[tuple[re.Pattern[str], Event]] = []
        self._steers: list[_Waiting] = []

    def steer(self, steers: Sequence[Steer]) -> None:
        """Meet these from now on."""
        self._steers += [_Waiting(steer, steer.skip) for steer in steers]

    def hear(self, line: str) -> None:
        """Let those go on who waited for a line: the name of its process, a colon, and what it tells."""
        for pattern, event in self._events:
            if pattern.search(line):
                event.set()
        for waiting in self._steers:
            if not waiting.armed and _compiled(waiting.steer.after[waiting.heard]).search(line):
                waiting.heard += 1

    def wait(self, patterns: Sequence[str], seconds: float) -> None:
        """Wait for lines, one after the other, so many seconds in all."""
        end = self._scheduler.now + seconds
        for pattern in patterns:
            waiting = _compiled(pattern), Event(self._scheduler)
            self._events.append(waiting)
            try:
                waiting[1].wait(max(end - self._scheduler.now, 0.0))
            finally:
                self._events.remove(waiting)

    def meet(self, who: str, what: str) -> Steer | None:
        """Give what meets a request."""
        for waiting in self._steers:
            steer = waiting.steer
            if waiting.armed and _compiled(steer.who).search(who) and _compiled(steer.what).search(what):
                if not waiting.skip:
                    self._steers.remove(waiting)
                    return steer
                waiting.skip -= 1
        return None

    def release(self) -> None:
        """Let everybody go on, and meet nothing any more."""
        self._steers.clear()
        for _, event in self._events:
            event.set()


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
