"""What agent and handlers may not do is refused: the local stack judges by the deployed policies.

A handler's role is for Lambda alone, so its requests are made by a user with that role's policies.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from siteferry_contract.job import JOB_KINDS
from tests.e2e.conftest import Stack
from tests.e2e.test_least_privilege import policies

pytestmark = pytest.mark.e2e

OWN, OTHER = "www", "broker"
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}
_KEY = {"pk": {"S": "/"}, "sk": {"S": "/"}}
_BATCH = {"CallerReference": "x", "Paths": {"Quantity": 1, "Items": ["/*"]}}

Client = Callable[[str], Any]
Try = Callable[[Client, Stack], object]


def foreign(kind: str) -> dict[str, Try]:
    """Give what nobody may do to another site."""
    return {
        "read another site's object": lambda c, s: c("s3").get_object(Bucket=s.sites[OTHER].bucket, Key="a"),
        "put an object of another site": lambda c, s: c("s3").put_object(Bucket=s.sites[OTHER].bucket, Key="a"),
        "delete an object of another site": lambda c, s: c("s3").delete_object(Bucket=s.sites[OTHER].bucket, Key="a"),
        "read another site's index": lambda c, s: c("dynamodb").get_item(TableName=s.sites[OTHER].table, Key=_KEY),
        "send another site a job": lambda c, s: c("sqs").send_message(
            QueueUrl=s.sites[OTHER].queues[kind], MessageBody="{}"
        ),
        "invalidate another site": lambda c, s: c("cloudfront").create_invalidation(
            DistributionId=s.sites[OTHER].distribution, InvalidationBatch=_BATCH
        ),
    }


ANYBODY: dict[str, Try] = {
    "delete an item of the index": lambda c, s: c("dynamodb").delete_item(TableName=s.sites[OWN].table, Key=_KEY),
    "delete the table": lambda c, s: c("dynamodb").delete_table(TableName=s.sites[OWN].table),
    "delete the bucket": lambda c, s: c("s3").delete_bucket(Bucket=s.sites[OWN].bucket),
    "change the bucket's policy": lambda c, s: c("s3").delete_bucket_policy(Bucket=s.sites[OWN].bucket),
    "stop the bucket's versions": lambda c, s: c("s3").put_bucket_versioning(
        Bucket=s.sites[OWN].bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "make a user": lambda c, _: c("iam").create_user(UserName="intruder"),
    "write the descriptor": lambda c, _: c("ssm").put_parameter(
        Name=f"/siteferry/{OWN}", Value="{}", Type="String", Overwrite=True
    ),
}
NOT_THE_AGENT: dict[str, Try] = {
    "delete an object": lambda c, s: c("s3").delete_object(Bucket=s.sites[OWN].bucket, Key="a"),
    "delete a version": lambda c, s: c("s3").delete_object(Bucket=s.sites[OWN].bucket, Key="a", VersionId="null"),
    "take a job": lambda c, s: c("sqs").receive_message(QueueUrl=s.sites[OWN].queues["delete"]),
    "empty a queue": lambda c, s: c("sqs").purge_queue(QueueUrl=s.sites[OWN].queues["delete"]),
    "invalidate": lambda c, s: c("cloudfront").create_invalidation(
        DistributionId=s.sites[OWN].distribution, InvalidationBatch=_BATCH
    ),
    "read another site's descriptor": lambda c, _: c("ssm").get_parameter(Name=f"/siteferry/{OTHER}"),
}
NOT_A_HANDLER: dict[str, Try] = {
    "write a leaf": lambda c, s: c("dynamodb").put_item(TableName=s.sites[OWN].table, Item=_KEY),
    "read the descriptor": lambda c, _: c("ssm").get_parameter(Name=f"/siteferry/{OWN}"),
    "take a dead letter": lambda c, s: c("sqs").receive_message(QueueUrl=s.sites[OWN].dead_letter_queues["delete"]),
}
ALLOWED: dict[str, Try] = {
    "agent": lambda c, _: c("ssm").get_parameter(Name=f"/siteferry/{OWN}"),
    "copy": lambda c, s: c("s3").put_object(Bucket=s.sites[OWN].bucket, Key="refused/a"),
    "delete": lambda c, s: c("s3").delete_object(Bucket=s.sites[OWN].bucket, Key="refused/a"),
    "page": lambda c, s: c("s3").delete_object(Bucket=s.sites[OWN].bucket, Key="refused/a"),
    "invalidate": lambda c, s: c("cloudfront").list_invalidations(DistributionId=s.sites[OWN].distribution),
}
"""Without which a refusal of all the rest would say nothing of it."""


@pytest.fixture(scope="module", params=["agent", *JOB_KINDS])
def somebody(request: pytest.FixtureRequest, subjects: Stack) -> Iterator[tuple[str, Client]]:
    """Give agent and handlers in turn, by a user with exactly their policies."""
    documents = [found for who, site, _, found in policies(subjects) if (who, site) == (request.param, OWN)]
    with user_with(subjects, documents) as client:
        yield request.param, client


@contextmanager
def user_with(stack: Stack, documents: list[dict[str, Any]]) -> Iterator[Client]:
    """Make a user with these policies, and clients of it."""
    iam, name = stack.client("iam"), "siteferry-refused"
    iam.create_user(UserName=name)
    for number, document in enumerate(documents):
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    site = stack.sites[OWN]
    yield lambda service: site.client(service, {**stack.env, **keys})
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for number in range(len(documents)):
        iam.delete_user_policy(UserName=name, PolicyName=f"p{number}")
    iam.delete_user(UserName=name)


def test_what_nobody_should_do_is_refused(somebody: tuple[str, Client], subjects: Stack) -> None:
    """Nothing of another site, no rights, no settings, nothing for good; and each not what is another's work."""
    who, client = somebody
    ALLOWED[who](client, subjects)
    tries = {**foreign("copy"), **ANYBODY, **(NOT_THE_AGENT if who == "agent" else NOT_A_HANDLER)}
    let = {what for what, attempt in tries.items() if not is_denied(attempt, client, subjects)}
    # The emulator does not know dynamodb:LeadingKeys, which keeps this handler to items of its own.
    assert let == ({"write a leaf"} if who == "invalidate" else set())


def is_denied(attempt: Try, client: Client, stack: Stack) -> bool:
    """Tell whether a request is refused for the lack of a permission."""
    try:
        attempt(client, stack)
    except ClientError as error:
        return error.response["Error"]["Code"] in _DENIED
    return False
