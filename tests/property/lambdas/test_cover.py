"""The invalidation cover, for any paths, and beside a search of every cover there is."""

from collections.abc import Iterator
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from siteferry_contract.urls import url_paths
from siteferry_lambdas.cover import UNKNOWN, WILDCARD, Cover, Limits, cover

NAMES = st.sampled_from(["a", "b", "c", "index.html", "x y", "é", "*"])
KEYS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
PATHS = st.sets(KEYS, max_size=60).map(lambda keys: {path for key in keys for path in url_paths(key, "")})
LIMITS = st.builds(Limits, paths=st.integers(1, 30), wildcards=st.integers(1, 6))
SIZES = st.dictionaries(st.sampled_from(["/", "/a/", "/a/b/", "/b/", "/x%20y/", "/%2A/"]), st.integers(0, 50))

_FILES = st.lists(st.sampled_from("abc"), max_size=3).flatmap(
    lambda parts: st.integers(0, 4).map(lambda n: "/" + "/".join([*parts, f"f{n}"]))
)
SITES = st.sets(_FILES, min_size=1, max_size=24).flatmap(
    lambda site: st.tuples(st.just(site), st.sets(st.sampled_from(sorted(site)), min_size=1))
)


def _covers(chosen: str, path: str) -> bool:
    return path.startswith(chosen[:-1]) if chosen.endswith("*") else path == chosen


def _of(paths: set[str], limits: Limits, sizes: dict[str, int]) -> Cover:
    chosen = cover(paths, limits, sizes.get)
    assert chosen
    return chosen


@given(PATHS, LIMITS, SIZES)
def test_every_path_is_covered_within_the_limits(paths: set[str], limits: Limits, sizes: dict[str, int]) -> None:
    """Whatever changed is reached, and CloudFront takes the invalidation, however wrong the shape is."""
    chosen = _of(paths, limits, sizes).paths
    assert all(any(_covers(one, path) for one in chosen) for path in paths)
    assert len(chosen) <= limits.paths
    assert sum(one.endswith("*") for one in chosen) <= limits.wildcards


@given(PATHS, LIMITS, SIZES)
def test_nothing_is_paid_for_twice(paths: set[str], limits: Limits, sizes: dict[str, int]) -> None:
    """No chosen path lies under another, each covers something, and wildcards end with a directory."""
    chosen = _of(paths, limits, sizes).paths
    assert not [1 for one in chosen for other in chosen if one != other and _covers(one, other.removesuffix("*"))]
    assert all(any(_covers(one, path) for path in paths) for one in chosen)
    assert all(one.endswith("/*") for one in chosen if "*" in one)


@given(PATHS, LIMITS, SIZES)
def test_the_cover_is_deterministic(paths: set[str], limits: Limits, sizes: dict[str, int]) -> None:
    """The same messages must make the same invalidation."""
    assert cover(sorted(paths), limits, sizes.get) == cover(sorted(paths, reverse=True), limits, sizes.get)


@given(SITES, st.integers(1, 14), st.integers(0, 5))
def test_no_cover_throws_out_fewer_objects(site: tuple[set[str], set[str]], paths: int, wildcards: int) -> None:
    """Of all covers within the limits, it has the fewest objects that did not change.

    Of those it has the fewest paths, if each wildcard counts as several; not so if only paths are scarce.
    """
    objects, changed = site
    limits, weight = Limits(paths, wildcards), 1 if wildcards >= paths else WILDCARD
    chosen = cover(changed, limits, lambda directory: sum(path.startswith(directory) for path in objects))
    every = [
        (sum(path.startswith(taken) for path in objects - changed), weight * len(taken) + left)
        for taken in _antichains(changed, wildcards)
        if len(taken) + (left := sum(not path.startswith(taken) for path in changed)) <= paths
    ]
    if chosen is None:
        assert not every
        return
    assert chosen.fewest
    over = sum(any(_covers(one, path) for one in chosen.paths) for path in objects - changed)
    assert (over, len(chosen.exact) + weight * len(chosen.directories)) == min(every)
    assert chosen.over == over


@given(SITES, st.integers(1, 14))
def test_as_many_directories_as_paths_are_as_well_chosen(site: tuple[set[str], set[str]], paths: int) -> None:
    """Of cache tags, a directory's costs no more than a file's."""
    objects, changed = site
    chosen = cover(changed, Limits(paths, paths), lambda directory: sum(path.startswith(directory) for path in objects))
    assert chosen
    assert (chosen.over, len(chosen.paths)) == min(
        (sum(path.startswith(taken) for path in objects - changed), len(taken) + left)
        for taken in _antichains(changed, paths)
        if len(taken) + (left := sum(not path.startswith(taken) for path in changed)) <= paths
    )


@given(PATHS, LIMITS)
def test_an_unknown_tree_is_thought_to_lose_more_the_higher_a_wildcard_is(paths: set[str], limits: Limits) -> None:
    """So that the deepest wildcards are chosen that the limits allow."""
    chosen = cover(paths, limits)
    assert chosen
    assert chosen.over >= UNKNOWN * len(chosen.directories)


def _antichains(changed: set[str], most: int) -> Iterator[tuple[str, ...]]:
    """Give every set of directories of which none is beneath another."""
    directories = sorted({path[: n + 1] for path in changed for n, character in enumerate(path) if character == "/"})
    for number in range(min(most, len(directories)) + 1):
        for taken in combinations(directories, number):
            if not any(one != other and one.startswith(other) for one in taken for other in taken):
                yield taken
