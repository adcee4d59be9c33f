"""What a batch of invalidate jobs becomes: one invalidation."""

from collections.abc import Mapping
from typing import Final

from siteferry_contract.errors import ContractError
from siteferry_contract.job import Job, decode_job, encode_job
from siteferry_contract.shape import Shape
from siteferry_lambdas.broker import Warn, invalidate
from siteferry_lambdas.errors import BusyError, HandlerError
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report
from siteferry_lambdas.wanted import wanted_by

BUSY_DELAY: Final = 60
"""Seconds. Jobs that found too many invalidations in progress come again at the next multiple of it: all that wait come
together, and become one invalidation. One takes some minutes."""
LEAST_DELAY: Final = 10


def settle_invalidations(site: Site, messages: Mapping[str, str], warn: Warn) -> dict[str, Report | Exception]:
    """Invalidate what a batch of messages (body by SQS message id) names; gives what came of each.

    A message that cannot be decoded is left out: it fails alone.
    """
    own = site.descriptor
    jobs: dict[str, Job] = {}
    outcomes: dict[str, Report | Exception] = {}
    for message_id, body in messages.items():
        try:
            jobs[message_id] = decode_job(body, kind="invalidate", site=own.site, prefix=own.prefix)
        except ContractError as error:
            outcomes[message_id] = error
    if not any(job.names for job in jobs.values()):
        return outcomes | {message_id: Report() for message_id in jobs}
    wanted = wanted_by(jobs.values(), own, _shape(site, warn))
    try:
        report = invalidate(site, wanted, jobs, max(job.run for job in jobs.values()), warn)
    except BusyError:
        return outcomes | {message_id: _later(site, job) for message_id, job in jobs.items()}
    except HandlerError as error:
        return outcomes | dict.fromkeys(jobs, error)
    first, *_ = jobs  # what the batch shares is counted once
    return outcomes | dict.fromkeys(jobs, Report()) | {first: report}


def _shape(site: Site, warn: Warn) -> Shape | None:
    try:
        shape = site.broker.shape()
    except (HandlerError, ContractError) as error:
        warn(f"wildcards are chosen without the tree's shape: {error}")
        return None
    if shape is None:
        warn("wildcards are chosen without the tree's shape: the agent has not written it yet")
    return shape


def _later(site: Site, job: Job) -> Report | Exception:
    """Have the job come again as a new message, so that waiting does not count towards its failures."""
    delay = BUSY_DELAY - int(site.now()) % BUSY_DELAY
    try:
        site.queues.send_body(
            "invalidate", encode_job(job), delay=delay if delay >= LEAST_DELAY else delay + BUSY_DELAY
        )
    except HandlerError as error:
        return error
    return Report({"JobsDelayed": 1})
