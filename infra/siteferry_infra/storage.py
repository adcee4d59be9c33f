"""Where a site lives: the bucket that is published, and the table that says what is in it."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from siteferry_infra.acknowledged import acknowledge


class Storage(Construct):
    """The versioned bucket and the index.

    Both outlive the stack and have no name of their own, so that a stack that is made anew never collides with what
    an earlier one left.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, retention_days: int) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="expire-noncurrent-versions",
                    noncurrent_version_expiration=cdk.Duration.days(retention_days),
                    # Removes a delete marker only when no version is left beneath it. A key with such a marker and
                    # a key with nothing read alike (404), and rule 2 of the protocol removes markers by version id,
                    # which succeeds as well when it is gone already.
                    expired_object_delete_marker=True,
                ),
                s3.LifecycleRule(
                    id="abort-incomplete-uploads",
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                ),
            ],
        )
        acknowledge(
            self.bucket, {"S1": "CloudTrail's data events say more, and are for the account's owner to turn on"}
        )
        self.table = dynamodb.Table(
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
