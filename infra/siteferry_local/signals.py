"""The end of the local stack by signal, as an orderly one."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked the local stack to end; a BaseException, so that no handler of errors takes it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first ending signal into `Stopped`, raised wherever the main thread is, and ignore the rest.

    The clean-up that `Stopped` starts is bounded in time, so a second signal need not cut it short.
    """

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    earlier = {number: signal.signal(number, stop) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
