"""The invalidation cover and URL paths."""

from collections import Counter
from unittest.mock import patch

import pytest

from siteferry_contract.urls import url_paths
from siteferry_lambdas import antichain
from siteferry_lambdas.cover import Limits, cover


def _paths(paths: set[str], limits: Limits, *site: str) -> tuple[str, ...]:
    """Give the cover on a site of these objects."""
    chosen = cover(paths, limits, lambda directory: sum(one.startswith(directory) for one in site))
    assert chosen
    return chosen.paths


def test_few_paths_are_invalidated_exactly() -> None:
    """Nothing that did not change is thrown out while the limits allow it."""
    assert _paths({"/b", "/a/x"}, Limits(2, 1), "/b", "/a/x", "/c", "/a/y") == ("/a/x", "/b")


def test_a_directory_that_changed_as_a_whole_is_one_path() -> None:
    """It throws out nothing else, and costs less. A few paths are not worth a wildcard, of which there are few."""
    many = {f"/a/{n}" for n in range(12)}
    few = {f"/b/{n}" for n in range(8)}
    assert _paths({*many, *few, "/c"}, Limits(100, 2), *many, *few, "/c", "/d") == ("/a/*", *sorted(few), "/c")


def test_a_directory_is_thrown_out_with_the_index_it_is_served_for() -> None:
    """The URL of a directory is its index file: an object that changed, not two."""
    assert _paths({"/a/", "/a/index.html"}, Limits(1, 1), "/a/index.html", "/b") == ("/a/*",)
    chosen = cover({"/a/", "/a/index.html", "/a/x"}, Limits(1, 1), lambda _: 3)
    assert chosen
    assert chosen.over == 1


def test_many_paths_of_one_directory_become_its_wildcard() -> None:
    """What changed elsewhere stays exact, also where nothing is known of the tree."""
    paths = {f"/docs/a/{n}" for n in range(50)} | {"/index.html", "/other/x"}
    chosen = cover(paths, Limits(10, 3))
    assert chosen
    assert chosen.paths == ("/docs/a/*", "/index.html", "/other/x")


def test_the_directory_that_loses_least_is_chosen() -> None:
    """Not the one with the most changes: the other has less to lose."""
    site = [f"/large/{n}" for n in range(90)] + [f"/small/{n}" for n in range(9)]
    changed = {f"/large/{n}" for n in range(9)} | {f"/small/{n}" for n in range(6)}
    assert _paths(changed, Limits(10, 1), *site) == tuple(sorted(["/small/*", *(f"/large/{n}" for n in range(9))]))


def test_the_whole_site_covers_everything() -> None:
    """Beside it, no other path is paid for."""
    chosen = cover({"/*", "/a"}, Limits(9, 1))
    assert chosen
    assert chosen.paths == ("/*",)


def test_too_many_paths_without_a_wildcard_have_no_cover() -> None:
    """Then there is nothing right to choose: the caller has to wait."""
    assert cover({"/a", "/b"}, Limits(1, 0)) is None
    assert cover({"/*"}, Limits(9, 0)) is None
    assert _paths({"/a"}, Limits(1, 0)) == ("/a",)


def test_hundreds_of_levels_are_no_deeper_than_two() -> None:
    """As deep as a key can be, with a change at every level."""
    paths = {f"/{'a/' * depth}x" for depth in range(500)}
    chosen = cover(paths, Limits(100, 1), lambda directory: (510 - directory.count("/")) ** 2)
    assert chosen
    assert len(chosen.paths) == 100
    assert chosen.directories == (f"/{'a/' * 99}",)


def test_a_directory_too_deep_for_a_tag_is_not_chosen() -> None:
    """Its changes count for the lowest directory that can be."""
    paths = {f"/a/b/c/{n}" for n in range(9)} | {f"/a/b/d/{n}" for n in range(9)}
    chosen = cover(paths, Limits(3, 3), deepest=2)
    assert chosen
    assert chosen.paths == ("/a/b/*",)


def test_a_search_that_is_cut_short_is_still_right() -> None:
    """Where all directories cost in proportion to what they gain, exactness takes too long: it says so."""
    paths = {f"/{n * n % 30}/{n * n % 41 % 7}/{n}" for n in range(6_000)}
    beneath = Counter(path[: n + 1] for path in paths for n, character in enumerate(path) if character == "/")
    with patch.object(antichain, "WORK", 10):
        chosen = cover(paths, Limits(3000, 15), lambda directory: 7 * beneath[directory])
    assert chosen
    assert not chosen.fewest
    assert len(chosen.paths) <= 3000
    assert len(chosen.directories) <= 15
    assert all(path in chosen.exact or path.startswith(chosen.directories) for path in paths)


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("p/a/b.txt", ("/a/b.txt",)),
        ("p/index.html", ("/", "/index.html")),
        ("p/a/index.html", ("/a/", "/a/index.html")),
        ("p/myindex.html", ("/myindex.html",)),
        ("p/a b/é", ("/a%20b/%C3%A9",)),
        ("p/50%", ("/50%25",)),
        ("p/a*", ("/a%2A",)),
        ("p/~me/a@b&c+d;e='f'", ("/%7Eme/a@b&c+d;e='f'",)),
        ("p/a#b?c", ("/a%23b%3Fc",)),
        ('p/"<[{\\}]>"', ("/%22%3C%5B%7B%5C%7D%5D%3E%22",)),
        ("p/a\nb", ("/a%0Ab",)),
    ],
)
def test_paths_are_encoded_as_cloudfront_asks(key: str, paths: tuple[str, ...]) -> None:
    """Unsafe characters of RFC 1738 are encoded, others not; an index is served at two paths; no prefix."""
    assert url_paths(key, "p/") == paths
