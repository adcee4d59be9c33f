"""Times past, as people name them."""

import re
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import Final

from siteferry.errors import UsageError
from siteferry.names import printable
from siteferry.pause import seconds_of

_AGO: Final = re.compile(r"((?:\d{1,6}[smhdw])+)(?: ago)?")
_DAYS: Final = {"today": 0, "yesterday": 1}
_DAY: Final = 86_400
HOW: Final = (
    "such as 2026-11-20 (its beginning), '2026-11-20 14:30' (this host's time zone), 2026-11-20T14:30:00Z, yesterday,"
    " or 2h, 3d for as long ago"
)


def time_asked(text: str, option: str, now: float) -> float:
    """Give the seconds since 1970 of a time past that a person names; raises UsageError."""
    if ago := _AGO.fullmatch(text):
        return now - seconds_of(ago[1])
    try:
        if text in _DAYS:
            here = datetime.fromtimestamp(now, UTC).astimezone().replace(tzinfo=None)
            found = (datetime.combine(here, clock.min) - timedelta(_DAYS[text])).timestamp()
        else:
            found = datetime.fromisoformat(text).timestamp()  # without a zone: this host's
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{option} {printable(text)}: is no time", HOW) from None
    if found > now:
        raise UsageError(f"{option} {text}: is still to come", HOW)
    return found


def check_kept(asked: float, now: float, retention_days: int) -> None:
    """Raise UsageError if what was there then may be gone for good."""
    if asked < now - retention_days * _DAY:
        raise UsageError(
            f"{shown(asked)} is longer ago than what was replaced is kept ({retention_days} days, `retention_days` of"
            " infra/sites.toml)",
            f"the oldest time there is: {shown(now - retention_days * _DAY + 1)}",
        )


def shown(seconds: float) -> str:
    """Show a time in this host's zone, with its offset."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))
