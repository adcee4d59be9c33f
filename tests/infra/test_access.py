"""What the agent and the handlers of every site may do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from siteferry_contract.job import JOB_KINDS
from tests.infra.conftest import BOUNDARY, KEY_ID, Synthesized, as_list

KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


def statements(stack: Synthesized) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every statement of every identity policy, with the policy's logical id."""
    for name, resource in stack.template["Resources"].items():
        if resource["Type"] in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                yield name, statement


def test_no_policy_reaches_beyond_the_site(stack: Synthesized) -> None:
    """No wildcard in an action, and the only one in a resource stands after the site's prefix; but for alarms."""
    prefix = {"plain": "", "full": "some/prefix/", "found": "www/"}[stack.site]
    for name, statement in statements(stack):
        assert statement["Effect"] == "Allow"
        assert not [action for action in as_list(statement["Action"]) if "*" in action], name
        for resource in as_list(statement["Resource"]):
            if statement.get("Sid") == "Alarms":
                # What CloudWatch compares a search for alarms with; it is a list of names and states to read.
                assert as_list(statement["Action"]) == ["cloudwatch:DescribeAlarms"]
                assert json.dumps(resource).endswith(':alarm:*"]]}')
            elif "*" in json.dumps(resource) and statement.get("Sid") != "Heartbeat":
                bucket = ":s3:::company-files" if stack.site == "found" else ""
                assert resource["Fn::Join"][1][-1] == f"{bucket}/{prefix}*", name
                assert all(action.startswith("s3:") for action in as_list(statement["Action"])), name


def test_the_agent_may_not_delete(stack: Synthesized) -> None:
    """The agent's policy has exactly what it performs; removing objects and items is not among it."""
    (policy,) = stack.properties("AWS::IAM::ManagedPolicy")
    granted = {action for s in policy["PolicyDocument"]["Statement"] for action in as_list(s["Action"])}
    assert granted == {
        "cloudwatch:DescribeAlarms",
        "cloudwatch:PutMetricData",
        "dynamodb:ConditionCheckItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Scan",
        "logs:FilterLogEvents",
        "s3:AbortMultipartUpload",
        "s3:GetBucketVersioning",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:PutObject",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "ssm:GetParameter",
        *(() if stack.site == "plain" else KEY_ACTIONS),
    }


def test_the_agent_writes_metrics_of_its_namespace_only(stack: Synthesized) -> None:
    """A metric has no ARN, so the namespace is the limit; no other statement has a resource that is all."""
    everything = [s for _, s in statements(stack) if "*" in as_list(s["Resource"])]
    (statement,) = everything
    assert as_list(statement["Action"]) == ["cloudwatch:PutMetricData"]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "siteferry"}}


def test_the_agent_reads_the_logs_of_the_four_handlers_only(stack: Synthesized) -> None:
    """Each log group by its ARN, which ends with `:*` (what Arn of AWS::Logs::LogGroup gives), and no other."""
    (statement,) = [s for _, s in statements(stack) if s.get("Sid") == "LastErrors"]
    assert as_list(statement["Action"]) == ["logs:FilterLogEvents"]
    names = {}
    for resource in statement["Resource"]:
        ((function, (logical_id, attribute)),) = resource.items()
        assert (function, attribute) == ("Fn::GetAtt", "Arn")
        names[logical_id] = stack.of_type("AWS::Logs::LogGroup")[logical_id]["Properties"]["LogGroupName"]
    assert sorted(names.values()) == [f"/siteferry/{stack.site}/{kind}" for kind in sorted(JOB_KINDS)]


def test_the_agent_takes_dead_letters_only(stack: Synthesized) -> None:
    """It sends to the job queues and never receives from them; what it takes and hides is in dead-letter queues."""
    _, dead = stack.queues()
    (policy,) = stack.properties("AWS::IAM::ManagedPolicy")
    taking = {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"}
    found = [s for s in policy["PolicyDocument"]["Statement"] if taking & set(as_list(s["Action"]))]
    assert {resource["Fn::GetAtt"][0] for s in found for resource in as_list(s["Resource"])} == set(dead)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("copy", {"s3", "sqs"}),
        ("delete", {"dynamodb", "s3", "sqs"}),
        ("page", {"dynamodb", "s3", "sqs"}),
        ("invalidate", {"cloudfront", "dynamodb", "sqs"}),
    ],
)
def test_a_handler_reaches_only_the_services_of_its_job(full: Synthesized, kind: str, expected: set[str]) -> None:
    """Handlers read the index and never write it; only the invalidate handler invalidates, and has an item."""
    granted = {
        action
        for policy in full.properties("AWS::IAM::Policy")
        if kind in policy["PolicyName"].lower()
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
    }
    granted -= set(KEY_ACTIONS) if "s3" in expected else set()
    assert {action.partition(":")[0] for action in granted} == {*expected, "logs"}
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
    assert granted & writes == ({"dynamodb:PutItem"} if kind == "invalidate" else set())


def test_the_invalidate_handler_reaches_two_items_only(stack: Synthesized) -> None:
    """It reads the tree's shape and its ledger and writes the ledger; each statement names one partition key."""
    found = {
        (action, *statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"])
        for name, statement in statements(stack)
        if "Invalidate" in name
        for action in as_list(statement["Action"])
        if action.startswith("dynamodb:")
    }
    assert found == {("dynamodb:GetItem", "shape"), ("dynamodb:GetItem", "broker"), ("dynamodb:PutItem", "broker")}


def test_a_key_is_used_through_s3_for_the_sites_objects_only(stacks: dict[str, Synthesized]) -> None:
    """Agent and the handlers of objects decrypt and encrypt with it; a site without a key has no such permission."""
    assert not [s for _, s in statements(stacks["plain"]) if "kms" in json.dumps(s)]
    for site, objects in (("full", "some/prefix/*"), ("found", "www/*")):
        granted = [(name, s) for name, s in statements(stacks[site]) if "kms" in json.dumps(s)]
        assert len(granted) == 4
        assert not [name for name, _ in granted if "Invalidate" in name]
        for _, statement in granted:
            assert as_list(statement["Action"]) == list(KEY_ACTIONS)
            assert statement["Resource"] == "arn:aws:kms:eu-central-1:123456789012:key/" + KEY_ID
            assert statement["Condition"].keys() == {"StringEquals", "StringLike"}
            via = statement["Condition"]["StringEquals"]["kms:ViaService"]
            assert stacks[site].resolve(via) == "s3.ap-southeast-1.amazonaws.com.cn"
            bucket, pattern = statement["Condition"]["StringLike"]["kms:EncryptionContext:aws:s3:arn"]
            assert "*" not in json.dumps(bucket)
            assert pattern["Fn::Join"][1][-1].endswith(f"/{objects}")


def test_every_role_is_under_the_boundary(stacks: dict[str, Synthesized]) -> None:
    """permissions_boundary_arn is on each role; without it on none."""
    for site, boundary in (("plain", None), ("full", BOUNDARY), ("found", BOUNDARY)):
        roles = stacks[site].properties("AWS::IAM::Role")
        assert len(roles) == 4
        assert {role.get("PermissionsBoundary") for role in roles} == {boundary}
