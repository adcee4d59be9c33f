"""A site's stack over its life: every setting changed, destroyed, and taken up again with what exists.

The templates are those of `cdk deploy`, deployed as it does it, by CloudFormation; the CLI destroys the stack.
"""

import json
import os
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from siteferry_contract.descriptor import ENVIRONMENT_VARIABLE
from tests.e2e.agents import Agent, wait_for
from tests.e2e.conftest import Stack, clean_environment
from tests.infra.conftest import INFRA, synthesize

pytestmark = pytest.mark.e2e

BASE = 'encoding = "auto"\ncopy_rules = [{ from = "docs/", to = "mirror/docs/" }]\n'
NAME = "siteferry-www"
KEY = "arn:aws:kms:us-east-1:000000000000:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
BOUNDARY = "arn:aws:iam::000000000000:policy/boundary"
CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"


@dataclass(frozen=True, slots=True)
class Deployments:
    """What an operator does with one site's stack."""

    stack: Stack
    folder: Path
    numbers: Iterator[int]

    def client(self, service: str) -> Any:
        """Make the administrator's client."""
        return self.stack.client(service)

    def deploy(self, settings: str) -> dict[str, str]:
        """Create or update the stack; gives its outputs."""
        folder = self.folder / str(next(self.numbers))
        template = synthesize(folder, f"[sites.www]\n{settings}")["www"].file
        # A template is too large to be sent, so it goes where the CLI puts it.
        s3, cloudformation = self.client("s3"), self.client("cloudformation")
        (bucket,) = [b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith("cdk-")]
        key = f"{folder.name}.json"
        s3.put_object(Bucket=bucket, Key=key, Body=template.read_bytes())
        exists = any(
            one["StackName"] == NAME and one["StackStatus"] != "DELETE_COMPLETE"
            for one in cloudformation.list_stacks()["StackSummaries"]
        )
        change = cloudformation.update_stack if exists else cloudformation.create_stack
        change(
            StackName=NAME,
            TemplateURL=f"{self.stack.endpoint}/{bucket}/{key}",
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

        def state() -> Any:
            (found,) = cloudformation.describe_stacks(StackName=NAME)["Stacks"]
            return found

        wait_for(lambda: not state()["StackStatus"].endswith("IN_PROGRESS"), "the deployment's end")
        assert state()["StackStatus"] == ("UPDATE_COMPLETE" if exists else "CREATE_COMPLETE")
        return {output["OutputKey"]: output["OutputValue"] for output in state()["Outputs"]}

    def descriptor(self) -> Any:
        """Give what the agent is told, after seeing that the handlers are told the same but for header rules."""
        value = self.client("ssm").get_parameter(Name="/siteferry/www")["Parameter"]["Value"]
        told = json.loads(value)
        functions = self.client("lambda")
        for kind in told["queues"]:
            found = functions.get_function_configuration(FunctionName=f"{NAME}-{kind}")
            assert json.loads(found["Environment"]["Variables"][ENVIRONMENT_VARIABLE]) == {**told, "header_rules": []}
        return told

    def distribution(self) -> Any:
        """Give the configuration of the site's distribution."""
        found = self.client("cloudfront").get_distribution_config(Id=self.descriptor()["distribution"])
        return found["DistributionConfig"]

    def alarm(self, name: str) -> Any:
        """Give one of the site's alarms."""
        (found,) = self.client("cloudwatch").describe_alarms(AlarmNames=[f"{NAME}-{name}"])["MetricAlarms"]
        return found

    def agent_policy(self) -> str:
        """Give the agent's policy as text."""
        iam = self.client("iam")
        (policy,) = [p for p in iam.list_policies(Scope="Local")["Policies"] if "AgentPolicy" in p["PolicyName"]]
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        return json.dumps(version["PolicyVersion"]["Document"])

    def roles(self) -> list[Any]:
        """Give the handlers' roles."""
        iam = self.client("iam")
        names = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith(NAME)]
        return [iam.get_role(RoleName=name)["Role"] for name in names]

    def versions(self, bucket: str) -> set[tuple[str, str]]:
        """Give the key and id of every version in a bucket."""
        found = self.client("s3").list_object_versions(Bucket=bucket)
        return {(one["Key"], one["VersionId"]) for one in found["Versions"]}

    def destroy(self) -> str:
        """Detach the agent's policy, as docs/deploy.md has it, and destroy the stack; gives what the CLI said."""
        iam = self.client("iam")
        (policy,) = iam.list_attached_user_policies(UserName=f"{NAME}-agent")["AttachedPolicies"]
        iam.detach_user_policy(UserName=f"{NAME}-agent", PolicyArn=policy["PolicyArn"])
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [str(INFRA / "node_modules" / ".bin" / "cdk"), "destroy", NAME, "--force", "--app", str(self.folder / "0")],
            env=clean_environment() | dict(self.stack.env) | {"CI": "true", "NO_COLOR": "1", "PATH": path},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    def do_by_hand(self, outputs: Mapping[str, str]) -> None:
        """Do with the outputs what docs/deploy.md says, for a bucket without a policy."""
        s3, cloudfront = self.client("s3"), self.client("cloudfront")
        s3.put_bucket_policy(Bucket=outputs["BucketName"], Policy=outputs["ByHandBucketPolicy"])
        s3.put_bucket_lifecycle_configuration(
            Bucket=outputs["BucketName"], LifecycleConfiguration=json.loads(outputs["ByHandLifecycle"])
        )
        now = cloudfront.get_distribution_config(Id=outputs["DistributionId"])
        config = now["DistributionConfig"]
        config["Origins"]["Items"].append(json.loads(outputs["ByHandOrigin"]))
        config["Origins"]["Quantity"] = len(config["Origins"]["Items"])
        for name in ("ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL"):
            config["DefaultCacheBehavior"].pop(name, None)
        wanted = json.loads(outputs["ByHandDistribution"])
        config["DefaultCacheBehavior"] |= wanted.pop("DefaultCacheBehavior")
        cloudfront.update_distribution(
            Id=outputs["DistributionId"], IfMatch=now["ETag"], DistributionConfig=config | wanted
        )

    def visit(self, domain: str, path: str) -> bytes:
        """Fetch a path of a distribution from the emulator's CDN."""
        port = urlsplit(self.stack.endpoint).port
        request = urllib.request.Request(f"https://localhost:{port}{path}", headers={"Host": domain})
        trusted = ssl.create_default_context(cafile=self.stack.env["AWS_CA_BUNDLE"])
        with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:
            return bytes(answer.read())


THEIRS: dict[str, Any] = {
    "CallerReference": "theirs",
    "Comment": "theirs",
    "Enabled": True,
    "Origins": {
        "Quantity": 1,
        "Items": [
            {
                "Id": "theirs",
                "DomainName": "old.s3.us-east-1.amazonaws.com",
                "S3OriginConfig": {"OriginAccessIdentity": ""},
            }
        ],
    },
    "DefaultCacheBehavior": {
        "TargetOriginId": "theirs",
        "ViewerProtocolPolicy": "allow-all",
        "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
        "MinTTL": 0,
    },
}


@pytest.fixture(scope="module")
def deployments(
    run_local_stack: Callable[[Path | None], AbstractContextManager[Stack]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployments]:
    """Give a stack of its own, deployed with the base settings."""
    folder = tmp_path_factory.mktemp("deployments")
    sites = folder / "sites.toml"
    sites.write_text(f"[sites.www]\n{BASE}", "utf-8")
    with run_local_stack(sites) as stack:
        yield Deployments(stack, folder, count())


TOLD = """
prefix = "some/prefix/"
encoding = "utf-8"
copy_rules = [{ from = "a/", to = "b/" }]
directory_pages = false
directory_redirects = "by-extension"
header_rules = [{ match = "*.css", headers = { cache-control = "max-age=9" } }]
invalidation = "tags"
invalidation_budget = 77
retention_days = 40
"""
"""What the agent is told of: the same words in the descriptor."""

LOOKED_UP: Mapping[str, tuple[Callable[[Deployments], Any], Any]] = {
    'error_page = "errors/missing.html"': (
        lambda site: site.distribution()["CustomErrorResponses"]["Items"][0]["ResponsePagePath"],
        "/errors/missing.html",
    ),
    f'domain_names = ["www.example.com"]\ncertificate_arn = "{CERTIFICATE}"': (
        lambda site: site.distribution().get("Aliases", {}).get("Items"),
        ["www.example.com"],
    ),
    "invalidation_window = 9": (
        lambda site: site.client("sqs").get_queue_attributes(
            QueueUrl=site.descriptor()["queues"]["invalidate"], AttributeNames=["VisibilityTimeout"]
        )["Attributes"]["VisibilityTimeout"],
        str(6 * 60 + 9),
    ),
    "agent_silent_minutes = 9": (lambda site: site.alarm("agent-silent")["EvaluationPeriods"], 9),
    "oldest_change_minutes = 9": (lambda site: site.alarm("oldest-change")["Threshold"], 540),
    'runbook_url = "https://wiki.example.com/r/"': (
        lambda site: site.alarm("deletes-held")["AlarmDescription"].rpartition(" ")[2],
        "https://wiki.example.com/r/deletes-held.md",
    ),
    'alarm_email = "ops@example.com"': (
        lambda site: [one["Endpoint"] for one in site.client("sns").list_subscriptions()["Subscriptions"]],
        ["ops@example.com"],
    ),
    f'kms_key_arn = "{KEY}"': (lambda site: KEY in site.agent_policy(), True),
}
UNSEEN = f'permissions_boundary_arn = "{BOUNDARY}"\n'
"""What the emulator takes and does not show: it deploys no boundaries."""


def test_each_setting_can_be_changed_and_deployed_again(deployments: Deployments) -> None:
    """What is deployed says so, and bucket, index, queues and distribution stay the ones they were."""
    before = deployments.descriptor()
    told = tomllib.loads(TOLD)
    assert told.keys() - before.keys() == {"retention_days"}, "said where it is not the default"
    assert all(before.get(name) != value for name, value in told.items())
    deployments.deploy(TOLD)
    assert deployments.descriptor() == {**before, **told}
    for look, expected in LOOKED_UP.values():
        assert look(deployments) != expected
    deployments.deploy("\n".join([BASE, UNSEEN, *LOOKED_UP]))
    for lines, (look, expected) in LOOKED_UP.items():
        assert look(deployments) == expected, lines
    assert deployments.descriptor() == before
    deployments.deploy(BASE)
    assert deployments.descriptor() == before


def test_what_is_destroyed_can_be_taken_up_again(deployments: Deployments) -> None:
    """Objects and index stay; a new stack with them, and a distribution that exists, uploads nothing again."""
    site = deployments.stack.sites["www"]
    agent = Agent(site, Path(site.config))
    (Path(site.root) / "docs").mkdir()
    (Path(site.root) / "docs" / "a.txt").write_text("a", "utf-8")
    (Path(site.root) / "index.html").write_text("welcome", "utf-8")
    agent.sync()
    site.wait_drained()
    outputs = deployments.deploy(f"{BASE}retention_days = 41\n")
    published = deployments.versions(site.bucket)
    assert {"docs/a.txt", "index.html", "mirror/docs/a.txt"} <= {key for key, _ in published}

    said = deployments.destroy()
    for kind in ("AWS::S3::Bucket ", "AWS::DynamoDB::Table "):
        assert [line for line in said.splitlines() if kind in line and "DELETE_SKIPPED" in line]
    assert deployments.versions(site.bucket) == published
    description = deployments.client("dynamodb").describe_table(TableName=site.table)["Table"]
    assert description["DeletionProtectionEnabled"] is True

    # The account has a distribution already, for another origin.
    cloudfront = deployments.client("cloudfront")
    theirs = cloudfront.create_distribution(DistributionConfig=THEIRS)["Distribution"]
    settings = f'{BASE}{outputs["TakeUpAgain"]}\ndistribution = "{theirs["Id"]}"\n'
    outputs = deployments.deploy(f'{settings}distribution_domain = "{theirs["DomainName"]}"\n')
    told = deployments.descriptor()
    assert (told["bucket"], told["table"], told["distribution"]) == (site.bucket, site.table, theirs["Id"])
    deployments.do_by_hand(outputs)

    config = cloudfront.get_distribution_config(Id=theirs["Id"])["DistributionConfig"]
    assert config["Comment"] == THEIRS["Comment"]
    assert len(config["Origins"]["Items"]) == 2
    iam = deployments.client("iam")
    iam.attach_user_policy(UserName="siteferry-www-agent", PolicyArn=outputs["AgentPolicyArn"])
    agent.sync()
    assert deployments.versions(site.bucket) == published
    (Path(site.root) / "new.txt").write_text("new", "utf-8")
    agent.sync()
    new = site.client("s3").get_object(Bucket=site.bucket, Key="new.txt")
    assert new["Body"].read() == b"new"
    assert deployments.visit(theirs["DomainName"], "/docs/a.txt") == b"a"
    assert deployments.visit(theirs["DomainName"], "/") == b"welcome"
