"""Listings: what recovery and audit rest on."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tests.conformance.cloud import Cloud


def test_order_is_that_of_the_bytes(cloud: Cloud) -> None:
    """Keys come in the order of their UTF-8 bytes, which is neither UTF-16's nor that of a directory walk."""
    names = ["b", "a/b", "a-b", "a", "a0", "A", "\N{PARTY POPPER}", "\N{FULLWIDTH TILDE}", "é", "e\u0301", "z", "~"]
    keys = [cloud.prefix + name for name in names]
    for key in keys:
        cloud.objects.put(key, b"1", {})
    assert [found.key for found in cloud.objects.list(cloud.prefix)] == sorted(keys, key=str.encode)


def test_a_listing_shows_what_is_current(cloud: Cloud) -> None:
    """Only current objects are listed, each once, with the size and the time of its current version."""
    kept, deleted, bared = (f"{cloud.prefix}{name}" for name in ("kept", "deleted", "bared"))
    for key in (kept, deleted, bared):
        cloud.objects.put(key, b"12", {})
    cloud.objects.put(kept, b"123", {})
    assert cloud.bucket.put_markers([deleted]) == {}
    cloud.objects.put(bared, b"1234", {})
    top = cloud.bucket.head(bared)
    cloud.bucket.remove_version(bared, getattr(top, "version_id", ""))
    found = list(cloud.objects.list(cloud.prefix))
    assert [(one.key, one.size) for one in found] == [(bared, 2), (kept, 3)]
    assert all(one.modified.tzinfo is not None for one in found)
    assert all(datetime(2020, 1, 1, tzinfo=UTC) < one.modified < datetime.now(UTC) + timedelta(days=1) for one in found)


def test_a_prefix_is_no_directory(cloud: Cloud) -> None:
    """A prefix takes what begins with it, byte by byte, and nothing else."""
    for name in ("docs/a", "docs", "docs-old/a", "Docs/a"):
        cloud.objects.put(cloud.prefix + name, b"1", {})
    assert [one.key for one in cloud.objects.list(f"{cloud.prefix}docs/")] == [f"{cloud.prefix}docs/a"]
    assert list(cloud.objects.list(f"{cloud.prefix}none/")) == []


def test_more_than_a_page(cloud: Cloud) -> None:
    """A listing of more keys than a response has (1,000) gives each of them once, in order."""
    keys = [f"{cloud.prefix}{n:05}" for n in range(1005)]
    workers = 1 if type(cloud.objects).__module__.startswith("tests.") else 8
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda key: cloud.objects.put(key, b"", {}), keys))
    assert [one.key for one in cloud.objects.list(cloud.prefix)] == keys
