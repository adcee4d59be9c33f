"""What came of a part of a job."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from siteferry_contract.errors import ContractError
from siteferry_lambdas.errors import HandlerError, JobError

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, counted, and what failed."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By metric name."""
    failures: tuple[Exception, ...] = ()

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
