"""Where a site lives: the bucket that is published, and the table that says what is in it."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from siteferry_infra.acknowledged import acknowledge
from siteferry_infra.existing import Existing

EXPIRE: Final = "expire-noncurrent-versions"
ABORT: Final = "abort-incomplete-uploads"


class Storage(Construct):
    """The versioned bucket and the index, each made here or there already.

    What is made outlives the stack and has no name of its own, so that a stack that is made anew never collides with
    what an earlier one left.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, prefix: str, retention_days: int, existing: Existing
    ) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self.key: kms.IKey | None = (
            kms.Key.from_key_arn(self, "Key", existing.kms_key_arn) if existing.kms_key_arn else None
        )
        cdk.Annotations.of(self).acknowledge_warning(
            "@aws-cdk/aws-cloudfront-origins:wildcardKeyPolicyForOac", "the key's policy is not ours: see by_hand"
        )
        self.bucket = (
            s3.Bucket.from_bucket_attributes(
                self, "ExistingBucket", bucket_name=existing.bucket, encryption_key=self.key
            )
            if existing.bucket
            else self._bucket(retention_days)
        )
        self.table = (
            dynamodb.Table.from_table_name(self, "ExistingIndex", existing.table) if existing.table else self._index()
        )

    def _bucket(self, retention_days: int) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Bucket",
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.KMS if self.key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=self.key,
            # One request to KMS for many objects, instead of one for each.
            bucket_key_enabled=True if self.key else None,
            enforce_ssl=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id=EXPIRE,
                    noncurrent_version_expiration=cdk.Duration.days(retention_days),
                    # Removes a delete marker only when no version is left beneath it. A key with such a marker and
                    # a key with nothing read alike (404), and rule 2 of the protocol removes markers by version id,
                    # which succeeds as well when it is gone already.
                    expired_object_delete_marker=True,
                ),
                s3.LifecycleRule(
                    id=ABORT,
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                ),
            ],
        )
        acknowledge(bucket, {"S1": "CloudTrail's data events say more, and are for the account's owner to turn on"})
        return bucket

    def _index(self) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            "Index",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )

    @property
    def objects_arn(self) -> str:
        """The ARN pattern of the site's objects, and of no other in the bucket."""
        return self.bucket.arn_for_objects(f"{self._prefix}*")

    @property
    def prefix_condition(self) -> dict[str, dict[str, str]] | None:
        """The condition by which a listing is of the site's objects alone; None if the bucket is the site's."""
        return {"StringLike": {"s3:prefix": f"{self._prefix}*"}} if self._prefix else None

    def key_statements(self) -> list[iam.PolicyStatement]:
        """Give the permission that reading and writing the site's objects needs beside those of S3.

        None without a key of its own. It holds through S3 alone, and for this bucket's objects: S3 tells KMS as the
        encryption context the bucket where a bucket key is used, and the object elsewhere.
        """
        if self.key is None:
            return []
        stack = cdk.Stack.of(self)
        return [
            iam.PolicyStatement(
                sid="Key",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[self.key.key_arn],
                conditions={
                    "StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"},
                    "StringLike": {"kms:EncryptionContext:aws:s3:arn": [self.bucket.bucket_arn, self.objects_arn]},
                },
            )
        ]
