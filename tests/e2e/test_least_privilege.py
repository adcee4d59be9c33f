"""Least privilege, both ways: what was done on the stack that most modules share, held against what is allowed.

The emulator writes down who asked for which action on what, and its verdict. What is not allowed is refused, and fails
the test that needs it; so here the other way is shown as well: nothing is allowed that nobody does.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from siteferry_contract.job import JOB_KINDS
from tests.e2e.conftest import SUBJECTS, Stack

pytestmark = pytest.mark.e2e

SERVED = "the Lambda service does it with the function's role, and the emulator without asking"
NEVER_DONE_HERE = {
    ("handler", "logs:CreateLogStream"): SERVED,
    ("handler", "logs:PutLogEvents"): SERVED,
    ("handler", "sqs:ReceiveMessage"): SERVED,
    ("handler", "sqs:DeleteMessage"): SERVED,
    ("handler", "sqs:GetQueueAttributes"): SERVED,
    ("handler", "sqs:GetQueueUrl"): SERVED,
    ("handler", "sqs:ChangeMessageVisibility"): SERVED,
    ("handler", "s3:AbortMultipartUpload"): "only a copy above 5 GB that fails half-way needs it",
    ("handler", "s3:ListBucket"): "nobody lists: with it a HEAD of what is missing is 404, and 403 without",
    ("handler", "s3:DeleteObjectVersion"): "only what came late over a key that is live again needs it",
    ("copy", "s3:DeleteObject"): "only a source that is deleted while its copy job waits needs it",
    ("page", "s3:DeleteObject"): "only the duplicate of a page whose directory ends needs it",
    (
        "invalidate",
        "sqs:SendMessage",
    ): "only while CloudFront takes no more invalidations, and the emulator always does",
    (
        "invalidate",
        "cloudfront:ListInvalidations",
    ): "only what does not fit beside the invalidations in progress needs it",
    ("agent", "s3:AbortMultipartUpload"): "only a large file that changes while it is read needs it",
}
"""What is allowed although no test of this folder does it, by who may and the action, and why."""
CONTROLS = {
    ("sqs:SendMessage", "-copy-dead"): "that it is refused for a dead-letter queue",
    ("sqs:DeleteMessage", "-copy"): "that it is refused for a job queue",
    ("sqs:ChangeMessageVisibility", "-copy"): "that it is refused for a job queue",
}
"""What `siteferry check` asks for to be refused, by action and the end of the resource: by that it knows whether to
believe an error that has come before any permission was looked at."""
AWS_NAMES = {"sqs:SendMessageBatch": "sqs:SendMessage"}
"""Actions by the names that the emulator has for them and AWS has not."""
GAPS = "emulator-gaps"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a principal asked for, and whether it was let."""

    principal: str
    action: str
    resource: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """One action on one pattern of resources that a principal's policies allow."""

    who: str
    """agent, or a handler's kind."""
    site: str
    action: str
    resource: str

    def covers(self, verdict: Verdict) -> bool:
        """Tell whether this is what let a request through."""
        # The emulator knows a log group without the `:*` that AWS wants, and of some actions no resource.
        patterns = (self.resource, self.resource.removesuffix(":*"))
        fits = verdict.resource == "*" or any(fnmatchcase(verdict.resource, pattern) for pattern in patterns)
        return verdict.action == self.action and fits

    def of_any_site(self) -> tuple[str, str, str]:
        """Name it without the site and what CloudFormation made up."""
        service, _, rest = self.resource.removeprefix("arn:aws:").partition(":")
        return self.who, self.action, f"{service} {'objects' if service == 's3' and '/' in rest else ''}".strip()


def verdicts(stack: Stack) -> list[Verdict]:
    """Read what the emulator wrote down."""
    lines = (stack.state / "verdicts.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [
        Verdict(v["principal"], AWS_NAMES.get(v["action"], v["action"]), v["resource"], v["decision"] == "Allow")
        for v in found
    ]


def as_list(value: Any) -> list[Any]:
    """Give what IAM allows to be one or a list as a list."""
    return value if isinstance(value, list) else [value]


def policies(stack: Stack) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Give who, site, the name by which the emulator knows them, and each policy, as deployed."""
    iam, functions = stack.client("iam"), stack.client("lambda")
    for site in SUBJECTS:
        user = f"siteferry-{site}-agent"
        (attached,) = iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)
        yield "agent", site, user, document["PolicyVersion"]["Document"]
        for kind in JOB_KINDS:
            name = f"siteferry-{site}-{kind}"
            role = functions.get_function(FunctionName=name)["Configuration"]["Role"].rsplit("/", 1)[1]
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                if policy != GAPS:
                    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                    yield kind, site, role, document


@pytest.fixture(scope="module")
def whole_folder(request: pytest.FixtureRequest) -> None:
    """Skip where not all tests of the folder are run: what they do is what is looked at."""
    here = Path(__file__).parent
    run = {item.path for item in request.session.items}
    if missing := set(here.glob("test_*.py")) - run:
        pytest.skip(f"looks at what the whole folder does; not run: {', '.join(sorted(p.name for p in missing))}")


@pytest.fixture(scope="module")
def allowed(subjects: Stack) -> dict[Allowed, str]:
    """Give all that is allowed, with the principal's name."""
    return {
        Allowed(who, site, action, resource): name
        for who, site, name, document in policies(subjects)
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


@pytest.mark.usefixtures("whole_folder")
def test_nothing_is_allowed_that_nobody_does(subjects: Stack, allowed: dict[Allowed, str]) -> None:
    """Each action on each kind of resource that a policy allows was done on some site, or is named with its reason."""
    done = [verdict for verdict in verdicts(subjects) if verdict.allowed]
    wanted = {a.of_any_site() for a in allowed}
    used = {
        a.of_any_site()
        for a, name in allowed.items()
        if any(f"/{name}" in verdict.principal and a.covers(verdict) for verdict in done)
    }
    excepted = {(who, action) for who, action in NEVER_DONE_HERE}
    unused = {
        (who, action, what)
        for who, action, what in wanted - used
        if not {(who, action), ("agent" if who == "agent" else "handler", action)} & excepted
    }
    assert not unused, "\n".join(map(" ".join, sorted(unused)))


@pytest.mark.usefixtures("whole_folder")
def test_each_exception_is_one(subjects: Stack, allowed: dict[Allowed, str]) -> None:
    """What is excepted is allowed to somebody, so that the list of exceptions does not outlive its reasons."""
    granted = {(who, a.action) for a in allowed for who in (a.who, "agent" if a.who == "agent" else "handler")}
    assert set(NEVER_DONE_HERE) <= granted


@pytest.mark.usefixtures("whole_folder")
def test_nobody_asked_for_what_is_not_allowed(subjects: Stack, allowed: dict[Allowed, str]) -> None:
    """No handler and no agent was refused anything, but for what tests made them ask."""
    names = set(allowed.values())
    refused = {
        (verdict.action, verdict.resource)
        for verdict in verdicts(subjects)
        if not verdict.allowed and any(f"/{name}" in verdict.principal for name in names)
    }
    provoked = {resource for _, resource in refused if resource.endswith("parameter/siteferry/nobody")}
    controls = {
        (action, resource)
        for action, resource in refused
        if any(action == control and resource.endswith(end) for control, end in CONTROLS)
    }
    unasked = sorted(asked for asked in refused - controls if asked[1] not in provoked)
    assert not unasked, "\n".join(map(" ".join, unasked))
