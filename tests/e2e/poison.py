"""Messages that no handler can do anything with, and what becomes of them."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from siteferry_contract.job import JobKind

RECEIVES: Final = int(os.environ.get("SITEFERRY_POISON_RECEIVES", "1"))
"""Tries until a message is dead. The template's are 5, with the handlers' retry delays between them nearly 8 minutes;
one try leaves out nothing but the repetition: handler, delay and the queue's own move to its dead-letter queue stay."""
MAX_BYTES: Final = 1_048_576
"""Of an SQS message: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""
HOSTILE: Final = "\x1b]0;owned\x07\x1b[2J\n<script>alert(1)</script>/../x.html"
UNKNOWN: Final = "docs/nowhere <script>\n"
"""A directory that a tree may have, and the index does not know."""
DEAD: Final = "dead <script>\n\"'&.html"
"""A name that a tree may have, and the index does not list."""


def job(kind: JobKind, site: str, *names: str, **fields: Any) -> str:
    """Give the body of a job; `fields` replace its own."""
    body = {"version": 1, "kind": kind, "site": site, "run": 1, "id": f"test {kind}", "names": names}
    return json.dumps(body | fields)


def poison(kind: JobKind, site: str) -> dict[str, tuple[str, str]]:
    """Give (body, words of the reason that the log must say) by what is wrong."""
    return {
        "garbage": ("not JSON <script>\r\n\t\u2028 \u202e", "message is not JSON"),
        "version": (job(kind, site, "a", version=999), "job has version 999, expected 1"),
        "huge": _huge(kind, site),
        "hostile": (job(kind, site, HOSTILE), "has a component that no file can have"),
    }


def _huge(kind: JobKind, site: str) -> tuple[str, str]:
    """Give a message as large as SQS takes, large in another place for each kind."""
    names = ["n" * 1000] * 1040
    body, why = {
        "copy": (job(kind, site, version="9" * 1_040_000), "job has version"),
        "delete": (job(kind, site, *names), "1040 names, at most 1000"),
        "page": (job(kind, site, "d" * 1_040_000), "S3 takes at most 1024"),
        "invalidate": (job(kind, site, id="i" * 1_040_000, names=None), "has fields of the wrong types"),
    }[kind]
    return body + " " * (MAX_BYTES - len(body)), why


@dataclass(slots=True)
class Sent:
    """Messages of one queue that were there before its handler looked: SQS message id by a word for the message."""

    ids: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)


@contextmanager
def few_tries(site: Any) -> Iterator[None]:
    """Let messages die after RECEIVES tries until the block ends; then the dead are thrown away."""
    sqs = site.client("sqs")
    policies = {
        url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
        for url in site.queues.values()
    }
    for url, policy in policies.items():
        fewer = json.dumps(json.loads(policy) | {"maxReceiveCount": RECEIVES})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": fewer})
    try:
        yield
    finally:
        for url, policy in policies.items():
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
        for url in site.dead_letter_queues.values():
            sqs.purge_queue(QueueUrl=url)


def send_together(site: Any, bodies: Mapping[JobKind, Mapping[str, str]]) -> dict[JobKind, Sent]:
    """Send messages to their queues while no handler is given any, so that they come as whole batches, in order."""
    functions, sqs = site.client("lambda"), site.client("sqs")
    mappings = {
        kind: functions.list_event_source_mappings(FunctionName=f"siteferry-{site.name}-{kind}")["EventSourceMappings"]
        for kind in bodies
    }
    sent: dict[JobKind, Sent] = {kind: Sent() for kind in bodies}
    for mapping in (one for found in mappings.values() for one in found):
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        for kind, messages in bodies.items():
            for word, body in messages.items():
                answer = sqs.send_message(QueueUrl=site.queues[kind], MessageBody=body)
                sent[kind].ids[word], sent[kind].bodies[word] = answer["MessageId"], body
    finally:
        for mapping in (one for found in mappings.values() for one in found):
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    return sent


def dead_letters(site: Any, kind: JobKind) -> dict[str, str]:
    """Give the bodies of a dead-letter queue by message id, and leave them there."""
    sqs, url = site.client("sqs"), site.dead_letter_queues[kind]
    found: dict[str, str] = {}
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30).get("Messages"):
        found |= {message["MessageId"]: message["Body"] for message in messages}
    return found


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one invocation of a handler wrote: its log lines as text, and those that are JSON."""

    lines: tuple[str, ...]

    def about(self, message_id: str) -> list[dict[str, Any]]:
        """Give the lines about a message."""
        parsed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in parsed if line.get("message_id") == message_id]


def invocations(site: Any, kind: JobKind, since: float) -> list[Invocation]:
    """Read the log group of a handler, from a time (seconds since 1970) on."""
    pages = (
        site.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=f"/siteferry/{site.name}/{kind}", startTime=int(since * 1000))
    )
    streams: dict[str, list[str]] = {}
    for event in (event for page in pages for event in page["events"]):
        streams.setdefault(event["logStreamName"], []).append(event["message"])
    found = []
    for lines in streams.values():
        starts = [n for n, line in enumerate(lines) if line.startswith("START RequestId")]
        found += [Invocation(tuple(lines[a:b])) for a, b in zip(starts, [*starts[1:], None], strict=True)]
    return found


def now() -> float:
    """Give the time to read logs from; whole seconds, as a log's clock may be coarser."""
    return float(int(time.time()))
