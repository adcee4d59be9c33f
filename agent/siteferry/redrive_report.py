"""What `siteferry redrive` prints: a line a letter, a progress bar on a terminal, or one JSON document."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any, Final

from siteferry.names import printable
from siteferry.redrive import LOOKED_UP, DeadLetter, Redriven, Seen
from siteferry_contract.job import Job

SHOWN_NAMES: Final = 3
SHOWN_REASON: Final = 240
"""Characters of a letter's line; the summary has more."""
SHOWN_COMMON: Final = 500
SHOWN_BODY: Final = 200


class LetterLines:
    """A line for every letter, and one for its last error."""

    def __init__(self, site: str, *, move: bool, out: IO[str] | None = None) -> None:
        self._site = site
        self._move = move
        self._out = out or sys.stdout

    def begins(self, result: Redriven) -> None:
        """Say nothing: the summary counts."""

    def saw(self, seen: Seen) -> None:
        """Print it."""
        word = "moved" if seen.moved else "LEFT" if self._move or not seen.job else "waits"
        if seen.job:
            self._print(f"{word}  {seen.letter.kind}: {describe_job(seen.job)}")
            if seen.reason is not None:
                self._print(f"       {shortened(seen.reason, SHOWN_REASON)}")
        else:
            self._print(f"{word}  {seen.letter.kind}: {shortened(seen.reason or '', SHOWN_REASON)}")
            self._print(f"       {describe_body(seen.letter)}")

    def finished(self, results: Sequence[Redriven], *, stopped: bool) -> None:
        """Print what came of each queue, and why what was in it had failed."""
        for result in results:
            more = f", {result.unreached} not reached" if result.unreached else ""
            print_ = self._print
            print_(f"{result.kind:10} {result.waiting} waiting, {result.moved} moved, {result.left} left{more}")
            for reason, count in sorted(result.reasons.items(), key=lambda item: -item[1]):
                print_(f"{count:>10} x {shortened(reason, SHOWN_COMMON)}")
            others = result.moved + result.left - sum(result.reasons.values())
            if others:
                print_(f"{others:>10} x not looked up: only the first {LOOKED_UP} of a queue are")
        if any(result.reasons for result in results):
            self._print(f"all tries of a job: search the log group /siteferry/{self._site}/KIND for its id")
        if any(result.unreached for result in results) and not stopped:
            self._print("what was not reached is hidden by another redrive, or by one that was killed: try again soon")
        if stopped:
            self._print("stopped before the end; what was not moved still waits")

    def _print(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class LetterProgress(LetterLines):
    """The same under a progress bar; of the many letters of a queue only those that tell something get a line."""

    def __init__(self, site: str, *, move: bool, out: IO[str] | None = None) -> None:
        super().__init__(site, move=move, out=out)
        self._bar: Any = None

    def begins(self, result: Redriven) -> None:
        """Begin the queue's bar."""
        self._close()
        if result.waiting:
            from tqdm import tqdm  # noqa: PLC0415  only a terminal pays for it

            self._bar = tqdm(total=result.waiting, desc=result.kind, unit="letter", dynamic_ncols=True, leave=False)

    def saw(self, seen: Seen) -> None:
        """Move the bar."""
        if seen.reason is not None:
            super().saw(seen)
        if self._bar is not None:
            self._bar.update()

    def finished(self, results: Sequence[Redriven], *, stopped: bool) -> None:
        """End the bar."""
        self._close()
        super().finished(results, stopped=stopped)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=self._out)
        else:
            super()._print(line)


class LetterDocument:
    """One JSON document, written as it comes: there may be many letters with many names."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout
        self._comma = ""
        self._out.write('{"letters": [')

    def begins(self, result: Redriven) -> None:
        """Say nothing."""

    def saw(self, seen: Seen) -> None:
        """Write the letter."""
        fields = {
            "kind": seen.letter.kind,
            "id": seen.letter.id,
            "job": seen.job.id if seen.job else None,
            "run": seen.job.run if seen.job else None,
            "names": seen.job.names if seen.job else [],
            "body": None if seen.job else seen.letter.body[:SHOWN_BODY],
            "reason": seen.reason,
            "moved": seen.moved,
        }
        self._out.write(f"{self._comma}\n{json.dumps(fields)}")
        self._comma = ","

    def finished(self, results: Sequence[Redriven], *, stopped: bool) -> None:
        """Write what came of each queue."""
        tail = {"queues": [asdict(result) for result in results], "stopped": stopped}
        self._out.write("\n], " + json.dumps(tail)[1:] + "\n")
        self._out.flush()


def describe_job(job: Job) -> str:
    """Say for people what a job is about."""
    names = ", ".join(printable(name or "/") for name in job.names[:SHOWN_NAMES])
    more = f" and {len(job.names) - SHOWN_NAMES} more" if len(job.names) > SHOWN_NAMES else ""
    return f"job {printable(job.id)} of run {job.run}: {names}{more}"


def describe_body(letter: DeadLetter) -> str:
    """Say for people what a message is that is no job: enough to find it in the queue and to judge it."""
    size = len(letter.body.encode("utf-8", "surrogatepass"))
    return f"message {printable(letter.id)}, {size} bytes: {printable(letter.body[:SHOWN_BODY])}"


def shortened(text: str, length: int) -> str:
    """Cut a text off."""
    return text if len(text) <= length else f"{text[:length]}…"
