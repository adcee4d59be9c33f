"""How far a run is, in the state directory for `siteferry status`: written at most once a second."""
# ruff: noqa: D102 - the reporter's port says what each method hears

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from siteferry.plan import READ, Change, Totals
from siteferry.plan_report import human_size
from siteferry.ports import Clock
from siteferry.report import Finding, Reporter, Summary
from siteferry.state import StateDirectory
from siteferry.tree import FileState

WRITE_SECONDS: Final = 1.0
FILE_COST: Final = 100_000
"""A file takes as long as so many bytes more, about: what is left is estimated by both."""
_MINUTE: Final = 60
_HOUR: Final = 3600


@dataclass(slots=True)
class ProgressReporter:
    """Passes everything on, and notes how far the run is. No run fails for want of these notes."""

    reporter: Reporter
    state: StateDirectory
    clock: Clock
    _noted: dict[str, Any] = field(default_factory=dict)
    _written: float = float("-inf")

    def note(self, text: str) -> None:
        self.reporter.note(text)

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        self.reporter.looking(hinted)

    def planned(self, totals: Totals) -> None:
        self._noted = {
            "begun": self.clock.now(),
            "run": None,
            "files": 0,
            "of_files": totals.files,
            "bytes": 0,
            "of_bytes": totals.bytes,
            "deletes": totals.deletes,
        }
        self._write(at_once=True)
        self.reporter.planned(totals)

    def opened(self, run: int) -> None:
        self._noted["run"] = run
        self._write(at_once=True)
        self.reporter.opened(run)

    def closed(self, run: int) -> None:
        self.reporter.closed(run)

    def transferred(self, change: Change) -> None:
        if "files" in self._noted:
            self._noted["files"] += 1
            self._noted["bytes"] += change.state.size if change.state and change.action in READ else 0
            self._write()
        self.reporter.transferred(change)

    def differs(self, finding: Finding) -> None:
        self.reporter.differs(finding)

    def published(self, change: Change, *, uploaded: bool) -> None:
        self.reporter.published(change, uploaded=uploaded)

    def deleted(self, change: Change) -> None:
        self.reporter.deleted(change)

    def failed(self, path: bytes, reason: str) -> None:
        self.reporter.failed(path, reason)

    def left_over(self, path: bytes, state: FileState | None) -> None:
        self.reporter.left_over(path, state)

    def finished(self, summary: Summary) -> None:
        self.reporter.finished(summary)

    def _write(self, *, at_once: bool = False) -> None:
        now = self.clock.elapsed()
        if not at_once and now - self._written < WRITE_SECONDS:
            return
        self._written = now
        with suppress(OSError):
            self.state.write_progress({**self._noted, "at": self.clock.now()})


def describe(progress: Mapping[str, Any]) -> str:
    """Say in one line how far a run is, and how long it may still take."""
    of_files, of_bytes = progress["of_files"], progress["of_bytes"]
    parts = []
    if of_files:
        sizes = f" ({human_size(progress['bytes'])} of {human_size(of_bytes)})" if of_bytes else ""
        parts += [f"{progress['files']:,} of {of_files:,} files{sizes}"]
    parts += [f"{progress['deletes']:,} deletes"] if progress["deletes"] else []
    left = seconds_left(progress)
    parts += [f"about {_span(left)} left"] if left is not None else []
    run = "" if progress["run"] is None else f"run {progress['run']}: "
    return run + (", ".join(parts) or "directories only")


def seconds_left(progress: Mapping[str, Any]) -> float | None:
    """Estimate how long the uploads will still take; None: too early to say, or there are none."""
    done = progress["bytes"] + FILE_COST * progress["files"]
    left = progress["of_bytes"] + FILE_COST * progress["of_files"] - done
    took = progress["at"] - progress["begun"]
    return max(left, 0) * took / done if done > 0 and took > 0 else None


def _span(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
