"""The invalidation cover, for any paths."""

from hypothesis import given
from hypothesis import strategies as st

from siteferry_contract.urls import url_paths
from siteferry_lambdas.cover import Limits, cover

NAMES = st.sampled_from(["a", "b", "c", "index.html", "x y", "é", "*"])
KEYS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
PATHS = st.sets(KEYS, max_size=60).map(lambda keys: {path for key in keys for path in url_paths(key, "")})
LIMITS = st.builds(Limits, paths=st.integers(1, 30), wildcards=st.integers(1, 6))


def _covers(chosen: str, path: str) -> bool:
    return path.startswith(chosen[:-1]) if chosen.endswith("*") else path == chosen


@given(PATHS, LIMITS)
def test_every_path_is_covered_within_the_limits(paths: set[str], limits: Limits) -> None:
    """Whatever changed is reached, and CloudFront takes the invalidation."""
    chosen = cover(paths, limits)
    assert all(any(_covers(one, path) for one in chosen) for path in paths)
    assert len(chosen) <= limits.paths
    assert sum(one.endswith("*") for one in chosen) <= limits.wildcards


@given(PATHS, LIMITS)
def test_nothing_is_paid_for_twice(paths: set[str], limits: Limits) -> None:
    """No chosen path lies under another, and each covers something."""
    chosen = cover(paths, limits)
    assert not [1 for one in chosen for other in chosen if one != other and _covers(one, other.removesuffix("*"))]
    assert all(any(_covers(one, path) for path in paths) for one in chosen)


@given(PATHS, LIMITS)
def test_the_cover_is_deterministic(paths: set[str], limits: Limits) -> None:
    """The same messages must make the same invalidation."""
    assert cover(sorted(paths), limits) == cover(sorted(paths, reverse=True), limits)
