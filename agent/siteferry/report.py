"""What a run tells people while it works."""

import json
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Final, Protocol

from siteferry.lines import Line
from siteferry.names import printable
from siteferry.plan import READ, Action, Change, Totals
from siteferry.plan_report import describe_totals, human_size
from siteferry.tree import FileState

SHOWN_FAILURES = 100
_WORDS = {
    Action.PUT: "unchanged",
    Action.ADOPT: "adopted",
    Action.COMPARE: "adopted",
    Action.HEADERS: "headers of",
}
"""For what was not uploaded."""


@dataclass(slots=True)
class Summary:
    """What came of a run."""

    run: int | None = None
    """None: nothing was to be done."""
    planned: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    unchanged: int = 0
    """Touched only: the bucket had the same bytes."""
    adopted: int = 0
    """Entered in the index: their objects were in the bucket already."""
    headers: int = 0
    """Published objects that got other headers, by a copy."""
    differences: int | None = None
    """That an audit found; None: none was made."""
    left: int = 0
    """Objects that still differ from the index after a run that looked at the bucket."""
    deleted: int = 0
    failed: int = 0
    deferred: int = 0
    held: int = 0
    kept: int = 0
    """Deletes that the operator switched off."""
    hold_reason: str = ""
    problems: int = 0
    hinted: bool = False
    """Only directories that hints named were looked at: it tells nothing of what is deferred or held in all."""
    recovered: bool = False
    stopped: bool = False
    closed: bool = True
    failures: list[tuple[str, str]] = field(default_factory=list)
    """The first of them: path and reason."""

    def fail(self, path: bytes, reason: str) -> None:
        """Count a failure."""
        self.failed += 1
        if len(self.failures) < SHOWN_FAILURES:
            self.failures.append((printable(path), printable(reason)))

    def line(self) -> str:
        """Say it in one line."""
        if self.run is None:
            parts = ["nothing to do"]
        else:
            how = " (hinted)" if self.hinted else ""
            effects = [f"{self.uploaded} published ({human_size(self.uploaded_bytes)})"] if self.uploaded else []
            effects += [f"{self.adopted} adopted"] if self.adopted else []
            effects += [f"{self.headers} got other headers"] if self.headers else []
            effects += [f"{self.deleted} deleted"] if self.deleted else []
            effects += (
                ["directories only"] if not (effects or self.unchanged or self.failed or self.differences) else []
            )
            parts = [f"run {self.run}{how}: {', '.join(effects)}".rstrip(": ")]
            parts += [f"{self.unchanged} touched only"] if self.unchanged else []
        whole = not self.hinted
        for count, word in (
            (self.failed, "failed"),
            (whole and self.deferred, "deferred (still being written)"),
            (whole and self.held, "deletes held"),
            (whole and self.kept, "deletes left out (switched off)"),
            (whole and self.problems, "names not published"),
        ):
            parts += [f"{count} {word}"] if count else []
        parts += [f"audit: {self.differences} differences"] if self.differences is not None else []
        parts += [f"{self.left} objects still differ from the index"] if self.left else []
        parts += ["recovered an unfinished run"] if self.recovered else []
        parts += ["stopped before its end; the next run goes on"] if self.stopped else []
        parts += [] if self.closed else ["left open: the next run recovers"]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between index and bucket that an audit found."""

    kind: str
    """`file`, `stray`, `duplicate` or `page`."""
    key: str
    why: str


_EVENTS: Final = {"ERROR": "error", "WARNING": "warning", "PAUSED": "paused"}
"""What a note tells of, by its first word; else it is a note."""


class Reporter(Protocol):
    """Hears of a run's progress."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        """A daemon's cycle begins; or, between two, a look at those directories alone."""

    def planned(self, totals: Totals) -> None:
        """The plan is complete, and not empty."""

    def opened(self, run: int) -> None:
        """A run is open."""

    def transferred(self, change: Change) -> None:
        """A file's upload is over, whatever came of it."""

    def differs(self, finding: Finding) -> None:
        """An audit found a difference."""

    def published(self, change: Change, *, uploaded: bool) -> None:
        """A file is in bucket and index."""

    def deleted(self, change: Change) -> None:
        """A delete is in the index, and its job follows."""

    def failed(self, path: bytes, reason: str) -> None:
        """A file could not be published."""

    def left_over(self, path: bytes, state: FileState | None) -> None:
        """A change, of a file in this state, stays unpublished by this run: deferred or failed."""

    def closed(self, run: int) -> None:
        """A run is over, and what it did was reported."""

    def finished(self, summary: Summary) -> None:
        """The run is over."""


class PlainReporter:
    """A line for every event."""

    def __init__(self, out: IO[str] | None = None, *, quiet: bool = False, idle: bool = True) -> None:
        self._out = out or sys.stdout
        self._quiet, self._idle = quiet, idle
        self._last = ""

    def note(self, text: str) -> None:
        """Print it."""
        self._say(Line(_EVENTS.get(text.partition(" ")[0].removesuffix(":"), "note"), text))

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        """Say nothing."""

    def opened(self, run: int) -> None:
        """Say nothing: the summary has its number."""

    def closed(self, run: int) -> None:
        """Say nothing: the summary follows."""

    def planned(self, totals: Totals) -> None:
        """Print the totals."""
        self._say(Line("planned", describe_totals(totals)))

    def transferred(self, change: Change) -> None:
        """Say nothing: a line comes with the commit."""

    def differs(self, finding: Finding) -> None:
        """Print it."""
        text = f"{finding.kind:9} {printable(finding.key)}: {finding.why}"
        more = {"kind": finding.kind, "key": printable(finding.key)}
        self._say(Line("differs", text, reason=finding.why, more=more))

    def published(self, change: Change, *, uploaded: bool) -> None:
        """Print the file."""
        if not self._quiet:
            size = human_size(change.state.size) if change.state else ""
            word = "published" if uploaded else _WORDS[change.action]
            text = f"{word} {printable(change.full_path)} ({change.reason}, {size})"
            more = {"uploaded": uploaded, "size": change.state.size if change.state else None}
            self._say(Line("published", text, change.full_path, change.reason, more))

    def deleted(self, change: Change) -> None:
        """Print the file."""
        if not self._quiet:
            text = f"deleted {printable(change.full_path)}"
            self._say(Line("deleted", text, change.full_path, change.reason))

    def failed(self, path: bytes, reason: str) -> None:
        """Print the file and the reason."""
        self._say(Line("failed", f"FAILED {printable(path)}: {printable(reason)}", path, reason))

    def left_over(self, path: bytes, state: FileState | None) -> None:
        """Say nothing: the summary counts it."""

    def finished(self, summary: Summary) -> None:
        """Print the summary; a daemon's cycle that found the same as the one before says nothing."""
        line = summary.line()
        if summary.hinted:
            if summary.run is not None:
                self._say_finished(summary, line)
            return
        if summary.hold_reason and line != self._last:
            self._say(Line("held", f"HELD: {summary.hold_reason}", reason=summary.hold_reason))
        if self._idle or (summary.run is not None or line != self._last):
            if not (not self._idle and line == "nothing to do"):
                self._say_finished(summary, line)
            self._last = line

    def _say_finished(self, summary: Summary, line: str) -> None:
        counts = {name: value for name, value in asdict(summary).items() if name != "failures"}
        self._say(Line("finished", line, more={"summary": counts}))

    def _say(self, line: Line) -> None:
        self._print(self._format(line))

    def _format(self, line: Line) -> str:
        return line.text

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class TerminalReporter(PlainReporter):
    """A bar with files, bytes, rate and ETA; lines for what a person must know."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(sys.stdout, quiet=True)
        self._hidden = quiet
        self._bar: Any = None
        self._files = self._total_files = 0

    def planned(self, totals: Totals) -> None:
        """Begin the bar."""
        super().planned(totals)
        if totals.files and not self._hidden:
            from tqdm import tqdm  # noqa: PLC0415  only a terminal pays for it

            self._total_files = totals.files
            self._bar = tqdm(total=totals.bytes, unit="B", unit_scale=True, dynamic_ncols=True, leave=False)

    def transferred(self, change: Change) -> None:
        """Move the bar."""
        if self._bar is not None and change.state:
            self._files += 1
            self._bar.set_description_str(f"{self._files}/{self._total_files} files", refresh=False)
            self._bar.update(change.state.size if change.action in READ else 0)

    def finished(self, summary: Summary) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().finished(summary)

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line)
        else:
            super()._print(line)


class JsonReporter:
    """One JSON document at the end."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout
        self._found: list[Finding] = []

    def note(self, text: str) -> None:
        """Keep it to standard error."""
        print(text, file=sys.stderr)

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        """Say nothing."""

    def opened(self, run: int) -> None:
        """Say nothing."""

    def closed(self, run: int) -> None:
        """Nothing."""

    def planned(self, totals: Totals) -> None:
        """Say nothing."""

    def transferred(self, change: Change) -> None:
        """Say nothing."""

    def differs(self, finding: Finding) -> None:
        """Keep it for the document."""
        self._found.append(finding)

    def published(self, change: Change, *, uploaded: bool) -> None:
        """Say nothing."""

    def deleted(self, change: Change) -> None:
        """Say nothing."""

    def failed(self, path: bytes, reason: str) -> None:
        """Say nothing: the summary has it."""

    def left_over(self, path: bytes, state: FileState | None) -> None:
        """Say nothing: the summary counts it."""

    def finished(self, summary: Summary) -> None:
        """Print the summary."""
        document = asdict(summary) | ({} if summary.differences is None else {"findings": self.findings()})
        print(json.dumps(document), file=self._out, flush=True)

    def findings(self) -> list[dict[str, str]]:
        """Give what an audit found."""
        return [asdict(finding) for finding in self._found]
