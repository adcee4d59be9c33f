"""Plain, readable output: colour for a terminal only, and not if NO_COLOR is set (https://no-color.org)."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TextIO

_GREEN, _RED, _BLUE, _DIM, _BOLD = "32", "31", "36", "2", "1"


class Terminal:
    """Writes whole lines; several threads may use one."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._can_mark = "utf" in (stream.encoding or "").lower()

    def title(self, text: str) -> None:
        """Write a heading, set off by an empty line."""
        self.line()
        self.line(self._paint(text, _BOLD))

    def line(self, text: str = "") -> None:
        """Write a line; what the terminal's encoding does not have is escaped."""
        encoding = self._stream.encoding or "ascii"
        with self._lock:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()

    def progress(self, text: str) -> None:
        """Write what is being done, and the seconds since the start."""
        self.line(self._paint(f"{time.monotonic() - self._start:5.1f} s  {text}", _DIM))

    def fact(self, name: str, value: str) -> None:
        """Write a name and its value."""
        self.line(f"  {name:<10}{self._paint(value, _BLUE)}")

    def passed(self, what: str, seen: str) -> None:
        """Write that a check held, and what was seen."""
        mark = "\N{CHECK MARK}" if self._can_mark else "ok"
        self.line(f"{self._paint(mark, _GREEN)} {what}: {seen}")

    def failed(self, what: str, seen: str) -> None:
        """Write that a check did not hold, and what differed."""
        mark = "\N{BALLOT X}" if self._can_mark else "FAILED"
        self.line(f"{self._paint(mark, _RED)} {what}: {seen}")

    def from_agent(self, text: str) -> None:
        """Write a line of the agent's output."""
        self.line(f"{self._paint('agent |', _DIM)} {text}")

    def _paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text
