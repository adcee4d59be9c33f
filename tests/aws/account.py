"""A site on a real account, as the tests use one, and the agent's user of it."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from siteferry_contract.descriptor import Descriptor, parameter_name
from tests.e2e.agents import wait_for
from tests.e2e.conftest import Site

CONSENT = "SITEFERRY_AWS_ACCOUNT"
"""The account in which a site may be deployed and destroyed. Credentials for another one are refused."""


@dataclass(frozen=True, slots=True)
class Deployer:
    """Whose credentials boto3's chain finds, in the account that was named."""

    account: str
    region: str

    def client(self, service: str) -> Any:
        """Make a client."""
        create: Any = boto3.Session(region_name=self.region).client
        return create(service)


def consented(given: Mapping[str, str], caller: str, region: str | None) -> Deployer:
    """Give the account, if it is the one that was named; raises ValueError with what to do."""
    wanted = given.get(CONSENT)
    if not wanted:
        raise ValueError(f"set {CONSENT} to the id of an account in which sites may be deployed and destroyed")
    if wanted != caller:
        raise ValueError(
            f"{CONSENT} names account {wanted}, and these credentials are of {caller}: nothing is deployed"
        )
    if not region:
        raise ValueError("set AWS_REGION: where is the site to be deployed?")
    return Deployer(caller, region)


def deployer() -> Deployer:
    """Ask AWS whose the credentials are; raises ValueError with what to do."""
    if not os.environ.get(CONSENT):
        return consented(os.environ, "", None)
    session = boto3.Session()
    caller: Any = session.client("sts", region_name=session.region_name or "us-east-1")
    return consented(os.environ, caller.get_caller_identity()["Account"], session.region_name)


@dataclass(frozen=True, slots=True)
class AccountSite(Site):
    """One site of a real account, with the facts that a local stack's ready line has."""

    def client(self, service: str, environment: Mapping[str, str] | None = None) -> Any:
        """Make a client with the deployer's credentials, or with the agent's key."""
        key = environment or {}
        create: Any = boto3.Session(
            aws_access_key_id=key.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=key.get("AWS_SECRET_ACCESS_KEY"),
            region_name=self.facts["region"],
        ).client
        return create(service)


@contextmanager
def connected(owner: Deployer, site: str, policy: str, folder: Path) -> Iterator[AccountSite]:
    """Give a deployed site with a root, a configuration and a user that has the agent's policy and nothing else."""
    ssm, sqs = owner.client("ssm"), owner.client("sqs")
    descriptor = Descriptor.from_json(ssm.get_parameter(Name=parameter_name(site))["Parameter"]["Value"])
    root, config = folder / site / "root", folder / site / "siteferry.toml"
    root.mkdir(parents=True)
    lines = {"site": site, "root": str(root), "state_dir": str(folder / site / "state")}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    config.write_text(f'{text}interval = 5\nsettle = 1\n\n[aws]\nregion = "{owner.region}"\n', "utf-8")
    dead = {
        kind: json.loads(
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
        )["deadLetterTargetArn"].rpartition(":")[2]
        for kind, url in descriptor.queues.items()
    }
    with _agent_key(owner, site, policy) as key:
        facts = {
            "name": site,
            "region": owner.region,
            "root": str(root),
            "bucket": descriptor.bucket,
            "prefix": descriptor.prefix,
            "table": descriptor.table,
            "queues": {str(kind): url for kind, url in descriptor.queues.items()},
            "dead_letter_queues": {kind: sqs.get_queue_url(QueueName=name)["QueueUrl"] for kind, name in dead.items()},
            "distribution": descriptor.distribution,
            "distribution_url": f"https://{descriptor.domain}/",
            "config": str(config),
            "agent_env": {**key, "AWS_REGION": owner.region},
        }
        yield AccountSite(facts, {})


@contextmanager
def _agent_key(owner: Deployer, site: str, policy: str) -> Iterator[dict[str, str]]:
    iam, name = owner.client("iam"), f"siteferry-{site}-agent-{uuid.uuid4().hex[:6]}"
    iam.create_user(UserName=name)
    made = None
    try:
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        theirs: Any = boto3.Session(made["AccessKeyId"], made["SecretAccessKey"], region_name=owner.region)
        wait_for(lambda: _reads(theirs.client("ssm"), site), "the new key with its policy", 120)
        yield {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
    finally:
        # Before the stack: a policy that is attached cannot be deleted.
        if made:
            iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
        iam.detach_user_policy(UserName=name, PolicyArn=policy)
        iam.delete_user(UserName=name)


def _reads(ssm: Any, site: str) -> bool:
    try:
        ssm.get_parameter(Name=parameter_name(site))
    except ClientError:
        return False
    return True


def deployer_or_skip() -> Deployer:
    """Give the deployer, or skip with what to set."""
    try:
        return deployer()
    except ValueError as error:
        if os.environ.get(CONSENT):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
