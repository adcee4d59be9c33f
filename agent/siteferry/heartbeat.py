"""The heartbeat of a daemon: its figures once a minute, beside its work and never in its way."""

import threading
from collections.abc import Callable
from typing import Final, Protocol, Self

from siteferry.errors import SiteferryError
from siteferry.vitals import Figures, Vitals

PERIOD: Final = 60.0
"""Seconds from one heartbeat to the next."""
REQUEST_SECONDS: Final = 20.0
"""A heartbeat's total time-out."""
_FIRST: Final = 1.0
"""Seconds from one look whether the site is held to the next."""
_PATIENCE: Final = 2.0
"""Seconds that the end of the daemon waits for a heartbeat that is under way."""


class Metrics(Protocol):
    """Where heartbeats go."""

    def put(self, figures: Figures) -> None:
        """Deliver one; raises SiteferryError."""
        ...


class Heartbeat:
    """Delivers the figures in the background as long as the site is held. Use as a context manager.

    What cannot be delivered is told once, and once more when it can be again; what it counted is not lost.
    """

    def __init__(
        self, metrics: Callable[[], Metrics], vitals: Vitals, is_held: Callable[[], bool], *, period: float = PERIOD
    ) -> None:
        """Take what opens the metrics: done by the first heartbeat, not by the start of the daemon."""
        self._open, self._vitals, self._is_held, self._period = metrics, vitals, is_held, period
        self._metrics: Metrics | None = None
        self._failed = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE)

    def beat(self) -> None:
        """Deliver one, or remember that it could not be."""
        figures = self._vitals.figures()
        try:
            if self._metrics is None:
                self._metrics = self._open()
            self._metrics.put(figures)
        except Exception as error:  # noqa: BLE001  whatever it is, it is not worth a publication
            if not self._failed:
                remedy = f" ({error.remedy})" if isinstance(error, SiteferryError) and error.remedy else ""
                self._vitals.tell(f"heartbeats cannot be delivered, and publishing goes on: {error}{remedy}")
            self._failed = True
            return
        self._vitals.delivered(figures)
        if self._failed:
            self._vitals.tell("heartbeats are delivered again")
        self._failed = False

    def _work(self) -> None:
        while not self._stop.wait(0 if self._is_held() else min(_FIRST, self._period)):
            if self._is_held():
                self.beat()
                if self._stop.wait(self._period):
                    return
