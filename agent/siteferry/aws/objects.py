"""The bucket: obstore for uploads, boto3 for what obstore cannot do."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, cast

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store

from siteferry.aws.credentials import ObstoreCredentials
from siteferry.aws.session import Session, error_code, explain, explained
from siteferry.checksum import crc64nvme
from siteferry.errors import (
    AccessError,
    FileError,
    OutcomeUnknownError,
    RefusedError,
    SiteferryError,
    StoreError,
    ThrottledError,
)
from siteferry.ports import ListedObject, ObjectInfo
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.objects import format_crc64nvme, parse_crc64nvme

PART_BYTES: Final = 8 * 1024 * 1024
MAX_PARTS: Final = 9_000
"""Of the 10,000 that S3 takes."""
PARTS_AT_ONCE: Final = 2
PART_RETRIES: Final = 5
"""Parts may be tried again unseen: only the completion has an effect, and any error of it counts as unknown."""

_METADATA: Final = "x-amz-meta-"
_ATTRIBUTES: Final = {
    "content-type": "Content-Type",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
}
_PARAMETERS: Final = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
}
# obstore refuses control characters and components that are empty, "." or ".."; it strips slashes at either end.
REFUSED_BY_OBSTORE: Final = re.compile(r"[\x00-\x1f\x7f]|(^|/)(\.{0,2})(/|$)")
_LATER: Final = frozenset(
    "SlowDown RequestTimeout RequestTimeTooSkewed ExpiredToken TooManyRequests ServiceUnavailable Throttling".split()
)
"""S3's codes for a request that had no effect and may be made again."""
_URL: Final = re.compile(r"performing [A-Z]+ \S+ in ")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z]+)</Code>")


class S3Objects:
    """Implements `ObjectStore`."""

    def __init__(self, session: Session, descriptor: Descriptor, workers: int, request_seconds: float) -> None:
        self._bucket = descriptor.bucket
        self._client: Any = session.client("s3", connections=workers)
        # One try each: behind a hidden retry an error tells nothing of the tries before it, and what may have had its
        # effect would look refused. The publisher tries again, knowing what came of each.
        self._put_client: Any = session.client("s3", connections=workers, tries=1)
        self._store, self._part_store = (
            open_store(session, descriptor, workers, request_seconds, retries) for retries in (0, PART_RETRIES)
        )

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Write a small object."""
        if REFUSED_BY_OBSTORE.search(key):
            self._put_by_boto(key, body, headers)
            return
        try:
            obstore.put(self._store, key, body, attributes=cast("Any", _attributes(headers)), use_multipart=False)
        except Exception as error:
            raise classify(error) from error

    def put_chunks(self, key: str, chunks: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        """Write a large object in parts; it is completed only after `chunks` ended without an error."""
        if REFUSED_BY_OBSTORE.search(key):
            self._put_chunks_by_boto(key, chunks, size, headers)
            return
        watched = _Watched(chunks)
        try:
            obstore.put(
                self._part_store,
                key,
                iter(watched),
                attributes=cast("Any", _attributes(headers)),
                chunk_size=_part_bytes(size),
                max_concurrency=PARTS_AT_ONCE,
            )
        except Exception as error:
            if watched.error is not None:
                raise watched.error from error
            raise OutcomeUnknownError(_short(error)) from error

    def replace_headers(self, key: str, seen: ObjectInfo, headers: Mapping[str, str]) -> None:
        """Copy an object onto itself. More than 5 GB S3 does not copy in one request (API Reference, CopyObject)."""
        try:
            self._put_client.copy_object(
                Bucket=self._bucket,
                Key=key,
                CopySource={"Bucket": self._bucket, "Key": key},
                CopySourceIfMatch=seen.etag,
                MetadataDirective="REPLACE",
                ChecksumAlgorithm="CRC64NVME",
                **_parameters(headers),
            )
        except (ClientError, BotoCoreError) as error:
            raise classify_boto(error) from error

    def head(self, key: str) -> ObjectInfo | None:
        """Look at an object with its checksum."""
        return head_object(self._client, self._bucket, key)

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """List the bucket."""
        return list_objects(self._client, self._bucket, prefix)

    def _put_by_boto(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        checksum = format_crc64nvme(crc64nvme(body))
        try:
            self._put_client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ChecksumCRC64NVME=checksum, **_parameters(headers)
            )
        except (ClientError, BotoCoreError) as error:
            raise classify_boto(error) from error

    def _put_chunks_by_boto(self, key: str, chunks: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        where = {"Bucket": self._bucket, "Key": key}
        try:
            upload = self._client.create_multipart_upload(
                **where, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT", **_parameters(headers)
            )["UploadId"]
        except (ClientError, BotoCoreError) as error:
            raise _without_effect(error) from error
        parts = []
        try:
            for number, part in enumerate(_regroup(chunks, _part_bytes(size)), 1):
                checksum = format_crc64nvme(crc64nvme(part))
                done = self._client.upload_part(
                    **where, UploadId=upload, PartNumber=number, Body=part, ChecksumCRC64NVME=checksum
                )
                parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumCRC64NVME": checksum})
        except BaseException as error:
            self._abort(key, upload)
            if isinstance(error, (ClientError, BotoCoreError)):
                raise _without_effect(error) from error
            raise
        try:
            self._put_client.complete_multipart_upload(
                **where,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                ChecksumType="FULL_OBJECT",
            )
        except (ClientError, BotoCoreError) as error:
            raise classify_boto(error) from error

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
        except (ClientError, BotoCoreError):
            return  # the bucket's lifecycle rule ends it after a day


def open_store(session: Session, descriptor: Descriptor, workers: int, request_seconds: float, retries: int) -> S3Store:
    """Open the bucket by obstore; a request takes at most so many seconds, its retries included."""
    options: dict[str, Any] = {
        "timeout": timedelta(seconds=request_seconds / 2),
        "connect_timeout": timedelta(seconds=request_seconds / 4),
        "pool_max_idle_per_host": str(workers),
    }
    if (session.config.endpoint_url or "").startswith("http://"):
        options["allow_http"] = True  # an endpoint of the operator's own, asked for by name
    certificate = session.root_certificate()
    if certificate:
        options["root_certificate"] = certificate
    config: dict[str, Any] = {"region": descriptor.region, "checksum_algorithm": "CRC64NVME"}
    if session.config.endpoint_url:
        config["endpoint"] = session.config.endpoint_url
    try:
        return S3Store(
            descriptor.bucket,
            client_options=cast("Any", options),
            # No try begins after retry_timeout, and each ends within timeout: together, request_seconds.
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=request_seconds / 2)},
            credential_provider=cast("Any", ObstoreCredentials(session.credentials())),
            **config,
        )
    except ValueError as error:
        raise AccessError(f"AWS credentials: {error}") from error


def head_object(client: Any, bucket: str, key: str, version: str | None = None) -> ObjectInfo | None:
    """Look at an object, or one of its versions, with its checksum; None if there is none."""
    where = {"VersionId": version} if version else {}
    with explained(f"looking at s3://{bucket}/{key!r}"):
        try:
            found = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **where)
        except ClientError as error:
            if error_code(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
    crc = None
    if "ChecksumCRC64NVME" in found and found.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        try:
            crc = parse_crc64nvme(found["ChecksumCRC64NVME"])
        except ContractError:
            crc = None
    headers = {name: found[parameter] for name, parameter in _PARAMETERS.items() if parameter in found}
    return ObjectInfo(found["ContentLength"], crc, found.get("Metadata", {}), headers, found["ETag"])


def list_objects(client: Any, bucket: str, prefix: str) -> Iterator[ListedObject]:
    """List current objects."""
    with explained(f"listing s3://{bucket}/{prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield ListedObject(found["Key"], found["Size"], found["LastModified"], found.get("ETag", ""))


class _Watched:
    """An iterator that remembers its error, since obstore wraps it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.error: FileError | SiteferryError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except (FileError, SiteferryError) as error:
            self.error = error
            raise


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    return {_ATTRIBUTES.get(name, name.removeprefix(_METADATA)): value for name, value in headers.items()}


def _parameters(headers: Mapping[str, str]) -> dict[str, Any]:
    metadata = {name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)}
    named = {_PARAMETERS[name]: value for name, value in headers.items() if name in _PARAMETERS}
    return {**named, "Metadata": metadata}


def _part_bytes(size: int) -> int:
    return max(PART_BYTES, -(-size // MAX_PARTS))


def _regroup(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    waiting = b""
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if waiting:
        yield waiting


def classify(error: Exception) -> StoreError:
    """Say what an error of obstore tells of the request's effect.

    S3's answer is only in its text, which also has the URL: a file's name must not be taken for an answer.
    """
    text = _short(error)
    answer = _URL.sub("", text, count=1)
    status, code = _STATUS.search(answer), _CODE.search(answer)
    if isinstance(error, ValueError):
        return RefusedError(text)
    if (code and code[1] in _LATER) or (status and status[1] in ("429", "503")):
        return ThrottledError(text)
    if status and status[1].startswith("4"):
        return RefusedError(text)
    return OutcomeUnknownError(text)


def classify_boto(error: Exception) -> StoreError:
    """Say what an error of boto3 tells of the request's effect."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error_code(error) in _LATER:
            return ThrottledError(str(error))
        if 400 <= status < 500:  # noqa: PLR2004
            return RefusedError(str(error))
        return OutcomeUnknownError(str(error))
    explained_error = explain(error, "putting an object")
    if isinstance(explained_error, AccessError):
        return RefusedError(str(explained_error))
    return OutcomeUnknownError(str(error))


def _without_effect(error: Exception) -> StoreError:
    """Say what an error before the completion tells: nothing is readable yet, whatever it was."""
    found = classify_boto(error)
    return ThrottledError(str(found)) if isinstance(found, OutcomeUnknownError) else found


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
