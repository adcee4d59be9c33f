"""What deploys to an account and destroys there: only where somebody agreed, and so that nothing is left."""

import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.account import CONSENT, Deployer, consented
from tests.aws.throwaway import BOOTSTRAP, check_bootstrap, throwaway_sites
from tests.conformance.real import chosen
from tests.e2e.conftest import Stack

_NAME = "throwaway-0123abcd"


@pytest.mark.parametrize(
    ("given", "region", "reason"),
    [
        ({}, "eu-central-1", f"set {CONSENT}"),
        ({CONSENT: "999999999999"}, "eu-central-1", "names account 999999999999, and these credentials are of 1234"),
        ({CONSENT: "123456789012"}, None, "set AWS_REGION"),
    ],
)
def test_nobody_deploys_by_accident(given: dict[str, str], region: str | None, reason: str) -> None:
    """Without the id of the very account that the credentials are of, and a region, nothing is deployed."""
    with pytest.raises(ValueError, match=reason):
        consented(given, "123456789012", region)
    assert consented({CONSENT: "1"}, "1", "eu-central-1") == Deployer("1", "eu-central-1")


@pytest.fixture
def owner(stand_in: Stack) -> Any:
    """Give the local stack's account, in this process's environment."""
    with chosen(stand_in.env):
        account = stand_in.client("sts").get_caller_identity()["Account"]
        yield consented({CONSENT: account}, account, os.environ["AWS_REGION"])


@pytest.mark.e2e
def test_all_that_was_deployed_is_destroyed(owner: Deployer, tmp_path: Path) -> None:
    """Sites are deployed and used; afterwards stacks, buckets with every version, tables and users are gone."""
    told: list[str] = []
    with throwaway_sites(owner, _NAME, tmp_path, told.append) as sites:
        site = sites["tags"]
        for _ in range(2):
            site.client("s3").put_object(Bucket=site.bucket, Key="twice.txt", Body=b"twice")
        site.client("s3").delete_object(Bucket=site.bucket, Key="twice.txt")
        assert sites["paths"].bucket != site.bucket
        assert _users(owner) == 2
    assert len(told) == 1
    assert told[0].startswith(f"deploying {_NAME} and {_NAME}-tags in account {owner.account}")
    _assert_gone(owner, {site.bucket for site in sites.values()}, {site.table for site in sites.values()})


@pytest.mark.e2e
def test_a_test_that_fails_leaves_nothing_either(owner: Deployer, tmp_path: Path) -> None:
    """Whatever ends the tests, what was deployed for them is destroyed."""
    seen: list[Any] = []

    def fail() -> None:
        with throwaway_sites(owner, _NAME, tmp_path, lambda _text: None) as sites:
            seen.extend(sites.values())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    _assert_gone(owner, {site.bucket for site in seen}, {site.table for site in seen})


@pytest.mark.e2e
def test_an_account_without_bootstrap_is_told_how(owner: Deployer) -> None:
    """Where the CDK has no bootstrap stack, what to type is said."""
    ssm = owner.client("ssm")
    version = ssm.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"]
    check_bootstrap(owner)
    ssm.delete_parameter(Name=BOOTSTRAP)
    try:
        with pytest.raises(RuntimeError, match=f"npx cdk bootstrap aws://{owner.account}/{owner.region}"):
            check_bootstrap(owner)
    finally:
        ssm.put_parameter(Name=BOOTSTRAP, Value=version, Type="String")


def _users(owner: Deployer) -> int:
    users = owner.client("iam").list_users()["Users"]
    return sum(user["UserName"].startswith(f"siteferry-{_NAME}") for user in users)


def _assert_gone(owner: Deployer, buckets: set[str], tables: set[str]) -> None:
    assert len(buckets) == len(tables) == 2
    for suffix in ("", "-tags"):
        with pytest.raises(ClientError, match="does not exist"):
            owner.client("cloudformation").describe_stacks(StackName=f"siteferry-{_NAME}{suffix}")
    assert not buckets & {bucket["Name"] for bucket in owner.client("s3").list_buckets()["Buckets"]}
    assert not tables & set(owner.client("dynamodb").list_tables()["TableNames"])
    assert _users(owner) == 0
