"""What a batch of invalidate jobs becomes: one invalidation."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from siteferry_contract.errors import ContractError
from siteferry_contract.job import EVERYTHING, Job, decode_job, encode_job
from siteferry_contract.urls import url_paths
from siteferry_lambdas.cover import WHOLE_SITE, Limits, cover
from siteferry_lambdas.errors import BusyError, HandlerError, RefusedPathsError
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report

BUSY_DELAY: Final = 60
"""Seconds until a job comes again that found too many invalidations in progress. They take some minutes."""


def settle_invalidations(site: Site, messages: Mapping[str, str], limits: Limits) -> dict[str, Report | Exception]:
    """Invalidate what a batch of messages (body by SQS message id) names; gives what came of each.

    A message that cannot be decoded is left out: it fails alone.
    """
    jobs: dict[str, Job] = {}
    outcomes: dict[str, Report | Exception] = {}
    for message_id, body in messages.items():
        try:
            jobs[message_id] = decode_job(
                body, kind="invalidate", site=site.descriptor.site, prefix=site.descriptor.prefix
            )
        except ContractError as error:
            outcomes[message_id] = error
    paths = cover(paths_of(jobs.values(), site.descriptor.prefix), limits)
    if not paths:
        return outcomes | {message_id: Report() for message_id in jobs}
    try:
        sent = _invalidate(site, paths, jobs.keys())
    except BusyError:
        return outcomes | {message_id: _later(site, job) for message_id, job in jobs.items()}
    except HandlerError as error:
        return outcomes | dict.fromkeys(jobs, error)
    first, *_ = jobs  # what the batch shares is counted once
    return outcomes | dict.fromkeys(jobs, Report()) | {first: Report({"PathsInvalidated": sent})}


def paths_of(jobs: Iterable[Job], prefix: str) -> set[str]:
    """Give the URL paths of everything that the jobs name."""
    names = {name for job in jobs for name in job.names}
    if EVERYTHING in names:
        return {WHOLE_SITE}
    return {path for name in names for path in url_paths(name, prefix)}


def reference(message_ids: Iterable[str], paths: Iterable[str]) -> str:
    """Give the CallerReference: the same messages received again make the same invalidation.

    From the paths alone, a second genuine change of them would be swallowed; from the message ids alone, a
    release that chooses other paths would be refused for the messages of the one before.
    """
    digest = hashlib.sha256()
    for part in (*sorted(message_ids), "", *paths):
        digest.update(part.encode() + b"\0")
    return f"siteferry-{digest.hexdigest()}"


def _invalidate(site: Site, paths: Collection[str], message_ids: Collection[str]) -> int:
    try:
        site.cdn.invalidate(tuple(paths), reference(message_ids, paths))
    except RefusedPathsError:
        # One path that CloudFront does not take would hold back all the others for good.
        site.cdn.invalidate((WHOLE_SITE,), reference(message_ids, (WHOLE_SITE,)))
        return 1
    return len(paths)


def _later(site: Site, job: Job) -> Report | Exception:
    """Have the job come again as a new message, so that waiting does not count towards its failures."""
    try:
        site.queues.send_body("invalidate", encode_job(job), delay=BUSY_DELAY)
    except HandlerError as error:
        return error
    return Report({"JobsDelayed": 1})
