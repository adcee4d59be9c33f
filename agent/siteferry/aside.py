"""A look that a person's command begins, and does not wait for longer than it likes."""

import threading
from collections.abc import Callable
from typing import Any

Found = dict[str, Any]


class Aside:
    """Looks in a thread of its own, one at a time, and knows what the last look gave.

    No process waits for such a thread at its end.
    """

    def __init__(self, look: Callable[[], Found]) -> None:
        self._look = look
        self._thread: threading.Thread | None = None
        self._found: Found = {"unreached": "no answer yet"}

    def begin(self) -> None:
        """Begin a look, unless one is being made."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def result(self, seconds: float) -> Found:
        """Give what the last look gave that ended; waits so long for the one that is being made."""
        if self._thread:
            self._thread.join(seconds)
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._look()
        except Exception as error:  # noqa: BLE001  shown: a status does not fail for it
            self._found = {"unreached": str(error)}
