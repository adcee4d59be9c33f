"""What the agent may do: a managed policy, to be attached to whatever identity it has on the FTP host."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from siteferry_infra.acknowledged import acknowledge
from siteferry_infra.agent_alarms import NAMESPACE
from siteferry_infra.storage import Storage


class AgentAccess(Construct):
    """The agent's managed policy. It may put objects, but never remove one: deletes are the handlers' work."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        site: str,
        storage: Storage,
        queues: Sequence[sqs.IQueue],
        dead_letter_queues: Sequence[sqs.IQueue],
        log_groups: Sequence[logs.ILogGroup],
        parameter: ssm.IStringParameter,
    ) -> None:
        super().__init__(scope, construct_id)
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            description=f"siteferry site {site}: what the agent on the FTP host needs",
            statements=[
                iam.PolicyStatement(
                    sid="Descriptor", actions=["ssm:GetParameter"], resources=[parameter.parameter_arn]
                ),
                iam.PolicyStatement(
                    sid="Index",
                    actions=[
                        "dynamodb:ConditionCheckItem",
                        "dynamodb:GetItem",
                        "dynamodb:PutItem",
                        "dynamodb:Scan",
                    ],
                    resources=[storage.table.table_arn],
                ),
                iam.PolicyStatement(
                    sid="Objects",
                    actions=[
                        "s3:AbortMultipartUpload",
                        "s3:GetObject",
                        "s3:PutObject",
                    ],
                    resources=[storage.objects_arn],
                ),
                # Without a condition on the prefix: that a HEAD of what is missing is 404 depends on this permission,
                # and a HEAD has no prefix to match.
                iam.PolicyStatement(sid="Listing", actions=["s3:ListBucket"], resources=[storage.bucket.bucket_arn]),
                # For `siteferry restore --as-of`, `history` and `undo`: what was published earlier.
                iam.PolicyStatement(sid="Earlier", actions=["s3:GetObjectVersion"], resources=[storage.objects_arn]),
                iam.PolicyStatement(
                    sid="EarlierListing",
                    actions=["s3:ListBucketVersions"],
                    resources=[storage.bucket.bucket_arn],
                    conditions=storage.prefix_condition,
                ),
                # For `siteferry check`: without versions a delete is for good.
                iam.PolicyStatement(
                    sid="Versioning", actions=["s3:GetBucketVersioning"], resources=[storage.bucket.bucket_arn]
                ),
                iam.PolicyStatement(
                    sid="Jobs",
                    actions=["sqs:GetQueueAttributes", "sqs:SendMessage"],
                    resources=[queue.queue_arn for queue in queues],
                ),
                iam.PolicyStatement(
                    sid="Redrive",
                    actions=[
                        "sqs:ChangeMessageVisibility",
                        "sqs:DeleteMessage",
                        "sqs:GetQueueAttributes",
                        "sqs:ReceiveMessage",
                    ],
                    resources=[queue.queue_arn for queue in dead_letter_queues],
                ),
                # The ARN of a log group ends with `:*`, as this action needs it (CloudWatch Logs User Guide,
                # Overview of managing access permissions).
                iam.PolicyStatement(
                    sid="LastErrors",
                    actions=["logs:FilterLogEvents"],
                    resources=[group.log_group_arn for group in log_groups],
                ),
                # Metrics have no ARN; the namespace is all that this action can be held to.
                iam.PolicyStatement(
                    sid="Heartbeat",
                    actions=["cloudwatch:PutMetricData"],
                    resources=["*"],
                    conditions={"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
                ),
                # For `siteferry status`. CloudWatch compares a search for alarms by name with `alarm:*` as a whole, so
                # the account's other alarms can be read, too.
                iam.PolicyStatement(
                    sid="Alarms",
                    actions=["cloudwatch:DescribeAlarms"],
                    resources=[
                        cdk.Stack.of(self).format_arn(
                            service="cloudwatch",
                            resource="alarm",
                            resource_name="*",
                            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                        )
                    ],
                ),
                *storage.key_statements(),
            ],
        )
        acknowledge(
            self.policy,
            {
                "IAM5[Resource::*]": "metrics have no ARN; the namespace is the limit",
                "IAM5[Resource::arn:<AWS::Partition>:cloudwatch:<AWS::Region>:<AWS::AccountId>:alarm:*]": (
                    "what CloudWatch compares a search for alarms with; it is a list of names and states to read"
                ),
            },
        )
