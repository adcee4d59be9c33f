"""A throw-away pair of sites on a real account: deployed, handed out, and destroyed with all that was in it.

What `cdk destroy` keeps on purpose (bucket, table) goes too, also after a deployment that failed. What is left of a run
that was killed goes with `uv run python -m tests.aws NAME`.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tests.aws.account import AccountSite, Deployer, connected
from tests.aws.sites import tagged, write_sites

BOOTSTRAP: Final = "/cdk-bootstrap/hnb659fds/version"
_INFRA: Final = Path(__file__).resolve().parents[2] / "infra"
_BUCKET: Final = "AWS::S3::Bucket"
_TABLE: Final = "AWS::DynamoDB::Table"
_QUIET: Final = {"CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_NOTICES": "false", "NO_COLOR": "1", "CI": "true"}

Cdk = Callable[[list[str]], None]
"""Runs the CDK CLI with arguments; raises CalledProcessError."""


def run_cdk(arguments: list[str]) -> None:
    """Run the pinned CDK CLI with this process's credentials."""
    # The app's `uv run` is to take this environment as it is: a sync would change it under this very process.
    environment = os.environ | _QUIET | {"UV_NO_SYNC": "1"}
    environment.pop("UV_PYTHON", None)
    if not (_INFRA / "node_modules" / ".bin" / "cdk").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=_INFRA, env=environment, check=True)
    subprocess.run([str(_INFRA / "node_modules" / ".bin" / "cdk"), *arguments], cwd=_INFRA, env=environment, check=True)


@contextmanager
def throwaway_sites(
    owner: Deployer, name: str, folder: Path, tell: Callable[[str], None], cdk: Cdk = run_cdk
) -> Iterator[dict[str, AccountSite]]:
    """Deploy both sites; whatever happens, destroy them afterwards and tell what is left. Raises if something is."""
    check_bootstrap(owner)
    check_bootstrap(owner)
    sites = write_sites(folder, name)
    outputs = folder / "outputs.json"
    common = ["--context", f"sites={sites}", "--output", str(folder / "cdk.out")]
    tell(
        f"deploying {name} and {tagged(name)} in account {owner.account}, {owner.region};"
        f" should this be killed: uv run python -m tests.aws {name}"
    )
    try:
        options = ["--require-approval", "never", "--concurrency", "2", "--outputs-file", str(outputs)]
        cdk(["deploy", "--all", *common, *options])
        found = json.loads(outputs.read_bytes())
        with ExitStack() as users:
            yield {
                how: users.enter_context(
                    connected(owner, site, found[f"siteferry-{site}"]["AgentPolicyArn"], folder / "hosts")
                )
                for how, site in (("paths", name), ("tags", tagged(name)))
            }
    finally:
        left = destroy(owner, [name, tagged(name)])
        for line in left:
            tell(f"LEFT BEHIND: {line}")
    if left:
        raise AssertionError(f"not everything could be destroyed: {'; '.join(left)}")


def check_bootstrap(owner: Deployer) -> None:
    """Raise RuntimeError with what to do unless the account is bootstrapped for the CDK in this region."""
    try:
        owner.client("ssm").get_parameter(Name=BOOTSTRAP)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise RuntimeError(
            f"account {owner.account} is not bootstrapped in {owner.region}: run once"
            f" `cd infra && npx cdk bootstrap aws://{owner.account}/{owner.region}`"
        ) from None


def destroy(owner: Deployer, sites: list[str]) -> list[str]:
    """Destroy the stacks of sites with all that they keep; give what is left, each with the reason."""
    left: list[str] = []
    cloudformation, iam = owner.client("cloudformation"), owner.client("iam")
    kept: dict[str, str] = {}

    def attempt(what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except (ClientError, BotoCoreError) as error:
            left.append(f"{what}: {error}")

    for site in sites:
        kept |= _kept_by(cloudformation, f"siteferry-{site}")
        attempt(f"what else has the tag of site {site}", partial(_add_tagged, owner, site, kept))
        attempt(f"users of site {site}", partial(_delete_users, iam, site))
    for site in sites:
        stack = f"siteferry-{site}"
        attempt(f"stack {stack}", partial(cloudformation.delete_stack, StackName=stack))
    for site in sites:
        stack, wait = f"siteferry-{site}", cloudformation.get_waiter("stack_delete_complete").wait
        # A distribution is disabled first, which takes its time.
        attempt(f"stack {stack}", partial(wait, StackName=stack, WaiterConfig={"Delay": 15, "MaxAttempts": 160}))
    for name, kind in kept.items():
        if kind == _BUCKET:
            attempt(f"bucket {name}", partial(_delete_bucket, owner.client("s3"), name))
        else:
            attempt(f"table {name}", partial(_delete_table, owner.client("dynamodb"), name))
    return left


def _kept_by(cloudformation: Any, stack: str) -> dict[str, str]:
    """Give the types of a stack's bucket and table by their names; none if there is no stack."""
    try:
        found = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    except ClientError:
        return {}
    return {one["PhysicalResourceId"]: one["ResourceType"] for one in found if one["ResourceType"] in (_BUCKET, _TABLE)}


def _add_tagged(owner: Deployer, site: str, kept: dict[str, str]) -> None:
    """Add the same by the site's tag: they are there still when a run was killed after its stack was gone."""
    pages = (
        owner.client("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(
            TagFilters=[{"Key": "siteferry:site", "Values": [site]}], ResourceTypeFilters=["s3", "dynamodb:table"]
        )
    )
    for arn in [one["ResourceARN"] for page in pages for one in page["ResourceTagMappingList"]]:
        service, name = arn.split(":")[2], arn.split(":", 5)[5].rpartition("/")[2]
        kept[name] = _BUCKET if service == "s3" else _TABLE


def _delete_users(iam: Any, site: str) -> None:
    """Delete the agent's users of a run that was killed; else there are none by now."""
    for page in iam.get_paginator("list_users").paginate():
        for name in [user["UserName"] for user in page["Users"]]:
            if not name.startswith(f"siteferry-{site}-agent-"):
                continue
            for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
                iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
            for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
                iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
            iam.delete_user(UserName=name)


def _delete_bucket(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    # One by one: a key with a control character cannot be said in the body of DeleteObjects.
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def _delete_table(dynamodb: Any, table: str) -> None:
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    dynamodb.delete_table(TableName=table)
