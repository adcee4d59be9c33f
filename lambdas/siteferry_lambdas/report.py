"""What came of a part of a job."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from siteferry_contract.errors import ContractError
from siteferry_lambdas.errors import HandlerError, JobError

A = TypeVar("A")
B = TypeVar("B")

COUNTS: Final[Mapping[str, str]] = {
    "DuplicatesCopied": "Duplicates that were made as their sources are.",
    "DuplicatesDeleted": "Duplicates that were deleted as their sources are.",
    "KeysDeleted": "Dead keys that were given a delete marker.",
    "KeysBared": "Delete markers and generated objects that were taken away from over live keys.",
    "PagesWritten": "Directory pages that were written.",
    "PagesRemoved": "Directory pages that were taken away.",
    "RedirectsWritten": "Redirects that were written.",
    "RedirectsRemoved": "Redirects that were taken away.",
    "PathsInvalidated": "Paths of an invalidation, wildcards and tags included.",
    "WildcardsInvalidated": "Wildcards of an invalidation.",
    "ObjectsOverInvalidated": "Objects that an invalidation throws out although they did not change, as far as known.",
    "BudgetUsedPercent": "Of the month's `invalidation_budget`, after an invalidation.",
    "JobsDelayed": "Jobs that wait because CloudFront has as many invalidations in progress as it takes.",
}
"""What handlers count beside the jobs themselves, by metric name."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, counted, and what failed."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By metric name."""
    failures: tuple[Exception, ...] = ()

    def __post_init__(self) -> None:
        assert self.counts.keys() <= COUNTS.keys()

    def __add__(self, other: "Report") -> "Report":
        return Report(Counter(self.counts) + Counter(other.counts), self.failures + other.failures)

    def checked(self) -> "Report":
        """Return the report if nothing failed; raises JobError."""
        if self.failures:
            raise JobError(self.failures)
        return self


def total(reports: Iterable[Report]) -> Report:
    """Add reports up."""
    return sum(reports, Report())


def caught(function: Callable[[A], B]) -> Callable[[A], B | Exception]:
    """Make a function return the errors that are foreseen, so that one name's failure leaves its neighbours alone."""

    def attempt(item: A) -> B | Exception:
        try:
            return function(item)
        except (HandlerError, ContractError) as error:
            return error

    return attempt
