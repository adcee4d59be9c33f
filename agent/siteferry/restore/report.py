"""What a restore tells people and scripts."""
# ruff: noqa: T201 - printing is what it is for

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Final, Protocol

from siteferry.names import printable
from siteferry.plan_report import human_size
from siteferry.progress import describe
from siteferry.restore.plan import Do, RestorePlan, Step

TELL_SECONDS: Final = 5.0


class RestoreReporter(Protocol):
    """Hears of what is done."""

    def done(self, step: Step) -> None:
        """One step is."""
        ...

    def failed(self, path: bytes, reason: str) -> None:
        """One could not be done."""
        ...


@dataclass
class Lines:
    """A line for each step, unless quiet, and now and then one about how far it is."""

    quiet: bool = False
    out: IO[str] = field(default_factory=lambda: sys.stdout)
    now: Callable[[], float] = time.time
    _progress: dict[str, Any] = field(default_factory=dict)
    _told: float = 0.0

    def note(self, text: str) -> None:
        """Say something."""
        print(text, file=self.out, flush=True)

    def planned(self, plan: RestorePlan) -> None:
        """Print the totals, and what is left as it is."""
        for path, reason in plan.problems():
            self.note(f"left    {printable(path)}: {reason}")
        if plan.hold_reason:
            self.note(f"HELD: {plan.hold_reason}")
        self.note(describe_plan(plan))
        totals = plan.totals
        self._told = self.now()
        self._progress = {
            "begun": self._told, "run": None, "files": 0, "of_files": totals.gets, "bytes": 0,
            "of_bytes": totals.get_bytes, "deletes": totals.deletes,
        }  # fmt: skip

    def done(self, step: Step) -> None:
        """Print it, or how far it is."""
        if step.do is Do.GET and self._progress:
            self._progress["files"] += 1
            self._progress["bytes"] += step.wanted.size
        if not self.quiet:
            self.note(line(step))
        now = self.now()
        if now - self._told >= TELL_SECONDS and self._progress:
            self._told = now
            self.note(f"… {describe(self._progress | {'at': now})}")

    def failed(self, path: bytes, reason: str) -> None:
        """Print it."""
        self.note(f"FAILED  {printable(path)}: {reason}")


@dataclass
class Document:
    """Gathers what failed for one JSON document."""

    failures: list[dict[str, str]] = field(default_factory=list)

    def done(self, step: Step) -> None:
        """Nothing: the document has the numbers."""

    def failed(self, path: bytes, reason: str) -> None:
        """Remember it."""
        self.failures.append({"path": printable(path), "reason": reason})


def print_plan(plan: RestorePlan, *, as_json: bool) -> None:
    """Print a plan without carrying it out."""
    if as_json:
        _print_json(plan)
        return
    for step in plan.all():
        if step.do is not Do.MAKE:
            print(line(step))
    for step in plan.held():
        print(f"held    {printable(step.path)} ({step.reason})")
    for path, reason in plan.problems():
        print(f"left    {printable(path)}: {reason}")
    if plan.hold_reason:
        print(f"HELD: {plan.hold_reason}")
    print(describe_plan(plan))


def _print_json(plan: RestorePlan) -> None:
    out = sys.stdout
    out.write('{"steps": [')
    separator = "\n"
    for held, steps in ((False, plan.all()), (True, plan.held())):
        for step in steps:
            row = {
                "held": held, "do": step.do.value, "reason": step.reason, "path": printable(step.path),
                "key": step.wanted.key, "version": step.wanted.version, "size": step.wanted.size,
            }  # fmt: skip
            out.write(separator + json.dumps(row))
            separator = ",\n"
    tail = {"left": problems(plan), "hold_reason": plan.hold_reason, "totals": asdict(plan.totals)}
    out.write("\n], " + json.dumps(tail)[1:] + "\n")


def problems(plan: RestorePlan) -> list[dict[str, str]]:
    """Give what is left as it is, for a document."""
    return [{"path": printable(path), "reason": reason} for path, reason in plan.problems()]


def line(step: Step) -> str:
    """Say a step in one line."""
    size = f", {human_size(step.wanted.size)}" if step.do is Do.GET else ""
    return f"{step.do.value:7} {printable(step.path)} ({step.reason}{size})"


def describe_plan(plan: RestorePlan) -> str:
    """Say what a plan comes to."""
    totals = plan.totals
    effects = [f"{totals.gets:,} to restore ({human_size(totals.get_bytes)})"] if totals.gets else []
    effects += [f"{totals.times:,} to get their mtime"] if totals.times else []
    effects += [f"{totals.deletes:,} to delete"] if totals.deletes else []
    effects += [] if effects or totals.empty else [f"{totals.directories:,} directories"]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(totals.reasons.items()))
    parts = [f"plan: {', '.join(effects)}" + (f" [{reasons}]" if reasons else "")] if effects else ["nothing to do"]
    parts += [f"{totals.same:,} are as they should be"] if totals.same else []
    parts += [f"{totals.kept:,} are never published and stay"] if totals.kept else []
    parts += [f"{totals.held:,} deletes held"] if totals.held else []
    parts += [f"{totals.problems:,} left as they are"] if totals.problems else []
    return ", ".join(parts)
