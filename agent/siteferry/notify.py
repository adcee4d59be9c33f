"""What the service manager hears of this process (sd_notify(3)): that it is ready, what it does, that it gets on."""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Final, Self

STEP_SECONDS: Final = 600.0
"""Within which a process that works gets on, whatever it does, unless its lease allows its requests more."""
MOST_PING_SECONDS: Final = 5.0
PINGS_PER_WATCHDOG: Final = 4
SEND_SECONDS: Final = 5.0
"""For which a manager that is slow to read may keep a message waiting; after that it is lost."""
MOST_STATUS: Final = 500
"""Characters."""


class Manager:
    """The service manager, if there is one. Safe to use from several threads, and in a signal handler.

    Nothing here pings by itself: `progress` is called by whoever did something, so that a process in which nobody does
    is ended by its watchdog. A start, a reload or a stop may take as long as there is progress.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0, elapsed: Callable[[], float] = time.monotonic) -> None:
        """Take its socket's address, empty if there is none, and the seconds of its watchdog; 0: it has none."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog, self._elapsed = watchdog, elapsed
        self._step = STEP_SECONDS
        self._pinged = float("-inf")
        self._socket: socket.socket | None = None
        self._waited_for, self._stops = True, False
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(SEND_SECONDS)

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Self:
        """Find it by the environment, and take it out of there: children are not to speak for this process."""
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        ours = watchdog.isdecimal() and process in ("", str(os.getpid()))
        return cls(address if address[:1] in ("/", "@") else "", int(watchdog) / 1e6 if ours else 0.0)

    def close(self) -> None:
        """Close the socket."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def allow(self, seconds: float) -> None:
        """Allow a step to take this long, if that is more than it may take anyway."""
        self._step = max(seconds, STEP_SECONDS)

    def ready(self) -> None:
        """The site is being kept up to date, with the configuration that is to be in force."""
        self._waited_for = False
        lines = ["READY=1"]
        if 0 < self._watchdog < self._step:
            self._watchdog = self._step
            lines.append(f"WATCHDOG_USEC={round(self._step * 1e6)}")
        self._send(*lines)

    def reloading(self) -> None:
        """Another configuration is being read; `ready` follows."""
        self._waited_for = True
        # systemd 253 and later compares the time with that of its request, by CLOCK_MONOTONIC.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The process was asked to stop, and ends when what it began is done."""
        self._stops = True
        # With a shorter lease the unit's own time-out lasts until the next progress.
        more = [self._extension()] if self._step > STEP_SECONDS else []
        self._send("STOPPING=1", "STATUS=stopping: what was begun is being finished", *more)

    def status(self, text: str) -> None:
        """Say in one line what the process does now."""
        if not self._stops:
            self._send("STATUS=" + one_line(text)[:MOST_STATUS])

    def progress(self) -> None:
        """Something was done: a directory was read, a request answered, a part of a file sent."""
        if self._socket is None:
            return
        now = self._elapsed()
        if now - self._pinged < self._spacing():
            return
        self._pinged = now
        lines = ["WATCHDOG=1"] if self._watchdog else []
        if self._stops or self._waited_for:
            lines.append(self._extension())
        if lines:
            self._send(*lines)

    def _extension(self) -> str:
        return f"EXTEND_TIMEOUT_USEC={round(self._step * 1e6)}"

    def _spacing(self) -> float:
        return min(MOST_PING_SECONDS, self._watchdog / PINGS_PER_WATCHDOG) if self._watchdog else MOST_PING_SECONDS

    def _send(self, *lines: str) -> None:
        # Publishing goes on whether or not anyone listens.
        if self._socket:
            with suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)


def one_line(text: str) -> str:
    """Give a text on one line, with nothing that a terminal or a log would act on."""
    return "".join(c if c.isprintable() else " " for c in text)
