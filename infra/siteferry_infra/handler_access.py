"""What each handler may do, beyond its own queue and log."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from siteferry_contract.index import LEDGER_KEY, SHAPE_KEY
from siteferry_contract.job import JobKind
from siteferry_infra.cdn import Cdn
from siteferry_infra.job_pipeline import JobQueue
from siteferry_infra.storage import Storage

_OBJECTS: Final[Mapping[JobKind, tuple[str, ...]]] = {
    "copy": ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
    # Removing a version by its id is what undoes a marker or a generated object over a live key.
    "delete": (
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObject",
        "s3:PutObject",
    ),
    "page": (
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObject",
        "s3:PutObject",
    ),
}
_INDEX: Final = ("dynamodb:Query",)
_READS_INDEX: Final[tuple[JobKind, ...]] = ("delete", "page")
_SENDS: Final[Mapping[JobKind, tuple[JobKind, ...]]] = {
    "copy": ("invalidate",),
    "delete": ("invalidate", "page"),
    "page": ("invalidate",),
    # A delayed copy of its own job, while CloudFront has too many invalidations in progress.
    "invalidate": ("invalidate",),
}


def grant_handler(
    function: lambda_.IFunction,
    *,
    kind: JobKind,
    storage: Storage,
    queues: Mapping[JobKind, JobQueue],
    cdn: Cdn,
) -> None:
    """Give a handler its permissions, in the words of the actions that it performs."""
    statements = [
        iam.PolicyStatement(
            sid="SendJobs",
            actions=["sqs:SendMessage"],
            resources=[queues[target].queue.queue_arn for target in _SENDS[kind]],
        )
    ]
    if kind in _OBJECTS:
        statements += [
            iam.PolicyStatement(sid="Objects", actions=list(_OBJECTS[kind]), resources=[storage.objects_arn]),
            # Makes a HEAD of what is missing 404 instead of 403; a condition on the prefix would undo that.
            iam.PolicyStatement(sid="Listing", actions=["s3:ListBucket"], resources=[storage.bucket.bucket_arn]),
            *storage.key_statements(),
        ]
    if kind in _READS_INDEX:
        statements.append(iam.PolicyStatement(sid="Index", actions=list(_INDEX), resources=[storage.table.table_arn]))
    if kind == "invalidate":
        statements += [
            iam.PolicyStatement(
                sid="Invalidate",
                actions=["cloudfront:CreateInvalidation", "cloudfront:ListInvalidations"],
                resources=[cdn.arn],
            ),
            _own_items("Shape", ["dynamodb:GetItem"], storage, SHAPE_KEY),
            _own_items("Ledger", ["dynamodb:GetItem", "dynamodb:PutItem"], storage, LEDGER_KEY),
        ]
    for statement in statements:
        function.add_to_role_policy(statement)


def _own_items(
    sid: str, actions: list[str], storage: Storage, key: Mapping[str, Mapping[str, str]]
) -> iam.PolicyStatement:
    """Let a handler reach items that are neither leaf nor head, by their partition key."""
    return iam.PolicyStatement(
        sid=sid,
        actions=actions,
        resources=[storage.table.table_arn],
        conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [key["pk"]["S"]]}},
    )
