"""`siteferry redrive`: what waits in the dead-letter queues goes back to its queue.

A job carries names and no orders (rule 1), so handling it late, or twice, does no harm: a letter is sent first and
removed after that, and a crash in between leaves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from siteferry.names import printable
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.job import JOB_KINDS, JobKind, decode_job

SHOWN_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead-letter queue."""

    kind: JobKind
    body: str
    receipt: str


class DeadLetters(Protocol):
    """The dead-letter queues. Raises AccessError, UnavailableError."""

    def waiting(self, kind: JobKind) -> int:
        """Give the approximate number of letters."""
        ...

    def take(self, kind: JobKind) -> Sequence[DeadLetter]:
        """Receive some letters, which nobody else sees for a minute; none if none can be had."""
        ...

    def put_back(self, letter: DeadLetter) -> None:
        """Send a letter to its queue, then remove it."""
        ...


@dataclass(slots=True)
class Redriven:
    """What became of the letters of one queue."""

    kind: JobKind
    waiting: int
    moved: int = 0
    left: int = 0
    """That are no jobs: no handler will ever do them."""


class Hears(Protocol):
    """Hears of each letter."""

    def __call__(self, letter: DeadLetter, text: str, *, moved: bool) -> None:
        """A letter was moved, or left where it is."""


def redrive(
    letters: DeadLetters,
    descriptor: Descriptor,
    hears: Hears,
    *,
    kinds: Sequence[JobKind] = JOB_KINDS,
    move: bool = True,
) -> list[Redriven]:
    """Move what waits back, or (without `move`) only show it.

    At most as many as were there at the beginning: what fails again meanwhile is left for the next time.
    """
    results = []
    for kind in kinds:
        result = Redriven(kind, letters.waiting(kind))
        results.append(result)
        while result.moved + result.left < result.waiting and (taken := letters.take(kind)):
            for letter in taken:
                text, is_job = describe(letter, descriptor)
                if move and is_job:
                    letters.put_back(letter)
                    result.moved += 1
                else:
                    result.left += 1
                hears(letter, text, moved=move and is_job)
    return results


def describe(letter: DeadLetter, descriptor: Descriptor) -> tuple[str, bool]:
    """Say for people what a letter is, and whether it is a job at all."""
    try:
        job = decode_job(letter.body, kind=letter.kind, site=descriptor.site, prefix=descriptor.prefix)
    except ContractError as error:
        return f"no job: {printable(str(error))}", False
    names = ", ".join(printable(name or "/") for name in job.names[:SHOWN_NAMES])
    more = f" and {len(job.names) - SHOWN_NAMES} more" if len(job.names) > SHOWN_NAMES else ""
    return f"job {printable(job.id)} of run {job.run}: {names}{more}", True
