"""The agent's permissions, each tried so that nothing comes of it.

Reads are made as they are. A write is one that cannot succeed, and fails for another reason if it is allowed: its
condition never holds, or there is no such upload or receipt handle. That tells something only if AWS looks for the
permission first. Where this is not documented, a control decides: the same request where the agent policy does *not*
allow it. If that is not refused for the lack of a permission, the line says that nothing could be told.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from siteferry.aws.metrics import NAMESPACE
from siteferry.aws.session import Session, error_code, explain
from siteferry.check import Finding, Verdict, failed, untried, well
from siteferry.errors import Exit
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JOB_KINDS, JobKind

NAME: Final = "siteferry-check"
"""Of the object, the item and the upload that are named and never made."""
_NEVER: Final = "attribute_exists(pk) AND attribute_not_exists(pk)"
_DENIED: Final = frozenset("AccessDenied AccessDeniedException AuthorizationError UnauthorizedOperation 403".split())
_HTTP_FORBIDDEN: Final = 403
_REMEDY: Final = (
    "attach the policy of the stack's output AgentPolicyArn to these credentials' role or user; if that is done, it is"
    " the policy of an earlier release: deploy the stack again"
)

Request = Callable[[], object]


class Answer(Enum):
    """What AWS said to a try."""

    ALLOWED = "allowed"
    DENIED = "denied"
    ELSE = "something else"


@dataclass(frozen=True, slots=True)
class Trial:
    """One permission."""

    action: str
    what: str
    requests: Mapping[str, Request]
    """By what each is about: all must be allowed."""
    proofs: frozenset[str] = frozenset()
    """Codes of errors that only who is allowed gets."""
    control: Request | None = None
    """The same request where the agent may not make it."""
    needs: tuple[str, ...] = ()
    """Actions without which a refusal of this one tells nothing."""


class Permissions:
    """Tries what the agent's policy allows, for one site."""

    def __init__(self, session: Session, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._s3: Any = session.client("s3")
        self._table: Any = session.client("dynamodb")
        self._sqs: Any = session.client("sqs")
        self._logs: Any = session.client("logs")
        self._cloudwatch: Any = session.client("cloudwatch")
        self._dead: dict[JobKind, str] = {}
        self.dead_letters: dict[str, int] = {}
        """How many there are, where there are any."""
        self.denied: set[str] = set()

    def check(self) -> Iterator[Finding]:
        """Try each, in the order of a run."""
        yield self._bucket()
        for trial in (*self._index_trials(), *self._object_trials(), *self._job_trials()):
            yield self._try(trial)
        # Their names are in the job queues' attributes, which were just read.
        for trial in (*self._dead_letter_trials(), *self._operator_trials()):
            yield (
                self._try(trial)
                if trial.requests
                else untried(self._name(trial), "the queues' attributes are not known")
            )

    # ---- what is tried

    def _bucket(self) -> Finding:
        """Tell whether the bucket keeps versions."""
        name = self._descriptor.bucket
        try:
            status = self._s3.get_bucket_versioning(Bucket=name).get("Status")
        except (ClientError, BotoCoreError) as error:
            if _answer(error, frozenset()) is Answer.DENIED:
                return _denied("bucket", f"s3://{name}: s3:GetBucketVersioning is denied")
            return failed("bucket", explain(error, f"looking at s3://{name}"))
        if status == "Enabled":
            return well("bucket", f"s3://{name}: keeps versions")
        return Finding(
            "bucket",
            Verdict.FAIL,
            f"s3://{name}: keeps no versions ({status or 'never did'}), without which a delete may take a file with it",
            "turn versioning on, as the stack made it: `cd infra && npx cdk deploy`",
            Exit.CONFIG,
        )

    def _index_trials(self) -> Iterator[Trial]:
        name, key = self._descriptor.table, {"pk": {"S": NAME}, "sk": {"S": NAME}}
        what = f"table {name}"
        yield Trial("dynamodb:GetItem", what, {"": lambda: self._table.get_item(TableName=name, Key=key)})
        yield Trial("dynamodb:Scan", what, {"": lambda: self._table.scan(TableName=name, Limit=1)})
        yield Trial(
            "dynamodb:PutItem",
            f"{what}, on a condition that never holds",
            {"": lambda: self._table.put_item(TableName=name, Item=key, ConditionExpression=_NEVER)},
            frozenset({"ConditionalCheckFailedException"}),
        )
        check = {"ConditionCheck": {"TableName": name, "Key": key, "ConditionExpression": _NEVER}}
        yield Trial(
            "dynamodb:ConditionCheckItem",
            f"{what}, of a condition that never holds",
            {"": lambda: self._table.transact_write_items(TransactItems=[check])},
            frozenset({"TransactionCanceledException"}),
        )

    def _object_trials(self) -> Iterator[Trial]:
        bucket, prefix = self._descriptor.bucket, self._descriptor.prefix
        where = {"Bucket": bucket, "Key": f"{prefix}.{NAME}"}
        what = f"s3://{bucket}/{prefix}"
        wrong = base64.b64encode(hashlib.md5(b"of something else", usedforsecurity=False).digest()).decode()
        yield Trial(
            "s3:ListBucket", what, {"": lambda: self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)}
        )
        yield Trial(
            "s3:GetObject",
            what,
            {"": lambda: self._s3.head_object(**where)},
            frozenset({"404", "NoSuchKey"}),
            needs=("s3:ListBucket",),
        )
        yield Trial(
            "s3:ListBucketVersions",
            f"{what}, for what was there earlier",
            {"": lambda: self._s3.list_object_versions(Bucket=bucket, Prefix=prefix, MaxKeys=1)},
        )
        yield Trial(
            "s3:GetObjectVersion",
            f"{what}, of a version that is not there",
            {"": lambda: self._s3.head_object(**where, VersionId="null")},
            frozenset({"404", "NoSuchKey", "NoSuchVersion"}),
            needs=("s3:ListBucket", "s3:ListBucketVersions"),
        )
        yield Trial(
            "s3:PutObject",
            f"{what}, of a body that its checksum contradicts, over an object that is not there",
            {"": lambda: self._s3.put_object(**where, Body=b"x", ContentMD5=wrong, IfMatch='"0"')},
            frozenset({"404", "NoSuchKey", "PreconditionFailed", "412", "BadDigest", "InvalidDigest"}),
            needs=("s3:GetObject", "s3:ListBucket"),
        )
        yield Trial(
            "s3:AbortMultipartUpload",
            f"{what}, of an upload that is not there",
            {"": lambda: self._s3.abort_multipart_upload(**where, UploadId=NAME)},
            frozenset({"NoSuchUpload", "404"}),
        )

    def _job_trials(self) -> Iterator[Trial]:
        urls = self._descriptor.queues
        yield Trial(
            "sqs:GetQueueAttributes",
            "the job queues",
            {kind: partial(self._find_dead_letters, kind) for kind in JOB_KINDS},
        )
        twice = [{"Id": NAME, "MessageBody": "{}"}] * 2
        yield Trial(
            "sqs:SendMessage",
            "the job queues, of a batch that SQS refuses as a whole: two of one id",
            {kind: partial(self._sqs.send_message_batch, QueueUrl=url, Entries=twice) for kind, url in urls.items()},
            frozenset({"AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct"}),
            control=lambda: self._sqs.send_message_batch(QueueUrl=self._some_dead(), Entries=twice),
        )

    def _dead_letter_trials(self) -> Iterator[Trial]:
        def each(request: Callable[[str], object]) -> dict[str, Request]:
            return {kind: partial(request, url) for kind, url in self._dead.items()}

        def delete(url: str) -> object:
            return self._sqs.delete_message(QueueUrl=url, ReceiptHandle=NAME)

        def hide(url: str) -> object:
            return self._sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=NAME, VisibilityTimeout=0)

        def receive(url: str) -> object:
            return self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=0, WaitTimeSeconds=0
            )

        a_job_queue = self._descriptor.queues[JOB_KINDS[0]]
        proofs = frozenset({"ReceiptHandleIsInvalid", "AWS.SimpleQueueService.ReceiptHandleIsInvalid"})
        handle = "the dead-letter queues, of a receipt handle that is none"
        yield Trial("sqs:GetQueueAttributes", "the dead-letter queues", each(self._count))
        yield Trial(
            "sqs:ReceiveMessage", "the dead-letter queues; what it shows is not hidden from others", each(receive)
        )
        yield Trial("sqs:DeleteMessage", handle, each(delete), proofs, lambda: delete(a_job_queue))
        yield Trial("sqs:ChangeMessageVisibility", handle, each(hide), proofs, lambda: hide(a_job_queue))

    def _operator_trials(self) -> Iterator[Trial]:
        site, now = self._descriptor.site, round(time.time() * 1000)

        def read(group: str) -> object:
            return self._logs.filter_log_events(logGroupName=group, startTime=now, limit=1)

        groups: dict[str, Request] = {kind: partial(read, f"/siteferry/{site}/{kind}") for kind in JOB_KINDS}
        yield Trial("logs:FilterLogEvents", "the handlers' log groups", groups)
        yield Trial(
            "cloudwatch:DescribeAlarms",
            "the alarms",
            {"": lambda: self._cloudwatch.describe_alarms(AlarmNamePrefix=f"siteferry-{site}-", MaxRecords=1)},
        )
        both = {"Value": 1.0, "StatisticValues": {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}}

        def put(namespace: str) -> object:
            return self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": NAME, **both}])

        yield Trial(
            "cloudwatch:PutMetricData",
            "the heartbeat, of a figure that contradicts itself",
            {"": lambda: put(NAMESPACE)},
            frozenset({"InvalidParameterCombination", "InvalidParameterCombinationException", "InvalidParameterValue"}),
            control=lambda: put(NAME),
        )

    def _find_dead_letters(self, kind: JobKind) -> None:
        url = self._descriptor.queues[kind]
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
        name = json.loads(answer["Attributes"]["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
        self._dead[kind] = f"{url.rpartition('/')[0]}/{name}"

    def _some_dead(self) -> str:
        return next(iter(self._dead.values()), f"{self._descriptor.queues[JOB_KINDS[0]]}-dead")

    def _count(self, url: str) -> None:
        name = "ApproximateNumberOfMessages"
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        if count := int(answer["Attributes"][name]):
            self.dead_letters[url.rpartition("/")[2]] = count

    # ---- what it came to

    def _try(self, trial: Trial) -> Finding:
        about = self._name(trial)
        lacking = [need for need in trial.needs if need in self.denied]
        denied, strange = [], []
        for name, request in trial.requests.items():
            answer, error = _outcome(request, trial.proofs)
            if answer is Answer.DENIED:
                denied.append(name)
            elif isinstance(error, BotoCoreError):
                return failed(about, explain(error, f"trying {trial.what}"))
            elif answer is Answer.ELSE:
                strange.append(str(error))
        if denied and lacking:
            return untried(about, f"without {' and '.join(lacking)}, a refusal tells nothing")
        if denied:
            self.denied.add(trial.action)
            which = f" ({', '.join(denied)})" if any(denied) else ""
            return _denied(about, f"denied for {trial.what}{which}")
        if strange:
            return untried(about, f"{trial.what}: AWS answers neither yes nor no: {strange[0]}")
        if trial.control and _outcome(trial.control, trial.proofs)[0] is not Answer.DENIED:
            return untried(
                about,
                "AWS refuses the harmless request before it looks for the permission, or these credentials may do more"
                " than the agent policy allows",
            )
        return well(about, trial.what)

    def _name(self, trial: Trial) -> str:
        return trial.action + (" (dead)" if trial.what == "the dead-letter queues" else "")


def _outcome(request: Request, proofs: frozenset[str]) -> tuple[Answer, Exception | None]:
    try:
        request()
    except (ClientError, BotoCoreError) as error:
        return _answer(error, proofs), error
    return Answer.ALLOWED, None


def _answer(error: Exception, proofs: frozenset[str]) -> Answer:
    if not isinstance(error, ClientError):
        return Answer.ELSE
    code = error_code(error)
    if code in proofs:
        return Answer.ALLOWED
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return Answer.DENIED if code in _DENIED or status == _HTTP_FORBIDDEN else Answer.ELSE


def _denied(name: str, text: str) -> Finding:
    return Finding(name, Verdict.FAIL, text, _REMEDY, Exit.NO_PERMISSION)
