"""The bucket, as S3 has it."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from siteferry_lambdas.aws_failures import conditional_failure, failure, status
from siteferry_lambdas.errors import StoreError
from siteferry_lambdas.ports import CONTENT_HEADERS, Marker, Nothing, Object, ParallelMap, Seen

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MAX_COPY: Final = 5 * 1024**3
"""Bytes that one CopyObject takes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html."""

PART_SIZE: Final = 512 * 1024**2
"""Bytes of a part of a larger copy; more if the object would have over 10,000 parts, the most there may be.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

_MAX_PARTS: Final = 10_000
_NOT_FOUND: Final = 404


class S3Bucket:
    """The bucket in S3."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        parallel: ParallelMap,
        *,
        max_copy: int = MAX_COPY,
        part_size: int = PART_SIZE,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._parallel = parallel
        self._max_copy = max_copy
        self._part_size = part_size

    def head(self, key: str) -> Seen:
        """Look at the current version. A delete marker is told from nothing by the headers of the 404.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
        """
        try:
            response = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
            # A HEAD has no body to say which of the two is missing; a bucket that is gone fails the next request.
            if status(error) != _NOT_FOUND:
                raise failure(error, f"HEAD of key {key!r}") from error
            if headers.get("x-amz-delete-marker") == "true":
                return Marker(self._version(headers.get("x-amz-version-id"), key))
            return Nothing()
        except BotoCoreError as error:
            raise failure(error, f"HEAD of key {key!r}") from error
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        return Object(
            version_id=self._version(response.get("VersionId"), key),
            etag=response["ETag"],
            size=response["ContentLength"],
            headers={name: headers[name] for name in CONTENT_HEADERS if name in headers},
            metadata=dict(response["Metadata"]),
            crc64nvme=response.get("ChecksumCRC64NVME") if response.get("ChecksumType") != "COMPOSITE" else None,
        )

    def remove_version(self, key: str, version_id: str) -> None:
        """Remove one version for good."""
        try:
            self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version_id)
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"removing version {version_id} of key {key!r}") from error

    def put_markers(self, keys: Collection[str]) -> Mapping[str, StoreError]:
        """Put a delete marker over each key."""
        # XML, the request's body, has no way to say most control characters.
        together = [key for key in keys if key.isprintable()]
        alone = [key for key in keys if not key.isprintable()]
        failed = self._put_markers_together(together) if together else {}
        results = zip(alone, self._parallel(self._put_marker, alone), strict=True)
        return failed | {key: error for key, error in results if error}

    def put(
        self, key: str, body: bytes, *, headers: Mapping[str, str], metadata: Mapping[str, str], over: Seen
    ) -> None:
        """Write an object by compare-and-set: If-None-Match holds where nothing or a delete marker is current.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        condition = {"IfMatch": over.etag} if isinstance(over, Object) else {"IfNoneMatch": "*"}
        parameters: dict[str, Any] = {**_header_parameters(headers), **condition}
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata=dict(metadata), **parameters)
        except (ClientError, BotoCoreError) as error:
            raise conditional_failure(error, f"PUT of key {key!r}") from error

    def copy(self, source: str, seen: Object, destination: str) -> None:
        """Copy an object that is still what was seen."""
        what = f"copying key {source!r} to {destination!r}"
        try:
            if seen.size > self._max_copy:
                self._copy_in_parts(source, seen, destination)
                return
            self._client.copy_object(
                Bucket=self._bucket,
                Key=destination,
                CopySource={"Bucket": self._bucket, "Key": source},
                CopySourceIfMatch=seen.etag,
                MetadataDirective="COPY",
            )
        except (ClientError, BotoCoreError) as error:
            raise conditional_failure(error, what) from error

    def _put_marker(self, key: str) -> StoreError | None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            return failure(error, f"deleting key {key!r}")
        return None

    def _put_markers_together(self, keys: Sequence[str]) -> dict[str, StoreError]:
        try:
            response = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": False}
            )
        except (ClientError, BotoCoreError) as error:
            return dict.fromkeys(keys, failure(error, f"deleting {len(keys)} keys, {keys[0]!r} the first"))
        refused = {failed.get("Key"): failed for failed in response.get("Errors", [])}
        done = {deleted.get("Key") for deleted in response.get("Deleted", [])}
        return {
            key: StoreError(
                f"deleting key {key!r} failed: {reason.get('Code', 'S3 did not say what came of it')}"
                f" {reason.get('Message', '')}",
                retry_helps=reason.get("Code") not in ("AccessDenied", "MethodNotAllowed"),
            )
            for key in keys
            if (reason := refused.get(key, {})) or key not in done
        }

    def _copy_in_parts(self, source: str, seen: Object, destination: str) -> None:
        # A copy in parts takes over neither headers nor metadata by itself.
        checksum: dict[str, Any] = (
            {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"} if seen.crc64nvme else {}
        )
        upload = self._client.create_multipart_upload(
            Bucket=self._bucket,
            Key=destination,
            Metadata=dict(seen.metadata),
            **_header_parameters(seen.headers),
            **checksum,
        )["UploadId"]

        part_size = max(self._part_size, -(-seen.size // _MAX_PARTS))

        def copy_part(number: int) -> "CompletedPartTypeDef":
            first = (number - 1) * part_size
            last = min(first + part_size, seen.size) - 1
            part = self._client.upload_part_copy(
                Bucket=self._bucket,
                Key=destination,
                UploadId=upload,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": source},
                CopySourceIfMatch=seen.etag,
                CopySourceRange=f"bytes={first}-{last}",
            )["CopyPartResult"]
            completed: CompletedPartTypeDef = {"PartNumber": number, "ETag": part["ETag"]}
            if "ChecksumCRC64NVME" in part:
                completed["ChecksumCRC64NVME"] = part["ChecksumCRC64NVME"]
            return completed

        try:
            parts = self._parallel(copy_part, range(1, -(-seen.size // part_size) + 1))
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=destination, UploadId=upload, MultipartUpload={"Parts": list(parts)}
            )
        except BaseException:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=destination, UploadId=upload)
            raise

    def _version(self, version_id: str | None, key: str) -> str:
        if version_id is None:
            raise StoreError(
                f"bucket {self._bucket!r} gives no version of key {key!r}: versioning must be on, because without it"
                " a delete cannot be taken back",
                retry_helps=False,
            )
        return version_id


def _header_parameters(headers: Mapping[str, str]) -> dict[str, Any]:
    names = {name: "".join(part.title() for part in name.split("-")) for name in CONTENT_HEADERS}
    return {names[name]: value for name, value in headers.items()}
