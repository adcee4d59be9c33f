"""Invalidations."""

import uuid

import pytest

from siteferry_lambdas.errors import BusyError, RefusedPathsError, StoreError
from tests.conformance.cloud import Cloud


def test_a_reference_is_one_invalidation(cloud: Cloud) -> None:
    """The same paths with the same reference are one invalidation; another reference is another."""
    before, reference = cloud.invalidations(), uuid.uuid4().hex
    paths = [f"/{cloud.prefix}a%20b", f"/{cloud.prefix}c/*"]
    for _ in range(3):
        cloud.cdn.invalidate(paths, reference)
    assert cloud.invalidations() == before + 1
    cloud.cdn.invalidate(paths, uuid.uuid4().hex)
    assert cloud.invalidations() == before + 2


def test_a_reference_is_not_used_for_other_paths(cloud: Cloud) -> None:
    """Other paths with a reference that was used are refused; no retry would help."""
    reference = uuid.uuid4().hex
    cloud.cdn.invalidate([f"/{cloud.prefix}a"], reference)
    with pytest.raises((StoreError, AssertionError)) as raised:
        cloud.cdn.invalidate([f"/{cloud.prefix}b"], reference)
    assert not getattr(raised.value, "retry_helps", False)


def test_a_path_that_is_not_taken(cloud: Cloud) -> None:
    """A path that does not begin with a slash is refused; no retry would help."""
    with pytest.raises((RefusedPathsError, AssertionError)):
        cloud.cdn.invalidate(["a"], uuid.uuid4().hex)


def test_too_many_in_progress(cloud: Cloud) -> None:
    """More than 15 wildcards in progress are refused for now.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
    """

    def invalidate_all() -> None:
        for batch in range(3):
            paths = [f"/{cloud.prefix}{batch}/{n}/*" for n in range(8)]
            cloud.cdn.invalidate(paths, uuid.uuid4().hex)

    with pytest.raises(BusyError):
        invalidate_all()
