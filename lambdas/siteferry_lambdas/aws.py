"""The index, the queues and the distribution, as AWS has them, and the clients of a handler.

This module, `aws_s3` and `aws_failures` are the only ones that know boto3.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from siteferry_contract.descriptor import Descriptor
from siteferry_contract.index import LEDGER_KEY, SHAPE_KEY, item_to_leaf, leaf_key
from siteferry_contract.job import Job, JobKind, encode_job
from siteferry_contract.leaf import Leaf
from siteferry_contract.shape import Shape, item_to_shape
from siteferry_lambdas.aws_failures import failure
from siteferry_lambdas.aws_s3 import S3Bucket
from siteferry_lambdas.errors import BusyError, RefusedPathsError
from siteferry_lambdas.ledger import Ledger, item_to_ledger, ledger_to_item
from siteferry_lambdas.ports import ParallelMap

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

CONNECTIONS: Final = 24
"""Requests at once. A small Lambda has a fraction of a CPU: more threads would only wait for each other."""

SHAPE_SECONDS: Final = 300
"""For which a warm Lambda goes by the shape that it read."""

_CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=CONNECTIONS,
)


def connect(
    descriptor: Descriptor, parallel: ParallelMap
) -> "tuple[DynamoIndex, S3Bucket, SqsQueues, CloudFrontCdn, DynamoBroker]":
    """Make the ports of a site with clients of the default session."""
    session = boto3.Session(region_name=descriptor.region)
    dynamodb = session.client("dynamodb", config=_CONFIG)
    return (
        DynamoIndex(dynamodb, descriptor.table),
        S3Bucket(session.client("s3", config=_CONFIG), descriptor.bucket, parallel),
        SqsQueues(session.client("sqs", config=_CONFIG), descriptor.queues),
        CloudFrontCdn(session.client("cloudfront", config=_CONFIG), descriptor.distribution),
        # Since which run objects carry tags may be taken back at any moment.
        DynamoBroker(dynamodb, descriptor.table, shape_seconds=0.0 if descriptor.has_tags else SHAPE_SECONDS),
    )


class DynamoIndex:
    """The index in its DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def leaf_for(self, directory: str, name: str) -> Leaf | None:
        """Give the leaf with the greatest lower bound that is not above `name`."""
        key = leaf_key(directory, name)
        try:
            response = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk <= :sk",
                ExpressionAttributeValues={":pk": key["pk"], ":sk": key["sk"]},
                ScanIndexForward=False,
                Limit=1,
                ConsistentRead=True,
            )
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"reading the index leaf of {name!r} in directory {directory!r}") from error
        items = response["Items"]
        return item_to_leaf(items[0]) if items else None

    def directory(self, directory: str) -> Sequence[Leaf]:
        """Give all leaves of a directory, page by page."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": leaf_key(directory, "")["pk"]},
            "ConsistentRead": True,
        }
        leaves: list[Leaf] = []
        while True:
            try:
                response = self._client.query(**request)
            except (ClientError, BotoCoreError) as error:
                raise failure(error, f"reading the index of directory {directory!r}") from error
            leaves += [item_to_leaf(item) for item in response["Items"]]
            if not (last := response.get("LastEvaluatedKey")):
                return leaves
            request["ExclusiveStartKey"] = last


class DynamoBroker:
    """The broker's own item, and the tree's shape, in the index's table."""

    def __init__(self, client: "DynamoDBClient", table: str, *, shape_seconds: float = SHAPE_SECONDS) -> None:
        self._client = client
        self._table = table
        self._shape_seconds = shape_seconds
        self._shape: tuple[float, Shape | None] | None = None
        """What was read, and when."""

    def ledger(self) -> Ledger:
        """Get the item."""
        item = self._get(LEDGER_KEY, "reading what the invalidation broker has in progress")
        return item_to_ledger(item) if item else Ledger()

    def replace(self, before: Ledger, after: Ledger) -> bool:
        """Put the item if its beat is the same."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if before.beat:
            condition = {
                "ConditionExpression": "beat = :beat",
                "ExpressionAttributeValues": {":beat": {"N": str(before.beat)}},
            }
        try:
            self._client.put_item(TableName=self._table, Item=ledger_to_item(after), **condition)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise failure(error, "writing what the invalidation broker has in progress") from error
        return True

    def shape(self) -> Shape | None:
        """Get the agent's item, or what it was some minutes ago."""
        now = time.monotonic()
        if self._shape is None or now - self._shape[0] >= self._shape_seconds:
            item = self._get(SHAPE_KEY, "reading the tree's shape")
            self._shape = now, item_to_shape(item) if item else None
        return self._shape[1]

    def _get(self, key: dict[str, Any], what: str) -> Mapping[str, Any] | None:
        try:
            return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        except (ClientError, BotoCoreError) as error:
            raise failure(error, what) from error


class SqsQueues:
    """The job queues in SQS."""

    def __init__(self, client: "SQSClient", urls: Mapping[JobKind, str]) -> None:
        self._client = client
        self._urls = urls

    def send(self, jobs: Iterable[Job]) -> None:
        """Send each job; a message may have 1 MiB, so jobs go one by one."""
        for job in jobs:
            self.send_body(job.kind, encode_job(job), delay=0)

    def send_body(self, kind: JobKind, body: str, *, delay: int) -> None:
        """Send a message."""
        try:
            self._client.send_message(QueueUrl=self._urls[kind], MessageBody=body, DelaySeconds=delay)
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"sending a job to the {kind} queue") from error

    def retry_in(self, kind: JobKind, receipt_handle: str, *, delay: int) -> None:
        """Shorten the visibility time-out of a message."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._urls[kind], ReceiptHandle=receipt_handle, VisibilityTimeout=delay
            )
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"changing the visibility of a message in the {kind} queue") from error


class CloudFrontCdn:
    """The distribution in CloudFront."""

    def __init__(self, client: "CloudFrontClient", distribution: str) -> None:
        self._client = client
        self._distribution = distribution

    def completed(self) -> Collection[str]:
        """List the latest hundred."""
        try:
            answer = self._client.list_invalidations(DistributionId=self._distribution, MaxItems="100")
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"listing the invalidations of distribution {self._distribution}") from error
        found = answer["InvalidationList"].get("Items", [])
        return {summary["Id"] for summary in found if summary["Status"] == "Completed"}

    def invalidate(self, paths: Sequence[str], reference: str) -> str:
        """Create an invalidation."""
        what = f"invalidating {len(paths)} paths of distribution {self._distribution}"
        try:
            answer = self._client.create_invalidation(
                DistributionId=self._distribution,
                InvalidationBatch={
                    "Paths": {"Quantity": len(paths), "Items": list(paths)},
                    "CallerReference": reference,
                },
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "TooManyInvalidationsInProgress":
                raise BusyError(f"{what}: {code}", retry_helps=True) from error
            if code in ("InvalidArgument", "BatchTooLarge"):
                raise RefusedPathsError(f"{what}: {error}", retry_helps=False) from error
            raise failure(error, what) from error
        except BotoCoreError as error:
            raise failure(error, what) from error
        return answer["Invalidation"]["Id"]
