"""The composition root that the handlers share: the site of this Lambda, with everything real."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from siteferry_contract.descriptor import ENVIRONMENT_VARIABLE, Descriptor
from siteferry_contract.errors import ContractError
from siteferry_lambdas.aws import CONNECTIONS, connect
from siteferry_lambdas.ports import ParallelMap, Site

A = TypeVar("A")
B = TypeVar("B")

_WORKERS: Final = CONNECTIONS


def threads(workers: int) -> ParallelMap:
    """Make a parallel map of threads. It returns when all are done; the first error is raised then."""

    def parallel(function: Callable[[A], B], items: Iterable[A], /) -> Sequence[B]:
        work = list(items)
        if len(work) < 2:  # noqa: PLR2004
            return [function(item) for item in work]
        with ThreadPoolExecutor(min(workers, len(work))) as pool:
            return list(pool.map(function, work))

    return parallel


@cache
def site_of_this_lambda() -> Site:
    """Give the site that the environment describes; raises ContractError if it does not."""
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if text is None:
        raise ContractError(
            f"the environment variable {ENVIRONMENT_VARIABLE} is missing: deploy the site's stack again"
        )
    descriptor = Descriptor.from_json(text)
    parallel = threads(_WORKERS)
    index, bucket, queues, cdn, broker = connect(descriptor, parallel)
    return Site(descriptor, index, bucket, queues, cdn, broker, parallel)


def warm() -> None:
    """Make the clients while a Lambda starts, when it has a whole CPU; elsewhere the environment says nothing."""
    if ENVIRONMENT_VARIABLE in os.environ:
        site_of_this_lambda()
