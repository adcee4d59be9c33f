"""Time on a real host."""

import threading
import time


class HostClock:
    """Implements `Clock`; `stop` ends every wait."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def elapsed(self) -> float:
        """Seconds since the host started, those of suspends included (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, seconds: float) -> bool:
        """Wait, or return True at once when a stop was asked for."""
        return self.stop.wait(seconds)
