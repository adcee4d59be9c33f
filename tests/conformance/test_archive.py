"""The bucket with its versions, as restore, history and undo read it: what the one in memory claims, S3 keeps."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from siteferry.aws.archive import PART_BYTES, S3Archive
from siteferry.aws.objects import S3Objects
from siteferry.errors import RefusedError
from siteferry.ports import Archive, ObjectVersion
from tests.conformance.real import ROOT, Account, chosen
from tests.unit.agent.archive import MemoryArchive
from tests.unit.agent.fakes import Faults, ManualClock, MemoryObjects

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shelf:
    """An archive, and who fills it."""

    prefix: str
    archive: Archive
    put: Callable[[str, bytes, Headers], None]
    delete: Callable[[str], Any]

    def versions(self, prefix: str) -> list[ObjectVersion]:
        """List versions beneath a prefix of the test's own."""
        return list(self.archive.versions(self.prefix + prefix))


@pytest.fixture
def shelf(where: str, request: pytest.FixtureRequest) -> Shelf:
    """Give an archive with nothing beneath a prefix of the test's own."""
    found = in_memory() if where == "memory" else on(request.getfixturevalue(where))
    return replace(found, prefix=f"{found.prefix}{uuid.uuid4().hex[:12]}/")


def in_memory() -> Shelf:
    """Make the one of the agent's tests, whose clock stands still: all that happens is within one second."""
    faults = Faults()
    objects = MemoryObjects(faults, ManualClock(1_790_000_000.25))
    return Shelf("", MemoryArchive(objects, faults), objects.put, objects.current.pop)


def on(account: Account) -> Shelf:
    """Give the bucket of a deployed site."""
    with chosen(account.environment):
        archive = S3Archive(account.session, account.descriptor, 4, 30.0)
        archive.head(f"{ROOT}none")  # makes its client now, as the environment is the account's
        objects = S3Objects(account.session, account.descriptor, 4, 30.0)
    client, bucket = account.client("s3"), account.descriptor.bucket
    return Shelf(ROOT, archive, objects.put, lambda key: client.delete_object(Bucket=bucket, Key=key))


def test_versions_come_newest_first(shelf: Shelf) -> None:
    """Also those of one second, and delete markers among them; the first is the latest."""
    key = f"{shelf.prefix}a"
    for size in (1, 2, None, 4, 5, None, 7):
        if size is None:
            shelf.delete(key)
        else:
            shelf.put(key, bytes(size), {})
    found = shelf.versions("a")
    assert [version.size for version in found] == [7, None, 5, 4, None, 2, 1]
    assert [version.latest for version in found] == [True] + [False] * 6
    assert [version.modified for version in found] == sorted((version.modified for version in found), reverse=True)
    assert len({version.version for version in found}) == len(found)


def test_keys_come_by_their_bytes(shelf: Shelf) -> None:
    """Those that begin with the prefix alone; all versions of one before those of the next."""
    names = ["a", "a b", "a/b", "aé", "b", "ab"]
    for name in names * 2:
        shelf.put(shelf.prefix + name, b"x", {})
    beneath = sorted((shelf.prefix + name for name in names if name.startswith("a")), key=str.encode)
    assert [version.key for version in shelf.versions("a")] == [key for key in beneath for _ in range(2)]
    assert [found.key for found in shelf.archive.list(f"{shelf.prefix}a")] == beneath


def test_what_is_deleted_is_listed_by_its_versions_only(shelf: Shelf) -> None:
    """Its last version is a marker, and the key has nothing now."""
    key = f"{shelf.prefix}a"
    shelf.put(key, b"body", {})
    shelf.delete(key)
    assert list(shelf.archive.list(shelf.prefix)) == []
    assert shelf.archive.head(key) is None
    with pytest.raises(RefusedError):
        b"".join(shelf.archive.get(key, 4).chunks)
    marker, version = shelf.versions("a")
    assert (marker.size, version.size) == (None, 4)
    assert b"".join(shelf.archive.get(key, 4, version.version).chunks) == b"body"


def test_an_earlier_version_is_read_as_it_was(shelf: Shelf) -> None:
    """Bytes, size, checksum and metadata of that version, whatever came later."""
    key = f"{shelf.prefix}a.html"
    for body, mtime in ((b"first", "1.5"), (b"", "2.5"), (b"the third", "3.5")):
        shelf.put(key, body, {"x-amz-meta-mtime": mtime})
    for version, body, mtime in zip(
        shelf.versions("a"), (b"the third", b"", b"first"), ("3.5", "2.5", "1.5"), strict=True
    ):
        content = shelf.archive.get(key, len(body), version.version)
        assert (content.size, content.metadata["mtime"]) == (len(body), mtime)
        assert b"".join(content.chunks) == body
        info = shelf.archive.head(key, version.version)
        assert info
        assert (info.size, info.metadata["mtime"], info.etag) == (len(body), mtime, version.etag)


def test_equal_bytes_have_equal_etags_in_every_listing(shelf: Shelf) -> None:
    """By it an undo knows that a version has the bytes of the current one; other bytes have another."""
    key = f"{shelf.prefix}a"
    for body in (b"same", b"other", b"same"):
        shelf.put(key, body, {})
    (listed,) = shelf.archive.list(key)
    last, between, first = shelf.versions("a")
    assert listed.etag == last.etag == first.etag != between.etag


def test_a_large_object_comes_whole(shelf: Shelf) -> None:
    """In ranges, each a request, where it is larger than one."""
    key, body = f"{shelf.prefix}large.bin", bytes(range(256)) * (PART_BYTES // 256) + b"more"
    shelf.put(key, body, {})
    content = shelf.archive.get(key, len(body))
    assert content.size == len(body)
    assert b"".join(content.chunks) == body


@pytest.mark.parametrize("name", ["none", "none/", "a\tb", "ä", "a+b c", "a%2Fb", "..", "a//b"])
def test_a_key_that_is_not_there(shelf: Shelf, name: str) -> None:
    """Whatever it is called, it is said in the same way."""
    assert shelf.archive.head(shelf.prefix + name) is None
    with pytest.raises(RefusedError):
        b"".join(shelf.archive.get(shelf.prefix + name, 1).chunks)


def test_an_archived_object_says_so(account: Account) -> None:
    """It is refused alone, and not as credentials are, which would end a restore."""
    shelf, key = on(account), f"{ROOT}{uuid.uuid4().hex}/archived"
    account.client("s3").put_object(Bucket=account.descriptor.bucket, Key=key, Body=b"1", StorageClass="GLACIER")
    with pytest.raises(RefusedError, match="archive class"):
        shelf.archive.get(key, 1)
