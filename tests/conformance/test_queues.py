"""Queues: what is sent comes, at least once, and not before its time."""

import uuid

import pytest

from siteferry_contract.job import JOB_KINDS, Job, JobKind, decode_job, encode_job
from tests.conformance.cloud import VISIBILITY_SECONDS, Cloud

_EARLY = 1.0
"""Seconds that a delay may be short of, as queues count in whole ones."""


def job(kind: JobKind, *names: str) -> Job:
    """Give a job of the site `www`."""
    return Job(kind, "www", 1, names, uuid.uuid4().hex)


def test_the_agents_jobs_come(cloud: Cloud) -> None:
    """Each job comes by the queue of its kind, as it was sent, more than a batch (10) of them too."""
    jobs = [job(kind, f"a{n}\N{PARTY POPPER}", "b\x01\n") for n in range(12) for kind in JOB_KINDS]
    cloud.jobs.send(jobs)
    for kind in JOB_KINDS:
        sent = {encode_job(one): one for one in jobs if one.kind == kind}
        for body in cloud.collect(kind, set(sent)):
            assert decode_job(body, kind=kind, site="www", prefix="") == sent[body]


def test_large_jobs_come(cloud: Cloud) -> None:
    """Jobs whose sum is over what a batch may have (1 MiB) all come."""
    jobs = [job("delete", *(f"{n}/{name:04}{'x' * 235}" for name in range(990))) for n in range(6)]
    assert sum(len(encode_job(one)) for one in jobs) > 1 << 20
    cloud.jobs.send(jobs)
    cloud.collect("delete", {encode_job(one) for one in jobs})


def test_the_handlers_jobs_come(cloud: Cloud) -> None:
    """Jobs that a handler sends come by the queue of their kind."""
    jobs = [job(kind, "a\N{PARTY POPPER}") for kind in JOB_KINDS]
    cloud.queues.send(jobs)
    for one in jobs:
        cloud.collect(one.kind, {encode_job(one)})


def test_a_delayed_message_comes_later(cloud: Cloud) -> None:
    """A message with a delay comes as it is, and not before."""
    late, soon = (f'{{"id":"{uuid.uuid4().hex}"}}' for _ in range(2))
    begun = cloud.now()
    cloud.queues.send_body("page", late, delay=3)
    cloud.queues.send_body("page", soon, delay=0)
    came = cloud.collect("page", {late, soon})
    assert came[late] - begun >= 3 - _EARLY


@pytest.mark.parametrize("delay", [0, 2])
def test_a_message_that_is_given_back_comes_again(cloud: Cloud, delay: int) -> None:
    """A received message comes again soon when it is given back, not only when its visibility time-out is over.

    How soon at least cannot be said: a second delivery of it may come at any time.
    """
    body = f'{{"id":"{uuid.uuid4().hex}"}}'
    cloud.queues.send_body("copy", body, delay=0)
    first = cloud.receive_one("copy", body)
    begun = cloud.now()
    cloud.queues.retry_in("copy", first.handle, delay=delay)
    assert cloud.collect("copy", {body})[body] - begun < VISIBILITY_SECONDS / 2
