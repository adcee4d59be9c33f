"""Versions, delete markers and conditional writes: what rules 1, 2 and 5 rest on."""

from collections.abc import Mapping

import pytest

from siteferry_lambdas.errors import ChangedError, StoreError
from siteferry_lambdas.ports import Marker, Nothing, Object, Seen
from tests.conformance.cloud import Cloud

PAGE = {"content-type": "text/html; charset=utf-8"}
GENERATED = {"siteferry-generated": "directory-page"}


def seen_object(cloud: Cloud, key: str) -> Object:
    """Look at a key that has an object."""
    seen = cloud.bucket.head(key)
    assert isinstance(seen, Object)
    return seen


def marked(cloud: Cloud, key: str) -> Marker:
    """Put a delete marker and look at it."""
    assert cloud.bucket.put_markers([key]) == {}
    seen = cloud.bucket.head(key)
    assert isinstance(seen, Marker)
    return seen


def test_a_key_that_never_was(cloud: Cloud) -> None:
    """A key without a version has nothing, to either half."""
    assert cloud.bucket.head(f"{cloud.prefix}none") == Nothing()
    assert cloud.objects.head(f"{cloud.prefix}none") is None


def test_a_marker_is_seen_with_its_version(cloud: Cloud) -> None:
    """A deleted key shows its marker's version to a handler, and nothing to the agent."""
    key = f"{cloud.prefix}a"
    cloud.objects.put(key, b"1", {})
    first = marked(cloud, key)
    assert first.version_id
    assert marked(cloud, key).version_id != first.version_id
    assert cloud.objects.head(key) is None


def test_a_marker_needs_no_object(cloud: Cloud) -> None:
    """A marker over a key that never was is a marker all the same."""
    assert marked(cloud, f"{cloud.prefix}never").version_id


def test_removing_the_marker_bares_the_object(cloud: Cloud) -> None:
    """What was beneath a removed marker is current again, with the version, bytes and metadata that it had."""
    key = f"{cloud.prefix}a"
    cloud.objects.put(key, b"kept", {"x-amz-meta-mtime": "1.5"})
    before = seen_object(cloud, key)
    cloud.bucket.remove_version(key, marked(cloud, key).version_id)
    assert cloud.bucket.head(key) == before
    found = cloud.objects.head(key)
    assert found
    assert (found.size, dict(found.metadata)) == (4, {"mtime": "1.5"})


def test_markers_lie_on_one_another(cloud: Cloud) -> None:
    """Of two markers, removing the upper leaves the lower, and removing the lower leaves the upper."""
    key = f"{cloud.prefix}a"
    cloud.objects.put(key, b"1", {})
    lower, upper = marked(cloud, key), marked(cloud, key)
    cloud.bucket.remove_version(key, upper.version_id)
    assert cloud.bucket.head(key) == lower
    another = marked(cloud, key)
    cloud.bucket.remove_version(key, lower.version_id)
    assert cloud.bucket.head(key) == another


def test_removing_the_object_bares_what_it_covered(cloud: Cloud) -> None:
    """Beneath a removed object is the older one, and beneath the last one nothing."""
    key = f"{cloud.prefix}a"
    cloud.objects.put(key, b"old", {})
    old = seen_object(cloud, key)
    cloud.objects.put(key, b"new", {})
    cloud.bucket.remove_version(key, seen_object(cloud, key).version_id)
    assert cloud.bucket.head(key) == old
    cloud.bucket.remove_version(key, old.version_id)
    assert cloud.bucket.head(key) == Nothing()


def test_removing_a_version_that_is_gone(cloud: Cloud) -> None:
    """To remove a version twice is no error, and removes nothing else."""
    key = f"{cloud.prefix}a"
    cloud.objects.put(key, b"1", {})
    before, marker = cloud.bucket.head(key), marked(cloud, key)
    cloud.bucket.remove_version(key, marker.version_id)
    cloud.bucket.remove_version(key, marker.version_id)
    assert cloud.bucket.head(key) == before


def test_a_put_covers_a_marker(cloud: Cloud) -> None:
    """The agent's PUT over a marker is current, as a version of its own."""
    key = f"{cloud.prefix}a"
    cloud.objects.put(key, b"1", {})
    first = seen_object(cloud, key)
    marked(cloud, key)
    cloud.objects.put(key, b"1", {})
    again = seen_object(cloud, key)
    assert again.etag == first.etag
    assert again.version_id != first.version_id


@pytest.mark.parametrize("deleted", [False, True])
def test_a_page_is_put_over_nothing(cloud: Cloud, deleted: bool) -> None:
    """A page is put where nothing is or a marker is, and keeps headers and metadata."""
    key = f"{cloud.prefix}index.html"
    over = marked(cloud, key) if deleted else cloud.bucket.head(key)
    cloud.bucket.put(key, b"<p>", headers=PAGE, metadata=GENERATED, over=over)
    seen = seen_object(cloud, key)
    assert (seen.size, dict(seen.headers), dict(seen.metadata), seen.generated) == (3, PAGE, GENERATED, True)


@pytest.mark.parametrize("deleted", [False, True])
def test_a_page_is_not_put_over_what_came_between(cloud: Cloud, deleted: bool) -> None:
    """An object that came after the look at nothing, or at a marker, is never covered."""
    key = f"{cloud.prefix}index.html"
    over = marked(cloud, key) if deleted else Nothing()
    cloud.objects.put(key, b"a user's", {})
    before = cloud.bucket.head(key)
    with pytest.raises(ChangedError):
        cloud.bucket.put(key, b"<p>", headers=PAGE, metadata=GENERATED, over=over)
    assert cloud.bucket.head(key) == before


def test_a_page_is_put_over_the_one_that_was_seen(cloud: Cloud) -> None:
    """A page replaces the object that was seen, and nothing else: neither a newer one, nor a marker, nor nothing."""
    key = f"{cloud.prefix}index.html"
    cloud.bucket.put(key, b"<p>1", headers=PAGE, metadata=GENERATED, over=Nothing())
    first = seen_object(cloud, key)
    cloud.bucket.put(key, b"<p>2", headers=PAGE, metadata=GENERATED, over=first)
    second = seen_object(cloud, key)
    assert second.etag != first.etag

    def refused() -> None:
        before = cloud.bucket.head(key)
        with pytest.raises(ChangedError):
            cloud.bucket.put(key, b"<p>3", headers=PAGE, metadata=GENERATED, over=first)
        assert cloud.bucket.head(key) == before

    refused()
    marked(cloud, key)
    refused()
    key = f"{cloud.prefix}other/index.html"
    refused()


def test_many_markers(cloud: Cloud) -> None:
    """A thousand keys get their markers in one call, whether there was an object or not."""
    keys = [f"{cloud.prefix}{n:04}" for n in range(1000)]
    cloud.objects.put(keys[0], b"1", {})
    assert cloud.bucket.put_markers(keys) == {}
    assert all(isinstance(cloud.bucket.head(key), Marker) for key in (keys[0], keys[1], keys[-1]))
    assert list(cloud.objects.list(cloud.prefix)) == []


def test_no_markers(cloud: Cloud) -> None:
    """To put no marker is no error."""
    assert cloud.bucket.put_markers([]) == {}


def refused_markers(cloud: Cloud) -> tuple[Mapping[str, StoreError], dict[str, Seen]]:
    """Put markers as somebody who is refused two keys of three; gives what failed, and what is current then."""
    keys = [f"{cloud.prefix}{name}" for name in ("kept/a", "kept/new\nline", "b")]
    for key in keys:
        cloud.objects.put(key, b"1", {})
    with cloud.markers_refused(f"{cloud.prefix}kept/") as bucket:
        failed = bucket.put_markers(keys)
    return failed, {key.removeprefix(cloud.prefix): cloud.bucket.head(key) for key in keys}


def test_markers_that_fail_are_named(cloud: Cloud) -> None:
    """A key is given back with its error if, and only if, it has no marker."""
    failed, current = refused_markers(cloud)
    assert {cloud.prefix + name for name, seen in current.items() if not isinstance(seen, Marker)} == failed.keys()
    assert failed.keys() >= {f"{cloud.prefix}kept/a", f"{cloud.prefix}kept/new\nline"}


def test_a_marker_that_fails_spares_the_others(cloud: Cloud) -> None:
    """Where one key is refused, the others get their markers."""
    _, current = refused_markers(cloud)
    assert isinstance(current["b"], Marker)
