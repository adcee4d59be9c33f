"""Poison messages end in their dead-letter queues, each with a log line that says why; their neighbours are done."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from siteferry_contract.job import JOB_KINDS, JobKind
from tests.e2e.agents import COPIES, Agent, assert_published, wait_for
from tests.e2e.poison import (
    DEAD,
    RECEIVES,
    UNKNOWN,
    Invocation,
    Sent,
    dead_letters,
    few_tries,
    invocations,
    job,
    now,
    poison,
    send_together,
)

pytestmark = pytest.mark.e2e

LONGEST_LINE = 5000
"""Of a log line, in characters; CloudWatch Logs takes 256 KB, a person much less."""
OF_LAMBDA = ("START ", "END ", "REPORT ")
"""Lines that Lambda itself writes, not the handler."""
UNDONE = {"copy": "mirror/docs/good.txt", "page": "docs/index.html"}
"""What an operator deleted, for a good job to bring back."""


@dataclass(frozen=True)
class Poisoned:
    """A site whose queues got poison beside good jobs, once all is quiet."""

    site: Any
    sent: dict[JobKind, Sent]
    letters: dict[JobKind, dict[str, str]]
    logs: dict[JobKind, list[Invocation]]


@pytest.fixture(scope="module")
def poisoned(subjects: Any) -> Iterator[Poisoned]:
    """Send to each queue one batch of four poison messages and a good job, and a job about what is not known."""
    site = subjects.sites["poison"]
    root, s3, since = Path(site.root), site.client("s3"), now()
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "good.txt").write_text("good", "utf-8")
    Agent(site, Path(site.config)).sync()
    site.wait_drained()
    assert_published(site, COPIES)
    for key in UNDONE.values():
        s3.delete_object(Bucket=site.bucket, Key=key)
    for key in ("dead.txt", DEAD, f"{UNKNOWN}/x.html"):
        s3.put_object(Bucket=site.bucket, Key=key, Body=b"not of the index")
    good: dict[JobKind, str] = {"copy": "docs/good.txt", "delete": "dead.txt", "page": "docs", "invalidate": "seen.txt"}
    unknown: dict[JobKind, str] = {"delete": f"{UNKNOWN}/x.html", "page": UNKNOWN}
    bodies: dict[JobKind, dict[str, str]] = {}
    for kind in JOB_KINDS:
        bodies[kind] = {word: body for word, (body, _) in poison(kind, site.name).items()}
        bodies[kind]["good"] = job(kind, site.name, good[kind])
        if kind in unknown:
            bodies[kind]["unknown"] = job(kind, site.name, unknown[kind])
    bodies["delete"]["dead"] = job("delete", site.name, DEAD)
    with few_tries(site):
        sent = send_together(site, bodies)
        expected = {kind: len(found.ids.keys() - {"good", "dead"}) for kind, found in sent.items()}
        # Besides the tries themselves: the delays between them, 15 s doubled each time.
        patience = 60 + sum(15 << n for n in range(RECEIVES))
        wait_for(lambda: site.waiting_messages(dead=True) == expected, "the dead letters", patience)
        letters = {kind: dead_letters(site, kind) for kind in JOB_KINDS}
        yield Poisoned(site, sent, letters, {kind: invocations(site, kind, since) for kind in JOB_KINDS})


@pytest.mark.parametrize("kind", JOB_KINDS)
def test_poison_ends_in_the_dead_letter_queue_as_it_was_sent(poisoned: Poisoned, kind: JobKind) -> None:
    """Garbage, a wrong version, 1 MiB and a hostile name each end in the queue's own dead-letter queue, unchanged."""
    sent = poisoned.sent[kind]
    dead = {word for word in sent.ids if word not in ("good", "dead")}
    assert poisoned.letters[kind] == {sent.ids[word]: sent.bodies[word] for word in dead}
    assert not any(poisoned.site.waiting_messages().values())


@pytest.mark.parametrize("kind", JOB_KINDS)
def test_the_log_says_why(poisoned: Poisoned, kind: JobKind) -> None:
    """Each try of a poison message has one line, short and printable, that says why and that no retry will help."""
    for word, (_, why) in poison(kind, poisoned.site.name).items():
        lines = [line for ran in poisoned.logs[kind] for line in ran.about(poisoned.sent[kind].ids[word])]
        assert [line["receives"] for line in lines] == list(range(1, RECEIVES + 1)), word
        assert all(why in line["reason"] for line in lines), lines
        assert all((line["level"], line["retry_helps"]) == ("ERROR", False) for line in lines)
        assert "exception" not in lines[0]
    raw = [line for ran in poisoned.logs[kind] for line in ran.lines if not line.startswith(OF_LAMBDA)]
    assert [line[:200] for line in raw if not (line.isascii() and line.isprintable())] == []
    assert [(len(line), line[:200]) for line in raw if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("kind", JOB_KINDS)
def test_neighbours_of_poison_are_done(poisoned: Poisoned, kind: JobKind) -> None:
    """A good job sent along with four poison messages is done at its first try, with its effect."""
    site, sent = poisoned.site, poisoned.sent[kind]
    together = [ran for ran in poisoned.logs[kind] if ran.about(sent.ids["good"])]
    assert len(together) == 1
    (line,) = together[0].about(sent.ids["good"])
    assert (line["level"], line["message"], line["receives"]) == ("INFO", "job done", 1)
    if kind in UNDONE:
        assert site.get(UNDONE[kind]).status == 200
    elif kind == "delete":
        assert site.get("dead.txt").status == 404
    else:
        assert "/seen.txt" in _invalidated(site)


def test_good_jobs_shared_their_batches_with_poison(poisoned: Poisoned) -> None:
    """What the test before says is about one batch: how SQS cuts batches is its own, but some good job had company."""
    company = [
        any(ran.about(poisoned.sent[kind].ids[word]) for word in poison(kind, poisoned.site.name))
        for kind in JOB_KINDS
        for ran in poisoned.logs[kind]
        if ran.about(poisoned.sent[kind].ids["good"])
    ]
    assert any(company)


def test_a_hostile_name_that_is_dead_is_deleted(poisoned: Poisoned) -> None:
    """A job with a name that only looks like an attack is an ordinary job: what the index calls dead is deleted."""
    assert poisoned.site.get(quote(DEAD)).status == 404
    assert DEAD not in _live(poisoned.site)
    lines = [line for ran in poisoned.logs["delete"] for line in ran.about(poisoned.sent["delete"].ids["dead"])]
    assert [(line["message"], line["KeysDeleted"]) for line in lines] == [("job done", 1)]


@pytest.mark.parametrize("kind", ["delete", "page"])
def test_a_hostile_name_that_the_index_does_not_know_is_left_alone(poisoned: Poisoned, kind: JobKind) -> None:
    """What no leaf decides about is neither deleted nor given a page, and the log says so (rule 3)."""
    lines = [line for ran in poisoned.logs[kind] for line in ran.about(poisoned.sent[kind].ids["unknown"])]
    assert len(lines) == RECEIVES
    assert all("the index has no leaf for" in line["reason"] for line in lines), lines
    live = _live(poisoned.site)
    assert f"{UNKNOWN}/x.html" in live
    assert f"{UNKNOWN}/index.html" not in live


def _live(site: Any) -> set[str]:
    pages = site.client("s3").get_paginator("list_objects_v2").paginate(Bucket=site.bucket)
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def _invalidated(site: Any) -> set[str]:
    client, paths = site.client("cloudfront"), set()
    for page in client.get_paginator("list_invalidations").paginate(DistributionId=site.distribution):
        for item in page["InvalidationList"].get("Items", []):
            found = client.get_invalidation(DistributionId=site.distribution, Id=item["Id"])
            paths |= set(found["Invalidation"]["InvalidationBatch"]["Paths"]["Items"])
    return paths
