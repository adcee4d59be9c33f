"""The invalidation cover and URL paths."""

import pytest

from siteferry_contract.urls import url_paths
from siteferry_lambdas.cover import Limits, cover


def test_few_paths_are_invalidated_exactly() -> None:
    """Nothing that did not change is thrown out while the limits allow it."""
    assert cover({"/b", "/a/x"}, Limits(2, 1)) == ("/a/x", "/b")


def test_many_paths_of_one_directory_become_its_wildcard() -> None:
    """What changed elsewhere stays exact."""
    paths = {f"/docs/a/{n}" for n in range(50)} | {"/index.html", "/other/x"}
    assert cover(paths, Limits(10, 3)) == ("/docs/a/*", "/index.html", "/other/x")


def test_too_many_directories_become_the_wildcard_of_their_parent() -> None:
    """Wildcards are scarcer than paths."""
    paths = {f"/docs/{d}/{n}" for d in range(9) for n in range(9)}
    assert cover(paths, Limits(20, 3)) == ("/docs/*",)


def test_the_whole_site_covers_everything() -> None:
    """Beside it, no other path is paid for."""
    assert cover({"/*", "/a"}, Limits()) == ("/*",)


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
