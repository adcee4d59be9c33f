"""Waiting for conditions, never for fixed times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from siteferry_local.errors import NotInTimeError

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL_SECONDS = 0.1


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll until the condition holds.

    Raises NotInTimeError, naming `what` was awaited, when it does not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what}: not within {seconds:.0f} seconds")
        time.sleep(_INTERVAL_SECONDS)
