"""The errors of the handlers.

    HandlerError                    a job, or a part of it, was not done
     +-- MissingLeafError           the index does not know the directory        a retry cannot be known to help
     +-- UnsettledError             something else kept changing the object      a retry helps
     +-- StoreError                 AWS refused or did not answer                as the error itself says
     |    +-- BusyError             too many invalidations in progress           a retry helps, later
     |    +-- RefusedPathsError     CloudFront does not take the paths           a retry cannot help
     +-- ChangedError               the object is not what it was when looked at: look again
     +-- JobError                   some of a job's names failed, the others are done

A message that breaks the contract raises `siteferry_contract.errors.ContractError`: a retry cannot help.
"""

from collections.abc import Sequence

from siteferry_contract.errors import ContractError


class HandlerError(Exception):
    """A job, or a part of it, was not done."""

    retry_helps = True


class MissingLeafError(HandlerError):
    """No leaf of the index holds a name. That is no reason to delete anything: only what is dead gets deleted."""

    retry_helps = False

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the index has no leaf for {what}, so nothing was done about it: if it was published by siteferry, run"
            " an audit; otherwise the message is not one of ours and can be dropped"
        )


class UnsettledError(HandlerError):
    """An object was still changing after the last pass that one attempt makes."""

    def __init__(self, what: str, passes: int) -> None:
        super().__init__(f"{what} was still changing after {passes} passes: the job goes back to its queue")


class StoreError(HandlerError):
    """AWS refused a request, or did not answer it."""

    def __init__(self, text: str, *, retry_helps: bool) -> None:
        super().__init__(text)
        self.retry_helps = retry_helps


class BusyError(StoreError):
    """CloudFront has as many invalidations in progress as it takes."""


class RefusedPathsError(StoreError):
    """CloudFront does not take the paths of an invalidation."""


class ChangedError(HandlerError):
    """A condition of a request did not hold: the object is not what it was when it was looked at."""


class JobError(HandlerError):
    """Some names of a job failed; what could be done about the others is done."""

    _SHOWN = 5

    def __init__(self, failures: Sequence[Exception]) -> None:
        shown = "; ".join(str(failure) for failure in failures[: self._SHOWN])
        more = f"; and {len(failures) - self._SHOWN} more" if len(failures) > self._SHOWN else ""
        super().__init__(f"{len(failures)} failed: {shown}{more}")
        self.failures = tuple(failures)
        self.retry_helps = any(retry_helps(failure) for failure in failures)


def retry_helps(error: Exception) -> bool:
    """Tell whether the same job may succeed if it is tried again. An error that nobody foresaw may."""
    if isinstance(error, ContractError):
        return False
    return error.retry_helps if isinstance(error, HandlerError) else True
