"""Time on a real host."""

import signal
import threading
import time
from typing import Self


class HostClock:
    """Implements `Clock`; `stop` ends every wait."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    @classmethod
    def until_signalled(cls) -> Self:
        """Make one that SIGTERM and SIGINT stop."""
        clock = cls()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: clock.stop.set())
        return clock

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def elapsed(self) -> float:
        """Seconds since the host started, those of suspends included (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, seconds: float) -> bool:
        """Wait, or return True at once when a stop was asked for."""
        return self.stop.wait(seconds)
