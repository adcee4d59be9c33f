"""The dead-letter queues in SQS."""

import json
from collections.abc import Sequence
from typing import Any, Final

from siteferry.aws.session import Session, explained
from siteferry.redrive import DeadLetter
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JobKind

VISIBILITY_SECONDS: Final = 60


class SqsDeadLetters:
    """Implements `DeadLetters` by receive, send and delete.

    Not by StartMessageMoveTask: that allows one task a queue at a time, cannot leave a poison message behind, and is
    not everywhere (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html).
    """

    def __init__(self, session: Session, descriptor: Descriptor) -> None:
        self._client: Any = session.client("sqs")
        self._queues = descriptor.queues
        self._found: dict[JobKind, str] = {}

    def waiting(self, kind: JobKind) -> int:
        """Count."""
        with explained(f"looking at the dead letters of {kind}"):
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url(kind), AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def take(self, kind: JobKind) -> Sequence[DeadLetter]:
        """Receive up to ten."""
        with explained(f"receiving dead letters of {kind}"):
            answer = self._client.receive_message(
                QueueUrl=self._url(kind),
                MaxNumberOfMessages=10,
                VisibilityTimeout=VISIBILITY_SECONDS,
                WaitTimeSeconds=1,
            )
        return [DeadLetter(kind, found["Body"], found["ReceiptHandle"]) for found in answer.get("Messages", [])]

    def put_back(self, letter: DeadLetter) -> None:
        """Send, then delete."""
        with explained(f"moving a dead letter of {letter.kind}"):
            self._client.send_message(QueueUrl=self._queues[letter.kind], MessageBody=letter.body)
            self._client.delete_message(QueueUrl=self._url(letter.kind), ReceiptHandle=letter.receipt)

    def _url(self, kind: JobKind) -> str:
        """Find the queue through the redrive policy: it lies beside its source, in the same account and region."""
        if kind not in self._found:
            source = self._queues[kind]
            with explained(f"looking at the queue of {kind}"):
                answer = self._client.get_queue_attributes(QueueUrl=source, AttributeNames=["RedrivePolicy"])
            name = json.loads(answer["Attributes"]["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
            self._found[kind] = f"{source.rpartition('/')[0]}/{name}"
        return self._found[kind]
