"""The bucket with its versions, to be read only: obstore for what is in objects, boto3 for the rest."""

import re
import threading
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import NotFoundError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from siteferry.aws.objects import REFUSED_BY_OBSTORE, classify, classify_boto, head_object, list_objects, open_store
from siteferry.aws.session import Session, error_code, explained
from siteferry.errors import AccessError, OutcomeUnknownError, RefusedError, StoreError, ThrottledError
from siteferry.ports import Content, ListedObject, ObjectInfo, ObjectVersion
from siteferry_contract.descriptor import Descriptor

if TYPE_CHECKING:
    from obstore import GetOptions

PART_BYTES: Final = 8 * 1024 * 1024
"""A larger object is read in ranges of this size, each a request with a time-out of its own."""
RETRIES: Final = 3
ARCHIVED: Final = "it is in an archive class: restore the object from there first (docs/restore.md)"
_ARCHIVED: Final = "InvalidObjectState"
"""S3's code for it, with the status 403 of credentials that it refuses."""
_CODE: Final = re.compile(r"<Code>([A-Za-z]+)</Code>")
_NOT_PARTIAL: Final = "non-partial response"
"""How obstore says that a range was asked for, and the whole came."""

_POLICY: Final = (
    "they need s3:GetObject and, for what was there earlier, s3:GetObjectVersion, as the agent's policy gives them"
)
_VERSION_ID: Final = re.compile(rb"<VersionId>([^<]*)</VersionId>")
_ORDER: Final = "Order"


class S3Archive:
    """Implements `Archive`."""

    def __init__(self, session: Session, descriptor: Descriptor, workers: int, request_seconds: float) -> None:
        self._session, self._bucket, self._workers = session, descriptor.bucket, workers
        self._making = threading.Lock()
        self._made: Any = None
        self._store = open_store(session, descriptor, workers, request_seconds, RETRIES)

    @property
    def _client(self) -> Any:
        """boto3's, made when it is wanted, which takes a while: most restores from the index do without it."""
        with self._making:  # many threads may want it at once, and a session makes one at a time
            if self._made is None:
                self._made = self._session.client("s3", connections=self._workers)
                self._made.meta.events.register("before-parse.s3.ListObjectVersions", _keep_order)
            return self._made

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """List current objects."""
        return list_objects(self._client, self._bucket, prefix)

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """List versions and delete markers."""
        with explained(f"listing the versions of s3://{self._bucket}/{prefix}"):
            paginator = self._client.get_paginator("list_object_versions")
            for page in paginator.paginate(Bucket=self._bucket, Prefix=prefix):
                yield from _in_order(page)

    def head(self, key: str, version: str | None = None) -> ObjectInfo | None:
        """Look at an object."""
        return head_object(self._client, self._bucket, key, version)

    def get(self, key: str, size: int, version: str | None = None) -> Content:
        """Begin to read an object."""
        if REFUSED_BY_OBSTORE.search(key):
            return self._get_by_boto(key, version)
        options: GetOptions = {"version": version} if version else {}
        in_parts = size > PART_BYTES
        try:
            first = obstore.get(
                self._store, key, options={**options, "range": (0, PART_BYTES)} if in_parts else options
            )
            metadata = {name: str(value) for name, value in first.attributes.items()}
            whole, etag = first.meta["size"], first.meta["e_tag"]
        except Exception as error:
            if in_parts and _NOT_PARTIAL in str(error):
                return self._get_by_boto(key, version)  # the endpoint, which is not AWS, gives no parts of it
            raise _unread(error) from error

        def chunks() -> Iterator[memoryview]:
            try:
                yield memoryview(first.bytes())
                for start in range(PART_BYTES, whole, PART_BYTES) if in_parts else ():
                    span: GetOptions = {"range": (start, min(start + PART_BYTES, whole)), "if_match": etag}
                    yield memoryview(obstore.get(self._store, key, options={**options, **span}).bytes())
            except Exception as error:
                raise _unread(error) from error

        return Content(whole, metadata, chunks())

    def _get_by_boto(self, key: str, version: str | None) -> Content:
        where = {"VersionId": version} if version else {}
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key, **where)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error_code(error) == _ARCHIVED:
                raise RefusedError(ARCHIVED) from error
            if isinstance(error, ClientError) and error_code(error) in ("AccessDenied", "403"):
                raise AccessError("reading an object: AWS refuses these credentials", _POLICY) from error
            raise _without_effect(classify_boto(error)) from error

        def chunks() -> Iterator[bytes]:
            try:
                yield from found["Body"].iter_chunks(PART_BYTES)
            except (BotoCoreError, OSError) as error:
                raise ThrottledError(str(error)) from error

        return Content(found["ContentLength"], found["Metadata"], chunks())


def _unread(error: Exception) -> StoreError | AccessError:
    # The answer comes last in the text; before it is the key, which may look like one.
    if isinstance(error, PermissionDeniedError) and _CODE.findall(str(error))[-1:] == [_ARCHIVED]:
        return RefusedError(ARCHIVED)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return AccessError("reading an object: AWS refuses these credentials", _POLICY)
    if isinstance(error, (NotFoundError, PreconditionError)):
        return RefusedError("it is not there, or is another by now")
    return _without_effect(classify(error))


def _without_effect(error: StoreError) -> StoreError:
    """Reading has none: what may have worked may be tried again."""
    return ThrottledError(str(error)) if isinstance(error, OutcomeUnknownError) else error


def _keep_order(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Keep what boto3 loses by parsing versions and delete markers apart: which of them came first.

    Their times have whole seconds only, so that they alone do not tell.
    """
    found = _VERSION_ID.findall(response_dict["body"])
    customized_response_dict[_ORDER] = {version: place for place, version in enumerate(found)}


def _in_order(page: dict[str, Any]) -> Iterator[ObjectVersion]:
    """Give a page's versions and markers by key, and the newest first."""
    order = page.get(_ORDER, {})
    found = [(version, version["Size"]) for version in page.get("Versions", [])]
    found += [(marker, None) for marker in page.get("DeleteMarkers", [])]
    found.sort(key=lambda one: one[0]["Key"].encode())
    for _, group in groupby(found, key=lambda one: one[0]["Key"]):
        versions = list(group)
        versions.sort(key=lambda one: order.get(one[0]["VersionId"].encode(), 0))
        versions.sort(key=lambda one: one[0]["LastModified"], reverse=True)
        versions.sort(key=lambda one: not one[0]["IsLatest"])
        for version, size in versions:
            yield ObjectVersion(
                version["Key"],
                version["VersionId"],
                version["LastModified"],
                size,
                version.get("ETag", ""),
                version["IsLatest"],
            )
