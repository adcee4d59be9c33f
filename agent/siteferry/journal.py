"""What a daemon tells: its log, for the journal with priorities (sd-daemon(3)), and its status for the manager."""

import os
import sys
from collections.abc import Mapping
from typing import IO, Final

from siteferry.notify import Manager, one_line
from siteferry.plan import Change, Totals
from siteferry.plan_report import describe_totals
from siteferry.report import PlainReporter, Summary

ERROR: Final = "<3>"
WARNING: Final = "<4>"
INFO: Final = "<6>"
_PRIORITIES: Final = {"ERROR": ERROR, "FAILED": ERROR, "HELD": WARNING}
"""By the first word of a line, without a colon."""
FILES_PER_STATUS: Final = 100


def is_journal(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a stream leads to the journal: $JOURNAL_STREAM names the device and inode of what does."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class DaemonReporter(PlainReporter):
    """A line for every event; in the journal, which has those of other sites too, with priority, site and run."""

    def __init__(
        self, site: str, manager: Manager, out: IO[str] | None = None, *, quiet: bool = False, journal: bool = False
    ) -> None:
        super().__init__(out or sys.stdout, quiet=quiet, idle=False)
        self._site, self._manager, self._journal = site, manager, journal
        self._run: int | None = None
        self._files = self._total_files = 0
        self._last_cycle = ""

    def note(self, text: str) -> None:
        """Print it. After an error, the run is over."""
        super().note(text)
        if text.startswith("ERROR"):
            self._run = None
            self._manager.status(text)

    def looking(self) -> None:
        """A cycle begins."""
        self._manager.status("looking for changes" + self._last_cycle)

    def planned(self, totals: Totals) -> None:
        """Print the totals."""
        super().planned(totals)
        self._files, self._total_files = 0, totals.puts + totals.headers
        self._manager.status(describe_totals(totals))

    def opened(self, run: int) -> None:
        """Lines from here on are the run's."""
        self._run = run

    def transferred(self, change: Change) -> None:
        """Count it."""
        super().transferred(change)
        self._files += 1
        if not self._files % FILES_PER_STATUS:
            self._manager.status(f"run {self._run}: {self._files} of {self._total_files} files uploaded")

    def finished(self, summary: Summary) -> None:
        """Print the summary, which names the run by itself."""
        self._run = None
        super().finished(summary)
        held = f"; HELD: {summary.hold_reason}" if summary.hold_reason else ""
        self._last_cycle = f"; last cycle: {summary.line()}{held}"
        self._manager.status("waiting" + self._last_cycle)

    def _print(self, line: str) -> None:
        if not self._journal:
            super()._print(line)
            return
        priority = _PRIORITIES.get(line.partition(" ")[0].rstrip(":"), INFO)
        run = "" if self._run is None else f" run {self._run}"
        super()._print(f"{priority}{self._site}{run}: {one_line(line)}")
