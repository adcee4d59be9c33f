"""What holds for the bucket and the index of every site."""

import re

import pytest

from tests.docs.pages import PROJECT
from tests.infra.conftest import Synthesized, deny_without_tls


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::DynamoDB::Table"])
def test_what_holds_data_outlives_the_stack(made: Synthesized, kind: str) -> None:
    """Bucket and index are retained, and have no name that a new stack would collide with."""
    ((_, resource),) = made.of_type(kind).items()
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert not {"BucketName", "TableName"} & resource["Properties"].keys()


def test_the_bucket_is_private_versioned_and_tls_only(made: Synthesized) -> None:
    """Nobody reaches an object but through the distribution or by a policy."""
    (bucket,) = made.properties("AWS::S3::Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "BucketEncryption" in bucket
    (policy,) = made.properties("AWS::S3::BucketPolicy")
    assert deny_without_tls(policy["PolicyDocument"], "s3:*")


def test_old_versions_go_after_the_retention_and_torn_uploads_after_a_day(full: Synthesized) -> None:
    """retention_days is the life of noncurrent versions; current ones never expire."""
    (bucket,) = full.properties("AWS::S3::Bucket")
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert [r["NoncurrentVersionExpiration"] for r in rules if "NoncurrentVersionExpiration" in r] == [
        {"NoncurrentDays": 30}
    ]
    assert [r["AbortIncompleteMultipartUpload"] for r in rules if "AbortIncompleteMultipartUpload" in r] == [
        {"DaysAfterInitiation": 1}
    ]
    assert not any("ExpirationInDays" in rule or "ExpirationDate" in rule for rule in rules)


def test_the_index_is_keyed_billed_and_backed_up(made: Synthesized) -> None:
    """Pk and sk are strings; on demand; point-in-time recovery; protected against deletion."""
    (table,) = made.properties("AWS::DynamoDB::Table")
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert {a["AttributeType"] for a in table["AttributeDefinitions"]} == {"S"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["DeletionProtectionEnabled"] is True


def test_the_table_of_the_runbook_is_the_templates(made: Synthesized) -> None:
    """What docs/lost-index.md has an operator create in its place has the same keys, billing and protection."""
    text = (PROJECT / "docs" / "lost-index.md").read_text("utf-8")
    (create,) = re.findall(r"create-table((?:.*\\\n)*.*)", text)
    (table,) = made.properties("AWS::DynamoDB::Table")
    shorthand = [{name: value for name, _, value in (one.partition("=") for one in group.split(","))}
                 for group in re.findall(r"AttributeName=\S+", create)]  # fmt: skip
    assert [one for one in shorthand if "AttributeType" in one] == table["AttributeDefinitions"]
    assert [one for one in shorthand if "KeyType" in one] == table["KeySchema"]
    assert f"--billing-mode {table['BillingMode']}" in create
    assert table["DeletionProtectionEnabled"] == ("--deletion-protection-enabled" in text)
    recovery = table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert f"PointInTimeRecoveryEnabled={str(recovery).lower()}" in text
    known = {"KeySchema", "AttributeDefinitions", "BillingMode", "DeletionProtectionEnabled", "Tags"}
    assert table.keys() == known | {"PointInTimeRecoverySpecification"}
