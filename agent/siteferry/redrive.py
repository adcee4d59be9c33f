"""`siteferry redrive`: what waits in the dead-letter queues is shown with its last error, and goes back to its queue.

A job carries names and no orders (rule 1), so handling it late, or twice, does no harm: a letter is sent first and
removed after that, and a crash in between leaves both.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from siteferry.errors import AccessError, SiteferryError
from siteferry.names import printable
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.job import Job, JobKind, decode_job

LOOKED_UP: Final = 20
"""Letters of a queue whose last error is looked up: every ten cost a search of the handler's log."""
_QUOTED: Final = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)""")
_FAILURES: Final = re.compile(r"\d+ failed: (.*)", re.DOTALL)
_MORE: Final = re.compile(r"and \d+ more")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead-letter queue."""

    kind: JobKind
    id: str
    """Of the message. SQS keeps it when it moves a message to its dead-letter queue, so the log knows it too."""
    sent: int
    """Milliseconds since 1970; kept likewise (Amazon SQS Developer Guide, Setting-up dead-letter queue retention)."""
    body: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What SQS says of a dead-letter queue; the numbers are approximate."""

    visible: int
    hidden: int
    """That somebody else has received: another redrive, or one that was killed a moment ago."""
    tries: int
    """After so many SQS gave a message up."""


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest line that a handler wrote about a job that failed."""

    reason: str
    """Not fit for people yet: it has names in it."""
    receives: int
    """At which try."""


@dataclass(frozen=True, slots=True)
class LastErrors:
    """What was found in the log of a handler, by the id of the message."""

    found: Mapping[str, LastError]
    unread: str = ""
    """Why the log was not read to its end; empty: it was."""


class DeadLetters(Protocol):
    """The dead-letter queues and the handlers' logs. Raises AccessError, UnavailableError."""

    def look(self, kind: JobKind) -> Waiting:
        """Count the letters."""
        ...

    def take(self, kind: JobKind) -> Sequence[DeadLetter]:
        """Receive some letters, which nobody else sees for a while; none if none can be had."""
        ...

    def put_back(self, letter: DeadLetter) -> None:
        """Send a letter to its queue, then remove it."""
        ...

    def give_back(self, letter: DeadLetter) -> None:
        """Let others see a letter again at once."""
        ...

    def last_errors(self, kind: JobKind, letters: Sequence[DeadLetter]) -> LastErrors:
        """Look up why letters failed last; at most as many as one receipt gives."""
        ...

    def log_group(self, kind: JobKind) -> str:
        """Give the log group of the handler of a kind."""
        ...


@dataclass(slots=True)
class Redriven:
    """What became of the letters of one queue."""

    kind: JobKind
    waiting: int
    moved: int = 0
    left: int = 0
    """Looked at and not moved: without `move` all of them, otherwise what is no job."""
    unreached: int = 0
    """That could not be had now."""
    looked_up: int = 0
    """Jobs whose last error was looked up, the first `LOOKED_UP` at most."""
    reasons: dict[str, int] = field(default_factory=dict)
    """The last errors without the names in them, by how many letters have them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A letter, what it is and what became of it."""

    letter: DeadLetter
    job: Job | None
    reason: str | None
    """The last error, or why it is no job, fit for people. None: not looked up."""
    moved: bool


class Hears(Protocol):
    """Hears of the letters."""

    def begins(self, result: Redriven) -> None:
        """A queue is next."""
        ...

    def saw(self, seen: Seen) -> None:
        """A letter was moved, or left where it is."""
        ...


class Redrive:
    """Moves what waits back, or (without `move`) only looks at it. `results` are true also after an error."""

    def __init__(
        self,
        letters: DeadLetters,
        descriptor: Descriptor,
        hears: Hears,
        *,
        move: bool = True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._letters = letters
        self._descriptor = descriptor
        self._hears = hears
        self._move = move
        self._stopping = stopping
        self.results: list[Redriven] = []

    def queue(self, kind: JobKind) -> None:
        """Go through one queue, until `stopping`; raises AccessError, UnavailableError.

        Through as many letters as were there at the beginning: what fails again meanwhile is left for the next time.
        """
        found = self._letters.look(kind)
        result = Redriven(kind, found.visible)
        self.results.append(result)
        self._hears.begins(result)
        known: set[str] = set()
        held: dict[str, DeadLetter] = {}
        try:
            while len(known) < found.visible and not self._stopping():
                taken = self._letters.take(kind)
                held |= {letter.id: letter for letter in taken}
                new = [letter for letter in taken if letter.id not in known]
                if not new:
                    break
                known |= held.keys()
                self._go_through(new, result, found.tries, held)
        finally:
            result.waiting = max(result.waiting, result.moved + result.left)
            result.unreached = found.hidden + result.waiting - result.moved - result.left
            self._give_back(held.values())

    def _go_through(
        self, letters: Sequence[DeadLetter], result: Redriven, tries: int, held: dict[str, DeadLetter]
    ) -> None:
        jobs = {letter.id: self._job(letter) for letter in letters}
        wanted = [letter for letter in letters if isinstance(jobs[letter.id], Job)][: LOOKED_UP - result.looked_up]
        result.looked_up += len(wanted)
        reasons = self._reasons(result.kind, wanted, tries)
        for letter in letters:
            if self._stopping():
                return
            job = jobs[letter.id]
            if isinstance(job, str):
                seen = Seen(letter, None, job, moved=False)
            else:
                seen = Seen(letter, job, reasons.get(letter.id), moved=self._move)
                if self._move:
                    self._letters.put_back(letter)
                    del held[letter.id]
            result.moved += seen.moved
            result.left += not seen.moved
            if seen.reason is not None:
                common = without_names(seen.reason)
                result.reasons[common] = result.reasons.get(common, 0) + 1
            self._hears.saw(seen)

    def _job(self, letter: DeadLetter) -> Job | str:
        """Give the job, or say why a letter is none."""
        own = self._descriptor
        try:
            return decode_job(letter.body, kind=letter.kind, site=own.site, prefix=own.prefix)
        except ContractError as error:
            return f"no job: {printable(str(error))}"

    def _reasons(self, kind: JobKind, letters: Sequence[DeadLetter], tries: int) -> dict[str, str]:
        if not letters:
            return {}
        try:
            errors = self._letters.last_errors(kind, letters)
        except SiteferryError as error:  # not knowing why is no reason to leave a letter where it is
            remedy = "; the agent policy of this release's stack allows it" if isinstance(error, AccessError) else ""
            errors = LastErrors({}, f"{error}{remedy}")
        group = self._letters.log_group(kind)
        return {
            letter.id: explain_failure(errors.found.get(letter.id), tries, group, errors.unread) for letter in letters
        }

    def _give_back(self, letters: Iterable[DeadLetter]) -> None:
        # If it fails, SQS shows the letters again by itself, a little later.
        with suppress(SiteferryError):
            for letter in letters:
                self._letters.give_back(letter)


def explain_failure(error: LastError | None, tries: int, group: str, unread: str) -> str:
    """Say for people why a job failed last. `unread`: why the log was not read to its end; empty: it was."""
    ended = "the function timed out, was killed or could not start"
    unknown = f"not known: {printable(unread)}" if unread else ""
    if error is None:
        return unknown or f"no line of any try in log group {group}: {ended}"
    reason = printable(error.reason)
    if error.receives >= tries:
        return reason
    last = unknown or f"no line of its last try: {ended}; see log group {group}"
    return f"{last}; try {error.receives} of {tries}: {reason}"


def without_names(reason: str) -> str:
    """Give what the reasons of different jobs have in common: handlers quote every name."""
    text = _QUOTED.sub("…", reason)
    if listed := _FAILURES.fullmatch(text):
        # Of the failures of one job, each that differs, once.
        parts = dict.fromkeys(part for part in listed[1].split("; ") if not _MORE.fullmatch(part))
        text = "; ".join(parts)
    return text
