"""What survives a PUT and a copy: bytes, headers, metadata, checksum and the key itself."""

import unicodedata
from collections.abc import Iterator

import pytest

from siteferry.checksum import crc64nvme
from siteferry.errors import FileChangedError, RefusedError
from siteferry_contract.objects import format_crc64nvme
from siteferry_lambdas.errors import ChangedError
from siteferry_lambdas.ports import Marker, Nothing, Object
from tests.conformance.cloud import Cloud

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "max-age=60, must-revalidate",
    "content-language": "de",
    "content-disposition": 'attachment; filename="a.html"',
    "content-encoding": "gzip",
}
NOT_ENCODED = {name: value for name, value in HEADERS.items() if name != "content-encoding"}
METADATA = {"mtime": "1700000000.123456789", "siteferry-upload": "t0ken", "siteferry-path": "4vbp++//Y2Fm6Q=="}
ODD_NAMES = (
    "a b",
    "a+b",
    "100%",
    "%2F",
    "a%20b",
    "#1",
    "what?",
    "you&me",
    "a=b;c,d:e@f$g!h*i(j)'k\"l",
    "<tag>",
    "back\\slash",
    "~tilde",
    "{brace}|^`",
    "new\nline",
    "carriage\rreturn",
    "tab\there",
    "\x01control",
    "delete\x7f",
    "latin\x85one",
    "\N{PARTY POPPER}",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "\N{FULLWIDTH TILDE}",
    " leading and trailing ",
    ".hidden",
    "...",
)


def seen_object(cloud: Cloud, key: str) -> Object:
    """Look at a key that has an object."""
    seen = cloud.bucket.head(key)
    assert isinstance(seen, Object)
    return seen


def put(cloud: Cloud, key: str, body: bytes) -> Object:
    """Put an object with headers and metadata as the agent does, and look at it as a handler does."""
    cloud.objects.put(key, body, HEADERS | {f"x-amz-meta-{name}": value for name, value in METADATA.items()})
    return seen_object(cloud, key)


@pytest.mark.parametrize("body", [b"", b"\0<p>\xff"])
def test_what_is_put_is_seen(cloud: Cloud, body: bytes) -> None:
    """Both halves see size, headers, metadata and checksum as they were put."""
    key = f"{cloud.prefix}a.html"
    seen = put(cloud, key, body)
    assert (seen.size, dict(seen.headers), dict(seen.metadata)) == (len(body), HEADERS, METADATA)
    assert seen.crc64nvme == format_crc64nvme(crc64nvme(body))
    assert not seen.generated
    found = cloud.objects.head(key)
    assert found
    assert (found.size, found.crc64nvme) == (len(body), crc64nvme(body))
    assert (dict(found.headers), dict(found.metadata)) == (HEADERS, METADATA)


def test_equal_bytes_have_equal_etags(cloud: Cloud) -> None:
    """The ETag tells other bytes, and has its quotes."""
    key = f"{cloud.prefix}a"
    one, other = put(cloud, key, b"1"), put(cloud, key, b"2")
    assert one.etag != other.etag
    assert put(cloud, key, b"1").etag == one.etag
    assert one.etag.startswith('"')


def test_a_page_has_no_checksum_of_the_agents_kind(cloud: Cloud) -> None:
    """What a handler puts has no CRC-64/NVME: nothing may count on it for a generated object."""
    key = f"{cloud.prefix}index.html"
    cloud.bucket.put(key, b"<p>", headers={}, metadata={}, over=Nothing())
    assert seen_object(cloud, key).crc64nvme is None
    found = cloud.objects.head(key)
    assert found
    assert found.crc64nvme is None


@pytest.mark.parametrize("name", ["large", "large\nname"])
def test_a_large_object(cloud: Cloud, name: str) -> None:
    """An object that is put in parts keeps size, headers and metadata, and shows no wrong checksum."""
    key, body = f"{cloud.prefix}{name}", bytes(range(256)) * (36 * 1024)
    headers = HEADERS | {f"x-amz-meta-{name}": value for name, value in METADATA.items()}
    cloud.objects.put_chunks(
        key, (body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000)), 9 << 20, headers
    )
    seen, found = seen_object(cloud, key), cloud.objects.head(key)
    assert found
    assert (seen.size, dict(seen.headers), dict(seen.metadata)) == (9 << 20, HEADERS, METADATA)
    assert (found.size, dict(found.metadata)) == (9 << 20, METADATA)
    assert found.crc64nvme in (None, crc64nvme(body))
    assert seen.crc64nvme in (None, format_crc64nvme(crc64nvme(body)))


def test_a_large_objects_checksum(cloud: Cloud) -> None:
    """S3 has the CRC-64/NVME of a whole object that was put in parts."""
    key, body = f"{cloud.prefix}large", b"x" * (9 << 20)
    cloud.objects.put_chunks(key, iter([body]), len(body), {})
    found = cloud.objects.head(key)
    assert found
    assert found.crc64nvme == crc64nvme(body)


@pytest.mark.parametrize("name", ["large", "large\nname"])
def test_a_file_that_changes_while_it_is_read(cloud: Cloud, name: str) -> None:
    """An error of the chunks passes through, and what was current stays."""
    key = f"{cloud.prefix}{name}"
    before = put(cloud, key, b"whole")

    def chunks() -> Iterator[bytes]:
        yield b"x" * (8 << 20)
        yield b"y"
        raise FileChangedError

    with pytest.raises(FileChangedError):
        cloud.objects.put_chunks(key, chunks(), 9 << 20, {})
    assert cloud.bucket.head(key) == before


def test_a_copy_has_all_that_its_source_has(cloud: Cloud) -> None:
    """Bytes, headers, metadata and checksum are those of the source."""
    source, destination = f"{cloud.prefix}docs/a", f"{cloud.prefix}mirror/a"
    seen = put(cloud, source, b"<p>")
    cloud.bucket.copy(source, seen, destination)
    copied = seen_object(cloud, destination)
    assert (copied.etag, copied.size, copied.crc64nvme) == (seen.etag, seen.size, seen.crc64nvme)
    assert (copied.headers, copied.metadata) == (seen.headers, seen.metadata)
    assert cloud.bucket.head(source) == seen


def copy_of_large(cloud: Cloud) -> Object:
    """Put an object of 9 MiB of `x` in parts, copy it, and look at the copy."""
    source, destination = f"{cloud.prefix}large", f"{cloud.prefix}copy"
    headers = HEADERS | {f"x-amz-meta-{name}": value for name, value in METADATA.items()}
    cloud.objects.put_chunks(source, iter([b"x" * (9 << 20)]), 9 << 20, headers)
    cloud.bucket.copy(source, seen_object(cloud, source), destination)
    return seen_object(cloud, destination)


def test_a_copy_of_a_large_object(cloud: Cloud) -> None:
    """The copy of an object that was put in parts keeps size, headers and metadata; its ETag may be another."""
    copied = copy_of_large(cloud)
    assert (copied.size, dict(copied.headers), dict(copied.metadata)) == (9 << 20, HEADERS, METADATA)


def test_a_large_copys_checksum(cloud: Cloud) -> None:
    """The copy of an object that was put in parts shows no wrong checksum."""
    assert copy_of_large(cloud).crc64nvme in (None, format_crc64nvme(crc64nvme(b"x" * (9 << 20))))


@pytest.mark.parametrize("name", ["a.html", "new\nline", "caf\u00e9 %2F+"])
def test_other_headers(cloud: Cloud, name: str) -> None:
    """An object gets exactly the headers and metadata that are given, and keeps bytes and checksum."""
    key = f"{cloud.prefix}{name}"
    cloud.objects.put(key, b"<p>", NOT_ENCODED | {"x-amz-meta-mtime": "1"})
    before = cloud.objects.head(key)
    assert before
    cloud.objects.replace_headers(key, before, {"content-type": "text/plain", "x-amz-meta-owner": "web"})
    found = cloud.objects.head(key)
    assert found
    assert (found.size, found.crc64nvme) == (3, crc64nvme(b"<p>"))
    assert (dict(found.headers), dict(found.metadata)) == ({"content-type": "text/plain"}, {"owner": "web"})


def test_other_headers_for_what_was_put_in_parts(cloud: Cloud) -> None:
    """An object that was put in parts gets other headers too, and shows no wrong checksum."""
    key, body = f"{cloud.prefix}large", b"x" * (9 << 20)
    cloud.objects.put_chunks(key, iter([body]), len(body), NOT_ENCODED)
    before = cloud.objects.head(key)
    assert before
    cloud.objects.replace_headers(key, before, {"content-type": "text/plain"})
    found = cloud.objects.head(key)
    assert found
    assert (found.size, dict(found.headers)) == (len(body), {"content-type": "text/plain"})
    assert found.crc64nvme in (None, crc64nvme(body))


def test_an_encoding_that_is_not_given_is_gone(cloud: Cloud) -> None:
    """Of what an object was served with, nothing is left that is not given again, its encoding neither."""
    key = f"{cloud.prefix}a"
    put(cloud, key, b"1")
    before = cloud.objects.head(key)
    assert before
    cloud.objects.replace_headers(key, before, {"content-type": "text/plain"})
    assert dict(seen_object(cloud, key).headers) == {"content-type": "text/plain"}


def test_only_what_was_seen_gets_other_headers(cloud: Cloud) -> None:
    """An object that changed since, or was deleted, is refused its headers and stays as it is."""
    key = f"{cloud.prefix}a"
    put(cloud, key, b"1")
    before = cloud.objects.head(key)
    assert before
    put(cloud, key, b"2")
    with pytest.raises(RefusedError):
        cloud.objects.replace_headers(key, before, {})
    assert dict(seen_object(cloud, key).headers) == HEADERS
    cloud.bucket.put_markers([key])
    with pytest.raises(RefusedError):
        cloud.objects.replace_headers(key, before, {})
    assert isinstance(cloud.bucket.head(key), Marker)


@pytest.mark.parametrize("deleted", [False, True])
def test_a_copy_covers_what_was_there(cloud: Cloud, deleted: bool) -> None:
    """A copy is current over an older duplicate and over a marker, as one more version."""
    source, destination = f"{cloud.prefix}a", f"{cloud.prefix}b"
    old = put(cloud, destination, b"old")
    if deleted:
        cloud.bucket.put_markers([destination])
    before = cloud.bucket.head(destination)
    cloud.bucket.copy(source, put(cloud, source, b"new"), destination)
    copied = seen_object(cloud, destination)
    assert copied.size == 3
    cloud.bucket.remove_version(destination, copied.version_id)
    assert cloud.bucket.head(destination) == before
    assert old.version_id != copied.version_id


def test_only_what_was_seen_is_copied(cloud: Cloud) -> None:
    """A source that changed, was deleted or never was is not copied, and the destination stays as it is."""
    source, destination = f"{cloud.prefix}a", f"{cloud.prefix}b"
    seen = put(cloud, source, b"1")
    put(cloud, source, b"2")
    with pytest.raises(ChangedError):
        cloud.bucket.copy(source, seen, destination)
    cloud.bucket.put_markers([source])
    with pytest.raises(ChangedError):
        cloud.bucket.copy(source, seen, destination)
    with pytest.raises(ChangedError):
        cloud.bucket.copy(f"{cloud.prefix}none", seen, destination)
    assert cloud.bucket.head(destination) == Nothing()


def test_odd_names(cloud: Cloud) -> None:
    """A key is byte-exact in every request: put, looked at, copied, listed, deleted and bared."""
    keys = [f"{cloud.prefix}odd/{name}" for name in ODD_NAMES]
    for n, key in enumerate(keys):
        seen = put(cloud, key, str(n).encode())
        cloud.bucket.copy(key, seen, key.replace("/odd/", "/even/"))
    assert [found.key for found in cloud.objects.list(f"{cloud.prefix}odd/")] == sorted(keys, key=str.encode)
    assert [found.key for found in cloud.objects.list(f"{cloud.prefix}even/")] == sorted(
        (key.replace("/odd/", "/even/") for key in keys), key=str.encode
    )
    assert cloud.bucket.put_markers(keys) == {}
    for n, key in enumerate(keys):
        marker = cloud.bucket.head(key)
        assert isinstance(marker, Marker), key
        cloud.bucket.remove_version(key, marker.version_id)
        assert seen_object(cloud, key).etag == seen_object(cloud, key.replace("/odd/", "/even/")).etag
        assert seen_object(cloud, key).size == len(str(n))


@pytest.mark.parametrize("name", ["x", "\N{PARTY POPPER}"])
def test_the_longest_key(cloud: Cloud, name: str) -> None:
    """A key may have 1,024 bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""
    room = 1024 - len(cloud.prefix)
    key = cloud.prefix + name * (room // len(name.encode()))
    key += "y" * (1024 - len(key.encode()))
    seen = put(cloud, key, b"1")
    cloud.bucket.copy(key, seen, f"{cloud.prefix}copy")
    assert [found.key for found in cloud.objects.list(cloud.prefix)] == sorted([key, f"{cloud.prefix}copy"])
    assert cloud.bucket.put_markers([key]) == {}
    assert isinstance(cloud.bucket.head(key), Marker)
