"""What a daemon tells: its log, for the journal with priorities (sd-daemon(3)), its status, and how it does."""

import os
import sys
import time
from collections.abc import Collection, Mapping
from typing import IO, Final

from siteferry.lines import Line, journal_line, json_line
from siteferry.notify import Manager
from siteferry.plan import Change, Totals
from siteferry.plan_report import describe_totals
from siteferry.report import PlainReporter, Summary
from siteferry.tree import FileState
from siteferry.vitals import Vitals

FILES_PER_STATUS: Final = 100


def is_journal(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a stream leads to the journal: $JOURNAL_STREAM names the device and inode of what does."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class DaemonReporter(PlainReporter):
    """A line for every event; in the journal, which has those of other sites too, with priority, site and run.

    As JSON, every line is one object with site and run, in the journal behind its priority.
    """

    def __init__(
        self,
        site: str,
        manager: Manager,
        out: IO[str] | None = None,
        *,
        quiet: bool = False,
        journal: bool = False,
        as_json: bool = False,
        idle: bool = False,
        vitals: Vitals | None = None,
    ) -> None:
        super().__init__(out or sys.stdout, quiet=quiet, idle=idle)
        self._site, self._manager, self._journal, self._json = site, manager, journal, as_json
        self._vitals = vitals or Vitals(time.time)
        self._run: int | None = None
        self._files = self._total_files = 0
        self._last_cycle = ""

    def note(self, text: str) -> None:
        """Print it. After an error, the run is over."""
        super().note(text)
        if text.startswith("ERROR"):
            self._run = None
            self._vitals.broken()
        if text.startswith("PAUSED"):
            self._vitals.paused()
        if text.startswith(("ERROR", "PAUSED")):
            self._manager.status(text)

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        """A cycle begins, or a look between two."""
        self._vitals.looking(hinted)
        if hinted is not None:
            return
        if trouble := self._vitals.take_news():
            self.note(trouble)
        self._manager.status("looking for changes" + self._last_cycle)

    def planned(self, totals: Totals) -> None:
        """Print the totals."""
        super().planned(totals)
        self._vitals.planned(totals)
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

    def published(self, change: Change, *, uploaded: bool) -> None:
        """Print and count it."""
        super().published(change, uploaded=uploaded)
        self._vitals.published(change.full_path, uploaded=uploaded)

    def failed(self, path: bytes, reason: str) -> None:
        """Print and count it."""
        super().failed(path, reason)
        self._vitals.failed(path)

    def left_over(self, path: bytes, state: FileState | None) -> None:
        """Remember since when."""
        self._vitals.left_over(path, state)

    def finished(self, summary: Summary) -> None:
        """Print the summary, whose text names the run by itself."""
        self._run = summary.run if self._json else None
        super().finished(summary)
        self._run = None
        self._vitals.finished(summary)
        if summary.hinted:
            since = f"; since then: {summary.line()}" if summary.run is not None else ""
            self._manager.status(f"waiting{self._last_cycle}{since}")
            return
        held = f"; HELD: {summary.hold_reason}" if summary.hold_reason else ""
        self._last_cycle = f"; last cycle: {summary.line()}{held}"
        self._manager.status("waiting" + self._last_cycle)

    def _format(self, line: Line) -> str:
        if self._json:
            return (line.priority if self._journal else "") + json_line(line, self._site, self._run, time.time())
        return journal_line(line, self._site, self._run) if self._journal else super()._format(line)
