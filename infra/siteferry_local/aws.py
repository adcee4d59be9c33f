"""What the local stack asks of the emulator as its administrator: the only module here that knows boto3."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from siteferry_contract.descriptor import ENVIRONMENT_VARIABLE, Descriptor, parameter_name
from siteferry_local.emulator import REGION, Credentials, Emulator

if TYPE_CHECKING:
    from collections.abc import Mapping


_GAPS = "emulator-gaps"


@dataclass(frozen=True, slots=True)
class DeployedSite:
    """A site as it was deployed.

    cdn_may_list: whether CloudFront may list the bucket, on which S3's answer for a missing key depends;
    agent: a key that may do what the stack's agent policy allows, and nothing else.
    """

    descriptor: Descriptor
    dead_letter_queues: Mapping[str, str]
    cdn_may_list: bool
    agent: Credentials


class Account:
    """The emulator's account, used with its root key."""

    def __init__(self, emulator: Emulator) -> None:
        self._session = boto3.Session(
            aws_access_key_id=emulator.administrator.access_key_id,
            aws_secret_access_key=emulator.administrator.secret_access_key,
            region_name=REGION,
        )
        self._endpoint = emulator.endpoint
        self._ca_bundle = str(emulator.ca_bundle)

    def deployed_site(self, site: str, *, agent_policy_arn: str) -> DeployedSite:
        """Read what was deployed for a site, and make a user that has the agent's policy and nothing else."""
        value = self._client("ssm").get_parameter(Name=parameter_name(site))["Parameter"]["Value"]
        descriptor = Descriptor.from_json(value)
        agent = self._new_agent_key(site, agent_policy_arn)
        self._close_gaps_of_handlers()
        return DeployedSite(
            descriptor=descriptor,
            dead_letter_queues=self._dead_letter_queues(descriptor),
            cdn_may_list=self._cdn_may_list(descriptor.bucket),
            agent=agent,
        )

    def invalidated_paths(self, distribution: str) -> list[str]:
        """Return every path of every invalidation of a distribution, oldest first."""
        client = self._client("cloudfront")
        pages = client.get_paginator("list_invalidations").paginate(DistributionId=distribution)
        found = [item for page in pages for item in page["InvalidationList"].get("Items", [])]
        paths: list[str] = []
        for item in sorted(found, key=lambda item: item["CreateTime"]):
            answer = client.get_invalidation(DistributionId=distribution, Id=item["Id"])
            paths += answer["Invalidation"]["InvalidationBatch"]["Paths"]["Items"]
        return paths

    def _client(self, service: str) -> Any:
        create: Any = self._session.client  # typed per service; here the name is a variable
        return create(service, endpoint_url=self._endpoint, verify=self._ca_bundle)

    def _dead_letter_queues(self, descriptor: Descriptor) -> dict[str, str]:
        sqs = self._client("sqs")
        found: dict[str, str] = {}
        for kind, url in descriptor.queues.items():
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
            policy = json.loads(answer["Attributes"]["RedrivePolicy"])
            name = policy["deadLetterTargetArn"].rsplit(":", 1)[1]
            found[kind] = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        return found

    def _cdn_may_list(self, bucket: str) -> bool:
        policy = json.loads(self._client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
        return any(
            statement["Effect"] == "Allow"
            and statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
            and "s3:ListBucket" in statement["Action"]
            for statement in policy["Statement"]
        )

    def _new_agent_key(self, site: str, policy_arn: str) -> Credentials:
        iam = self._client("iam")
        user = f"siteferry-{site}-agent"
        iam.create_user(UserName=user)
        iam.attach_user_policy(UserName=user, PolicyArn=policy_arn)
        version = iam.get_policy(PolicyArn=policy_arn)["Policy"]["DefaultVersionId"]
        policy = iam.get_policy_version(PolicyArn=policy_arn, VersionId=version)["PolicyVersion"]["Document"]
        iam.put_user_policy(UserName=user, PolicyName=_GAPS, PolicyDocument=json.dumps(_emulator_gaps(policy)))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def _close_gaps_of_handlers(self) -> None:
        iam, functions = self._client("iam"), self._client("lambda")
        for page in functions.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                if ENVIRONMENT_VARIABLE not in function.get("Environment", {}).get("Variables", {}):
                    continue
                role = function["Role"].rsplit("/", 1)[1]
                for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                    gaps = _emulator_gaps(policy)
                    if gaps["Statement"] and name != _GAPS:
                        iam.put_role_policy(RoleName=role, PolicyName=_GAPS, PolicyDocument=json.dumps(gaps))


def _emulator_gaps(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the emulator asks for beside a policy that is enough on AWS.

    On AWS, sqs:SendMessage is the permission for SendMessageBatch too (Service Authorization Reference, Amazon SQS);
    the emulator looks for an action named like the call, which AWS does not know, so it cannot be in the template.
    Its `*` does not match a newline, which a key may have. It knows a log group without the `:*` that AWS wants, no
    alarm, so that only `*` lets one read them, and not at all the namespace of metrics, by which a policy may limit who
    writes them.
    """
    statements = [
        {"Effect": "Allow", "Action": "sqs:SendMessageBatch", "Resource": statement["Resource"]}
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow" and "sqs:SendMessage" in statement["Action"]
    ]
    statements += [
        {"Effect": "Allow", "Action": statement["Action"], "Resource": f"{statement['Resource']}\n*"}
        for statement in policy["Statement"]
        if "s3:GetObject" in statement["Action"] and isinstance(statement["Resource"], str)
    ]
    statements += [
        {**statement, "Resource": [arn.removesuffix(":*") for arn in statement["Resource"]]}
        for statement in policy["Statement"]
        if statement["Action"] == "logs:FilterLogEvents"
    ]
    statements += [
        {name: value for name, value in statement.items() if name != "Condition"}
        for statement in policy["Statement"]
        if statement["Action"] == "cloudwatch:PutMetricData"
    ]
    statements += [
        {**statement, "Resource": "*"}
        for statement in policy["Statement"]
        if statement["Action"] == "cloudwatch:DescribeAlarms"
    ]
    return {"Version": "2012-10-17", "Statement": statements}
