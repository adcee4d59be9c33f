"""The dead-letter queues in SQS."""

import json
from collections.abc import Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from siteferry.aws.handler_logs import HandlerLogs
from siteferry.aws.session import Session, error_code, explained
from siteferry.redrive import DeadLetter, LastErrors, Waiting
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JobKind

VISIBILITY_SECONDS: Final = 120
"""How long what was received stays hidden if this process dies: time to look up ten letters and to move them."""


class SqsDeadLetters:
    """Implements `DeadLetters` by receive, send and delete.

    Not by StartMessageMoveTask: that allows one task a queue at a time, cannot leave a poison message behind, and is
    not everywhere (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html).
    """

    def __init__(self, session: Session, descriptor: Descriptor) -> None:
        self._client: Any = session.client("sqs")
        self._logs = HandlerLogs(session, descriptor.site)
        self._queues = descriptor.queues
        self._policies: dict[JobKind, dict[str, Any]] = {}

    def look(self, kind: JobKind) -> Waiting:
        """Count, approximately as SQS does."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url, tries = self._url(kind), int(self._policy(kind)["maxReceiveCount"])
        with explained(f"looking at the dead letters of {kind}"):
            answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        visible, hidden = (int(answer["Attributes"][name]) for name in names)
        return Waiting(visible, hidden, tries)

    def take(self, kind: JobKind) -> Sequence[DeadLetter]:
        """Receive up to ten."""
        with explained(f"receiving dead letters of {kind}"):
            answer = self._client.receive_message(
                QueueUrl=self._url(kind),
                MaxNumberOfMessages=10,
                VisibilityTimeout=VISIBILITY_SECONDS,
                WaitTimeSeconds=1,
                AttributeNames=["SentTimestamp"],
            )
        return [
            DeadLetter(
                kind=kind,
                id=found["MessageId"],
                sent=int(found["Attributes"]["SentTimestamp"]),
                body=found["Body"],
                receipt=found["ReceiptHandle"],
            )
            for found in answer.get("Messages", [])
        ]

    def put_back(self, letter: DeadLetter) -> None:
        """Send, then delete."""
        with explained(f"moving a dead letter of {letter.kind}"):
            self._client.send_message(QueueUrl=self._queues[letter.kind], MessageBody=letter.body)
            try:
                self._client.delete_message(QueueUrl=self._url(letter.kind), ReceiptHandle=letter.receipt)
            except ClientError as error:
                # Deleted by a try whose answer was lost, or its time is over and it comes again: then it goes twice.
                if error_code(error) != "ReceiptHandleIsInvalid":
                    raise

    def give_back(self, letter: DeadLetter) -> None:
        """End its visibility time-out."""
        with explained(f"giving a dead letter of {letter.kind} back"):
            self._client.change_message_visibility(
                QueueUrl=self._url(letter.kind), ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )

    def last_errors(self, kind: JobKind, letters: Sequence[DeadLetter]) -> LastErrors:
        """Search the handler's log."""
        return self._logs.last_errors(kind, letters)

    def log_group(self, kind: JobKind) -> str:
        """Give its name."""
        return self._logs.group(kind)

    def _url(self, kind: JobKind) -> str:
        """Find the queue through the redrive policy: it lies beside its source, in the same account and region."""
        name = self._policy(kind)["deadLetterTargetArn"].rpartition(":")[2]
        return f"{self._queues[kind].rpartition('/')[0]}/{name}"

    def _policy(self, kind: JobKind) -> dict[str, Any]:
        if kind not in self._policies:
            with explained(f"looking at the queue of {kind}"):
                answer = self._client.get_queue_attributes(
                    QueueUrl=self._queues[kind], AttributeNames=["RedrivePolicy"]
                )
            self._policies[kind] = json.loads(answer["Attributes"]["RedrivePolicy"])
        return self._policies[kind]
