"""Between two full cycles of the daemon: what hints name is looked at, and what was deferred once it has settled.

Each look is an ordinary run over a few directories. The full cycle stays the truth: what no hint names, what a hint is
wrong about and what fails in here, it finds.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from siteferry.clock import HostClock
from siteferry.config import Config
from siteferry.hints import Agenda, Heard, Source
from siteferry.report import Summary
from siteferry.sync import Site

POLL_SECONDS: Final = 0.5
CATCH_UP_SECONDS: Final = 10.0
"""For which what was logged during a long run is read before the next one: it tells which files are fragments."""
LEAST_PAUSE: Final = 1.0
"""Seconds between two looks."""
PAUSE_SHARE: Final = 4
"""A pause is at least this many times as long as the look before it: users can make hints without end."""
SLACK_SECONDS: Final = 0.1
"""A ctime is the time of the kernel's last tick, and a hint is a little younger than what it tells of."""


class Between:
    """Waits for the next full cycle, with an ear to the hints."""

    def __init__(
        self,
        site: Site,
        config: Config,
        clock: HostClock,
        sources: Sequence[Source],
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._site, self._config, self._clock, self._sources = site, config, clock, sources
        self._is_paused = is_paused
        self._agenda = Agenda()
        self._rest_until = 0.0
        self._cycle_seconds = 0.0
        self._missed = False

    def begin_cycle(self) -> None:
        """A full cycle begins, which looks at everything that is hinted at so far."""
        self._refresh()  # before the look: what happens from now on is heard
        ends = self._clock.elapsed() + CATCH_UP_SECONDS
        self._listen(self._clock.elapsed())
        while self._clock.elapsed() < ends and self._is_behind():
            self._clock.progress()
            self._listen(self._clock.elapsed())
        self._agenda.clear()
        self._missed = False

    def end_cycle(self, seconds: float) -> None:
        """It has ended, after so many seconds."""
        self._cycle_seconds = seconds
        self._rest()
        self._take_over()

    def next_look(self, until: float) -> Summary | None:
        """Wait for something to look at, and do so, or give None at a time of the clock, at a stop, reload or pause.

        Raises SiteferryError.
        """
        while not (self._clock.is_called() or self._is_paused()):
            now = self._clock.elapsed()
            self._listen(now)
            if self._missed:
                until = min(until, max(now, self._rest_until + PAUSE_SHARE * self._cycle_seconds))
            if now >= until:
                return None
            if now >= self._rest_until and (due := self._agenda.take(now)):
                self._site.tenancy.acquire()
                self._site.parts.reporter.looking(due)
                summary = self._site.sync(due)
                self._rest(now)
                self._take_over()
                return summary
            moment = min(until, max(self._agenda.next(), self._rest_until))
            if self._sources:
                moment = min(moment, now + POLL_SECONDS)
            self._clock.wait(moment - now)
        return None

    def _is_behind(self) -> bool:
        with suppress(sqlite3.DatabaseError):
            return any(source.is_behind() for source in self._sources)
        return False

    def _listen(self, now: float) -> None:
        for source in self._sources:
            with suppress(sqlite3.DatabaseError):
                self._take_up(source.poll(), now)
        self._missed = self._missed or self._agenda.overflowed

    def _take_up(self, heard: Heard, now: float) -> None:
        settled = now + self._config.settle + SLACK_SECONDS
        for path in heard.at_once:
            self._agenda.add(path, now)
        for path in heard.written:
            self._agenda.add(path, settled)
        self._missed = self._missed or heard.missed

    def _refresh(self) -> None:
        for source in self._sources:
            with suppress(sqlite3.DatabaseError):  # a damaged cache: the next full cycle makes it anew
                source.refresh()

    def _rest(self, begun: float | None = None) -> None:
        now = self._clock.elapsed()
        self._rest_until = now + max(LEAST_PAUSE, PAUSE_SHARE * (now - begun) if begun is not None else 0.0)

    def _take_over(self) -> None:
        """Have looked at again what was deferred, when it will have settled, and watch what came to be known."""
        now = self._clock.elapsed()
        for path, left in self._site.unsettled.items():
            self._agenda.add(path, now + left + SLACK_SECONDS)
        self._refresh()
