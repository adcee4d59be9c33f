"""A pause: nothing is published from this host until it ends."""

import os
import pwd
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from siteferry.errors import UsageError
from siteferry.names import printable

LOOK_SECONDS: Final = 1.0
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d{1,6})([smhdw])")


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when, until when, by whom and why."""

    since: float | None
    """Seconds since 1970. None: not known, as what was left of it cannot be read."""
    until: float | None
    """None: until somebody resumes."""
    by: str
    reason: str

    def describe(self) -> str:
        """Say it in one line."""
        text = f"PAUSED since {clock_time(self.since)}" if self.since is not None else "PAUSED"
        text += f" by {printable(self.by)}" if self.by else ""
        text += f" until {clock_time(self.until)}" if self.until is not None else ""
        return text + (f": {printable(self.reason)}" if self.reason else "")


class PauseWatch:
    """Tells a run whether to end between two files, by a look at the state directory once a second."""

    def __init__(self, look: Callable[[], Pause | None], elapsed: Callable[[], float] = time.monotonic) -> None:
        self._look, self._elapsed = look, elapsed
        self._looked, self._paused = float("-inf"), False

    def __call__(self) -> bool:
        """Tell whether there is a pause."""
        now = self._elapsed()
        if now - self._looked >= LOOK_SECONDS:
            self._looked, self._paused = now, self._look() is not None
        return self._paused


def seconds_of(text: str) -> float:
    """Give the seconds of a duration such as 90s, 30m, 2h, 1d or 1h30m; raises UsageError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"--for {printable(text)}: is no duration", "such as 30m, 2h, 1h30m or 1d")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not seconds:
        raise UsageError(f"--for {text}: has no length", "such as 30m, 2h, 1h30m or 1d")
    return float(seconds)


def who(environment: Mapping[str, str] = os.environ) -> str:
    """Name the person at the command line: the one behind sudo, if there is one."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = f"user {os.geteuid()}"
    person = environment.get("SUDO_USER", user)
    return person if person == user else f"{person} (as {user})"


def clock_time(at: float) -> str:
    """Give a time for people, in this host's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
