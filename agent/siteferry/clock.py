"""Time on a real host."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Final, Self

from siteferry.notify import MOST_PING_SECONDS, Manager

LONGEST_SLEEP: Final = MOST_PING_SECONDS
"""Seconds after which a wait tells that it is one: whoever waits for some time only does not hang."""


class HostClock:
    """Implements `Clock`; `stop` ends every wait."""

    def __init__(self, progress: Callable[[], None] = lambda: None) -> None:
        """Make it; `progress` is called for whatever gets on."""
        self.progress = progress
        self.stop = threading.Event()
        self._reload, self._called = threading.Event(), threading.Event()

    @classmethod
    def until_signalled(cls, manager: Manager | None = None, *, reloads: bool = False) -> Self:
        """Make one that SIGTERM and SIGINT stop; with `reloads`, SIGHUP asks for the configuration to be read again."""
        clock = cls(manager.progress) if manager else cls()

        def stop(*_: object) -> None:
            clock.ask_to_stop()
            if manager:
                manager.stopping()

        def reload(*_: object) -> None:
            clock.ask_to_reload()
            if manager:
                manager.reloading()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if reloads:
            signal.signal(signal.SIGHUP, reload)
        return clock

    def ask_to_stop(self) -> None:
        """Have every wait end, and none begin."""
        self.stop.set()
        self._called.set()

    def ask_to_reload(self) -> None:
        """Have the configuration read again."""
        self._reload.set()
        self._called.set()

    def is_called(self) -> bool:
        """Tell whether a run is to end between two files: a stop or a reload was asked for."""
        return self.stop.is_set() or self._reload.is_set()

    def take_reload(self) -> bool:
        """Tell whether a reload was asked for, once."""
        asked = self._reload.is_set()
        self._reload.clear()
        return asked

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def elapsed(self) -> float:
        """Seconds since the host started, those of suspends included (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, seconds: float) -> bool:
        """Wait, or return True at once when a stop was asked for. A reload that is asked for ends a wait early, too."""
        end = time.monotonic() + seconds
        while not self.stop.is_set() and (left := end - time.monotonic()) > 0:
            self.progress()
            if self._called.wait(min(left, LONGEST_SLEEP)):
                if not self.stop.is_set():
                    self._called.clear()
                break
        return self.stop.is_set()
