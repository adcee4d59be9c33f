"""How soon one upload may follow another: within the operator's bandwidth, and no faster than S3 will take them."""

import threading
from typing import Final

from siteferry.ports import Clock

FIRST_GAP: Final = 0.001
"""Seconds between two requests after a first SlowDown. A bucket takes at least 3,500 PUTs a second and prefix, and more
after some minutes under load (S3 User Guide, "Best practices design patterns")."""
LONGEST_GAP: Final = 1.0
SHORTEST_GAP: Final = 0.0001
"""Less is none: so many a second no agent sends."""
EASE: Final = 0.9
"""What a second without a SlowDown leaves of the gap."""
ONE_ANSWER_SECONDS: Final = 1.0
"""SlowDowns within this time answer requests that were sent at one pace, and count as one."""


class Pace:
    """One line in which every upload waits for its turn. Safe to use from several threads."""

    def __init__(self, clock: Clock, bytes_per_second: float = 0.0) -> None:
        """Make it; 0 bytes a second: the bandwidth is not limited."""
        self._clock, self._rate = clock, bytes_per_second
        self._lock = threading.Lock()
        self._free = 0.0
        """When the next may begin."""
        self._gap = 0.0
        self._eased = self._slowed = float("-inf")

    def wait(self, size: int) -> None:
        """Wait until `size` more bytes may be sent."""
        if not self._gap and not self._rate:
            return
        with self._lock:
            now = self._clock.elapsed()
            self._ease(now)
            begin = max(now, self._free)
            self._free = begin + max(self._gap, size / self._rate if self._rate else 0.0)
        if begin > now:
            self._clock.wait(begin - now)

    def slow_down(self) -> None:
        """S3 was too busy: send at half the pace."""
        with self._lock:
            now = self._clock.elapsed()
            if now - self._slowed < ONE_ANSWER_SECONDS:
                return
            self._ease(now)
            self._slowed = self._eased = now
            self._gap = min(max(2 * self._gap, FIRST_GAP), LONGEST_GAP)

    def _ease(self, now: float) -> None:
        if self._gap:
            self._gap *= EASE ** max(now - self._eased, 0.0)
            self._gap = self._gap if self._gap >= SHORTEST_GAP else 0.0
        self._eased = now
