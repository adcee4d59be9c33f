"""The job queues in SQS."""

import json
from collections.abc import Sequence
from typing import Any, Final

from siteferry.aws.session import Session, explained
from siteferry.errors import UnavailableError
from siteferry.ports import QueueCounts
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import Job, JobKind, encode_job

BATCH: Final = 10
"""Messages in a SendMessageBatch request."""
BATCH_BYTES: Final = 900_000
"""Of 1 MiB that SQS takes in a message or a batch."""
TRIES: Final = 4

_COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


class SqsQueues:
    """Implements `JobQueues`."""

    def __init__(self, session: Session, descriptor: Descriptor) -> None:
        self._client: Any = session.client("sqs")
        self._descriptor = descriptor

    def send(self, jobs: Sequence[Job]) -> None:
        """Send jobs, a batch a request."""
        by_url: dict[str, list[str]] = {}
        for job in jobs:
            by_url.setdefault(self._descriptor.queues[job.kind], []).append(encode_job(job))
        for url, bodies in by_url.items():
            batch: list[str] = []
            for body in bodies:
                if batch and (len(batch) >= BATCH or sum(map(len, batch)) + len(body) > BATCH_BYTES):
                    self._send(url, batch)
                    batch = []
                batch.append(body)
            self._send(url, batch)

    def _send(self, url: str, bodies: Sequence[str]) -> None:
        left = dict(enumerate(bodies))
        for _ in range(TRIES):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in left.items()]
            with explained(f"sending jobs to {url}"):
                answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
            for sent in answer.get("Successful", []):
                left.pop(int(sent["Id"]), None)
            if not left:
                return
        raise UnavailableError(f"{len(left)} jobs could not be sent to {url}: {answer.get('Failed')}")


class SqsQueueLook:
    """Implements `QueueLook`."""

    def __init__(self, session: Session, descriptor: Descriptor) -> None:
        self._client: Any = session.client("sqs")
        self._queues = descriptor.queues

    def count(self, kind: JobKind) -> QueueCounts:
        """Count. The dead-letter queue lies beside its source, in the same account and region."""
        url = self._queues[kind]
        with explained(f"looking at the queue of {kind}"):
            found = self._attributes(url, "RedrivePolicy")
            name = json.loads(found["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
            dead = self._attributes(f"{url.rpartition('/')[0]}/{name}")
        return QueueCounts(*(sum(int(counts[name]) for name in _COUNTS) for counts in (found, dead)))

    def _attributes(self, url: str, *more: str) -> dict[str, str]:
        answer: dict[str, dict[str, str]] = self._client.get_queue_attributes(
            QueueUrl=url, AttributeNames=[*_COUNTS, *more]
        )
        return answer["Attributes"]
