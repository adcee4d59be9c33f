"""What came of the steps of a restore, counted and told."""

import errno
from dataclasses import dataclass, field
from typing import Final

from siteferry.errors import FileError, StoreError
from siteferry.names import join_path
from siteferry.restore.fetch import RedirectError, StoppedError
from siteferry.restore.plan import Do, Step
from siteferry.restore.report import RestoreReporter

HOPELESS: Final = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "raise the quota there, or make room",
    errno.EROFS: "mount it so that it can be written",
}
"""Errors that all other files would meet, too, each after its download; with what to do."""


@dataclass(slots=True)
class RestoreSummary:
    """What came of it."""

    restored: int = 0
    restored_bytes: int = 0
    times: int = 0
    deleted: int = 0
    failed: int = 0
    not_deleted: int = 0
    """Files that were to be deleted, and stay since something failed: one may be the same file under another name."""
    skipped: int = 0
    """Objects that turned out to be redirects of directories."""
    stopped: bool = False
    owners_kept: bool = True
    """Whether what was restored belongs to whom it is to belong."""


@dataclass(slots=True)
class Tally:
    """Takes what came of each step."""

    reporter: RestoreReporter
    summary: RestoreSummary = field(default_factory=RestoreSummary)
    hopeless: OSError | None = None
    """What no other file would escape."""

    def take(self, step: Step, outcome: Exception | None) -> None:
        """Take what came of a download or an mtime; None: it is done. Raises what is beyond one file."""
        summary = self.summary
        if isinstance(outcome, RedirectError):
            summary.skipped += 1
        elif isinstance(outcome, StoppedError):
            summary.stopped = True
        elif outcome is None:
            summary.restored += step.do is Do.GET
            summary.restored_bytes += step.wanted.size if step.do is Do.GET else 0
            summary.times += step.do is Do.TIME
            self.reporter.done(step)
        elif isinstance(outcome, OSError):
            self.refused(step, "written", outcome)
        elif isinstance(outcome, (FileError, StoreError)):
            self.failed(step, str(outcome))
        else:
            raise outcome

    def deleted(self, step: Step) -> None:
        """A file is removed."""
        self.summary.deleted += 1
        self.reporter.done(step)

    def failed(self, step: Step, reason: str) -> None:
        """A step could not be done."""
        self.summary.failed += 1
        self.reporter.failed(join_path(step.wanted.directory, step.wanted.name), reason)

    def refused(self, step: Step, done: str, error: OSError) -> None:
        """The file system refused a step."""
        self._note(error)
        self.failed(step, f"cannot be {done}: {error.strerror}")

    def names_refused(self, directory: bytes, error: OSError) -> None:
        """The disk refused names that files have already."""
        self._note(error)
        self.summary.failed += 1
        self.reporter.failed(directory or b".", f"new names may not be on disk: {error.strerror}")

    def _note(self, error: OSError) -> None:
        if error.errno in HOPELESS:
            self.hopeless = error
