"""How much each kind of job gets: measured by `python -m tests.bench renamed`."""

from dataclasses import dataclass
from typing import Final

from siteferry_contract.job import JobKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSize:
    """How a kind of job is taken from its queue and how much its handler gets."""

    timeout_seconds: int
    memory_mb: int
    batch_size: int
    max_concurrency: int
    """At most so many invocations at a time; at least 2 (Lambda's limit)."""


SIZES: Final[dict[JobKind, PipelineSize]] = {
    # A Lambda's CPU grows with its memory. These two use theirs up, so that twice of it takes half as long for the same
    # price; and what they hold up is what visitors wait for.
    "copy": PipelineSize(timeout_seconds=300, memory_mb=1024, batch_size=5, max_concurrency=10),
    "delete": PipelineSize(timeout_seconds=120, memory_mb=1024, batch_size=5, max_concurrency=10),
    "page": PipelineSize(timeout_seconds=120, memory_mb=512, batch_size=5, max_concurrency=10),
    "invalidate": PipelineSize(timeout_seconds=60, memory_mb=512, batch_size=1000, max_concurrency=2),
}
