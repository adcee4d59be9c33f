"""The ports over boto3: what is sent, and what a refusal means."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from siteferry_contract.index import LEDGER_KEY, SHAPE_KEY, leaf_to_item
from siteferry_contract.shape import Shape, shape_to_item
from siteferry_lambdas.aws import CloudFrontCdn, DynamoBroker, DynamoIndex, SqsQueues
from siteferry_lambdas.aws_s3 import S3Bucket
from siteferry_lambdas.errors import BusyError, ChangedError, RefusedPathsError, StoreError
from siteferry_lambdas.ledger import Ledger, ledger_to_item
from siteferry_lambdas.ports import Marker, Nothing, Object
from tests.unit.lambdas.fakes import memory_site, one_by_one


def _client(service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )


@pytest.fixture
def s3() -> Iterator[tuple[S3Bucket, Stubber]]:
    """Give a bucket whose requests are checked; objects over 10 bytes are copied in parts of 4."""
    client = _client("s3")
    with Stubber(client) as stubber:
        yield S3Bucket(client, "b", one_by_one, max_copy=10, part_size=4), stubber
        stubber.assert_no_pending_responses()


def _refuse(stubber: Stubber, operation: str, status: int, code: str, headers: dict[str, str] | None = None) -> None:
    stubber.add_client_error(operation, code, http_status_code=status, response_meta={"HTTPHeaders": headers or {}})


def _object(size: int = 1) -> Object:
    return Object("v", '"e"', size, {"content-type": "text/plain", "cache-control": "no-store"}, {"mtime": "1"}, "crc")


def test_head_tells_an_object(s3: tuple[S3Bucket, Stubber]) -> None:
    """With its version, metadata, checksum and content headers."""
    bucket, stubber = s3
    response = {
        "VersionId": "v",
        "ETag": '"e"',
        "ContentLength": 3,
        "Metadata": {"siteferry-generated": "directory-page"},
        "ChecksumCRC64NVME": "crc",
        "ChecksumType": "FULL_OBJECT",
        "ResponseMetadata": {"HTTPHeaders": {"content-type": "text/html", "x-other": "1"}},
    }
    stubber.add_response("head_object", response, {"Bucket": "b", "Key": "k", "ChecksumMode": "ENABLED"})
    seen = bucket.head("k")
    assert seen == Object(
        "v", '"e"', 3, {"content-type": "text/html"}, {"siteferry-generated": "directory-page"}, "crc"
    )
    assert isinstance(seen, Object)
    assert seen.generated


def test_head_tells_a_marker_from_nothing(s3: tuple[S3Bucket, Stubber]) -> None:
    """By the headers of the 404."""
    bucket, stubber = s3
    _refuse(stubber, "head_object", 404, "404", {"x-amz-delete-marker": "true", "x-amz-version-id": "v9"})
    _refuse(stubber, "head_object", 404, "404")
    assert bucket.head("k") == Marker("v9")
    assert bucket.head("k") == Nothing()


@pytest.mark.parametrize(("status", "helps"), [(403, False), (400, False), (503, True), (429, True)])
def test_any_other_refusal_of_a_head_is_an_error(s3: tuple[S3Bucket, Stubber], status: int, *, helps: bool) -> None:
    """Never absence; and it says whether a retry can help."""
    bucket, stubber = s3
    _refuse(stubber, "head_object", status, str(status))
    with pytest.raises(StoreError, match=rf"HEAD of key 'k\\n' failed.*{status}") as caught:
        bucket.head("k\n")
    assert caught.value.retry_helps is helps


def test_a_bucket_without_versions_is_refused(s3: tuple[S3Bucket, Stubber]) -> None:
    """A delete there could not be taken back."""
    bucket, stubber = s3
    stubber.add_response(
        "head_object", {"ETag": '"e"', "ContentLength": 3, "Metadata": {}, "ResponseMetadata": {"HTTPHeaders": {}}}
    )
    with pytest.raises(StoreError, match="versioning must be on"):
        bucket.head("k")


def test_markers_are_put_together_and_failures_are_not_lost(s3: tuple[S3Bucket, Stubber]) -> None:
    """A key that failed, and one that S3 says nothing about, are both given back."""
    bucket, stubber = s3
    stubber.add_response(
        "delete_objects",
        {"Deleted": [{"Key": "a"}], "Errors": [{"Key": "b", "Code": "AccessDenied", "Message": "no"}]},
        {"Bucket": "b", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "c"}], "Quiet": False}},
    )
    failed = bucket.put_markers(["a", "b", "c"])
    assert {key: error.retry_helps for key, error in failed.items()} == {"b": False, "c": True}


def test_keys_that_xml_cannot_say_are_deleted_alone(s3: tuple[S3Bucket, Stubber]) -> None:
    """A control character never spoils the request for the other keys."""
    bucket, stubber = s3
    stubber.add_response("delete_objects", {"Deleted": [{"Key": "a"}]}, {"Bucket": "b", "Delete": ANY})
    stubber.add_response("delete_object", {}, {"Bucket": "b", "Key": "x\x01y"})
    _refuse(stubber, "delete_object", 500, "InternalError")
    assert list(bucket.put_markers(["a", "x\x01y", "x\ny"])) == ["x\ny"]


@pytest.mark.parametrize(
    ("over", "condition"),
    [(Nothing(), {"IfNoneMatch": "*"}), (Marker("v"), {"IfNoneMatch": "*"}), (_object(), {"IfMatch": '"e"'})],
)
def test_a_put_is_conditional(
    s3: tuple[S3Bucket, Stubber], over: Nothing | Marker | Object, condition: dict[str, str]
) -> None:
    """Nothing is ever written over what was not looked at."""
    bucket, stubber = s3
    expected = {
        "Bucket": "b",
        "Key": "k",
        "Body": b"x",
        "Metadata": {"m": "1"},
        "ContentType": "text/html",
        **condition,
    }
    stubber.add_response("put_object", {}, expected | condition)
    bucket.put("k", b"x", headers={"content-type": "text/html"}, metadata={"m": "1"}, over=over)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (412, "PreconditionFailed", ChangedError),
        (409, "ConditionalRequestConflict", ChangedError),
        (404, "NoSuchKey", ChangedError),
        (404, "NoSuchBucket", StoreError),
        (403, "AccessDenied", StoreError),
    ],
)
def test_a_condition_that_does_not_hold_is_no_failure(
    s3: tuple[S3Bucket, Stubber], status: int, code: str, error: type[Exception]
) -> None:
    """It is told from refusals, for puts and copies alike."""
    bucket, stubber = s3
    _refuse(stubber, "put_object", status, code)
    _refuse(stubber, "copy_object", status, code)
    with pytest.raises(error):
        bucket.put("k", b"x", headers={}, metadata={}, over=_object())
    with pytest.raises(error):
        bucket.copy("k", _object(), "d")


def test_a_copy_takes_only_what_was_seen(s3: tuple[S3Bucket, Stubber]) -> None:
    """By the ETag of the source."""
    bucket, stubber = s3
    expected = {
        "Bucket": "b",
        "Key": "d",
        "CopySource": {"Bucket": "b", "Key": "s"},
        "CopySourceIfMatch": '"e"',
        "MetadataDirective": "COPY",
    }
    stubber.add_response("copy_object", {}, expected)
    bucket.copy("s", _object(10), "d")


def _expect_upload(stubber: Stubber) -> None:
    expected = {
        "Bucket": "b",
        "Key": "d",
        "Metadata": {"mtime": "1"},
        "ContentType": "text/plain",
        "CacheControl": "no-store",
        "ChecksumAlgorithm": "CRC64NVME",
        "ChecksumType": "FULL_OBJECT",
    }
    stubber.add_response("create_multipart_upload", {"UploadId": "u"}, expected)


def test_a_large_object_is_copied_in_parts_with_headers_and_metadata(s3: tuple[S3Bucket, Stubber]) -> None:
    """Every part on the condition that the source is still what was seen; the ranges cover it exactly."""
    bucket, stubber = s3
    _expect_upload(stubber)
    for number, span in enumerate(("0-3", "4-7", "8-10"), 1):
        expected = {
            "Bucket": "b",
            "Key": "d",
            "UploadId": "u",
            "PartNumber": number,
            "CopySource": {"Bucket": "b", "Key": "s"},
            "CopySourceIfMatch": '"e"',
            "CopySourceRange": f"bytes={span}",
        }
        stubber.add_response("upload_part_copy", {"CopyPartResult": {"ETag": f'"{number}"'}}, expected)
    parts = [{"PartNumber": number, "ETag": f'"{number}"'} for number in (1, 2, 3)]
    stubber.add_response(
        "complete_multipart_upload",
        {},
        {"Bucket": "b", "Key": "d", "UploadId": "u", "MultipartUpload": {"Parts": parts}},
    )
    bucket.copy("s", _object(11), "d")


def test_a_copy_in_parts_whose_source_changes_is_aborted(s3: tuple[S3Bucket, Stubber]) -> None:
    """No upload is left behind, and the caller looks again."""
    bucket, stubber = s3
    _expect_upload(stubber)
    _refuse(stubber, "upload_part_copy", 412, "PreconditionFailed")
    stubber.add_response("abort_multipart_upload", {}, {"Bucket": "b", "Key": "d", "UploadId": "u"})
    with pytest.raises(ChangedError):
        bucket.copy("s", _object(11), "d")


def test_a_version_is_removed_by_id(s3: tuple[S3Bucket, Stubber]) -> None:
    """Never without one: that would put a marker."""
    bucket, stubber = s3
    stubber.add_response("delete_object", {}, {"Bucket": "b", "Key": "k", "VersionId": "v"})
    bucket.remove_version("k", "v")


def test_the_index_is_read_consistently() -> None:
    """One leaf by the greatest bound that is not above the name, or all of a directory page by page."""
    memory = memory_site()
    memory.index.has("docs", "a")
    (leaf,) = memory.index.leaves
    item = leaf_to_item(leaf)
    client = _client("dynamodb")
    with Stubber(client) as stubber:
        expected = {
            "TableName": "t",
            "KeyConditionExpression": "pk = :pk AND sk <= :sk",
            "ExpressionAttributeValues": {":pk": {"S": "/docs"}, ":sk": {"S": "/a"}},
            "ScanIndexForward": False,
            "Limit": 1,
            "ConsistentRead": True,
        }
        stubber.add_response("query", {"Items": [item]}, expected)
        stubber.add_response("query", {"Items": []}, expected)
        index = DynamoIndex(client, "t")
        assert index.leaf_for("docs", "a") == leaf
        assert index.leaf_for("docs", "a") is None
        whole = {
            "TableName": "t",
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": "/docs"}},
            "ConsistentRead": True,
        }
        last = {"pk": {"S": "/docs"}, "sk": {"S": "/"}}
        stubber.add_response("query", {"Items": [item], "LastEvaluatedKey": last}, whole)
        stubber.add_response("query", {"Items": [item]}, {**whole, "ExclusiveStartKey": last})
        assert list(index.directory("docs")) == [leaf, leaf]
        stubber.add_client_error("query", "ProvisionedThroughputExceededException", http_status_code=400)
        with pytest.raises(StoreError) as caught:
            index.leaf_for("docs", "a")
        assert caught.value.retry_helps


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("TooManyInvalidationsInProgress", BusyError),
        ("InvalidArgument", RefusedPathsError),
        ("NoSuchDistribution", StoreError),
    ],
)
def test_refusals_of_an_invalidation_are_told_apart(code: str, error: type[StoreError]) -> None:
    """Waiting, other paths, or an operator: each needs something else."""
    client = _client("cloudfront")
    with Stubber(client) as stubber:
        stubber.add_client_error("create_invalidation", code, http_status_code=400)
        with pytest.raises(StoreError) as caught:
            CloudFrontCdn(client, "E1").invalidate(["/a"], "r")
    assert type(caught.value) is error


def test_jobs_go_to_the_queue_of_their_kind() -> None:
    """And a message that failed gets another visibility."""
    client = _client("sqs")
    queues = SqsQueues(client, memory_site().site.descriptor.queues)
    with Stubber(client) as stubber:
        expected = {"QueueUrl": "https://sqs.test/page", "MessageBody": "x", "DelaySeconds": 60}
        stubber.add_response("send_message", {}, expected)
        queues.send_body("page", "x", delay=60)
        expected = {"QueueUrl": "https://sqs.test/copy", "ReceiptHandle": "h", "VisibilityTimeout": 15}
        stubber.add_response("change_message_visibility", {}, expected)
        queues.retry_in("copy", "h", delay=15)


def test_the_latest_completed_invalidations_are_listed() -> None:
    """By the ids that their creations gave."""
    client = _client("cloudfront")
    cdn = CloudFrontCdn(client, "E1")
    batch = {"Paths": {"Quantity": 1, "Items": ["/a"]}, "CallerReference": "r"}
    with Stubber(client) as stubber:
        response: dict[str, Any] = {
            "Location": "x",
            "Invalidation": {"Id": "I1", "Status": "InProgress", "CreateTime": 0, "InvalidationBatch": batch},
        }
        stubber.add_response("create_invalidation", response, {"DistributionId": "E1", "InvalidationBatch": batch})
        assert cdn.invalidate(["/a"], "r") == "I1"
        items = [{"Id": f"I{n}", "CreateTime": 0, "Status": s} for n, s in enumerate(["Completed", "InProgress"])]
        listed = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 2, "Items": items}
        stubber.add_response(
            "list_invalidations", {"InvalidationList": listed}, {"DistributionId": "E1", "MaxItems": "100"}
        )
        assert cdn.completed() == {"I0"}
        empty = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 0}
        stubber.add_response("list_invalidations", {"InvalidationList": empty})
        assert cdn.completed() == set()


def test_the_ledger_is_put_where_nobody_else_has_put_it() -> None:
    """The first time there must be none, later that with the beat that was read."""
    client = _client("dynamodb")
    broker = DynamoBroker(client, "t")
    first = Ledger().reserve("a", 1, 0, 1, 0.0)
    second = first.created("a", "I1")
    with Stubber(client) as stubber:
        stubber.add_response("get_item", {}, {"TableName": "t", "Key": LEDGER_KEY, "ConsistentRead": True})
        assert broker.ledger() == Ledger()
        new = {"TableName": "t", "Item": ledger_to_item(first), "ConditionExpression": "attribute_not_exists(pk)"}
        stubber.add_response("put_item", {}, new)
        assert broker.replace(Ledger(), first)
        condition = {"ConditionExpression": "beat = :beat", "ExpressionAttributeValues": {":beat": {"N": "1"}}}
        stubber.add_response("put_item", {}, {"TableName": "t", "Item": ledger_to_item(second), **condition})
        assert broker.replace(first, second)
        stubber.add_client_error("put_item", "ConditionalCheckFailedException", http_status_code=400)
        assert not broker.replace(first, second)
        stubber.add_client_error("put_item", "AccessDeniedException", http_status_code=400)
        with pytest.raises(StoreError, match="in progress failed"):
            broker.replace(first, second)


def test_a_shape_is_read_once_in_some_minutes() -> None:
    """Not for each window of changes."""
    client = _client("dynamodb")
    broker, shape = DynamoBroker(client, "t"), Shape({"": 7})
    with Stubber(client) as stubber:
        expected = {"TableName": "t", "Key": SHAPE_KEY, "ConsistentRead": True}
        stubber.add_response("get_item", {"Item": shape_to_item(shape)}, expected)
        assert broker.shape() == broker.shape() == shape
        stubber.assert_no_pending_responses()
