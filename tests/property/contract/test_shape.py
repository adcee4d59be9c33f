"""The codec of the tree's shape, and cache tags, for any names."""

from hypothesis import assume, given
from hypothesis import strategies as st

from siteferry_contract.cache_tags import DEEPEST, directory_tag, file_tag, tags_of
from siteferry_contract.copy_rules import CopyRule, duplicates
from siteferry_contract.index import is_leaf
from siteferry_contract.keys import split
from siteferry_contract.shape import Shape, item_to_shape, shape_of, shape_to_item

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
DIRECTORIES = st.lists(NAMES, max_size=4).map("/".join)
COUNTS = st.dictionaries(DIRECTORIES, st.integers(0, 10**6), max_size=40)
KEYS = st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map("/".join)
RULES = (CopyRule("a/", "m/"), CopyRule("a/b/", "n/o/"), CopyRule("", "z/"))


def _beneath(counts: dict[str, int], directory: str) -> int:
    return sum(n for other, n in counts.items() if not directory or f"{other}/".startswith(f"{directory}/"))


@given(COUNTS, st.none() | st.integers(0, 10**9))
def test_a_shape_comes_back_as_it_went(counts: dict[str, int], tagged_run: int | None) -> None:
    """Through its item, which is no leaf."""
    shape = shape_of(counts.items(), tagged_run=tagged_run)
    item = shape_to_item(shape)
    assert item_to_shape(item) == shape
    assert not is_leaf(item)


@given(COUNTS)
def test_a_shape_counts_what_is_beneath(counts: dict[str, int]) -> None:
    """Of every directory, those without objects of their own included; one that it has not has nothing."""
    shape = shape_of(((f"p/{name}" if name else "p", n) for name, n in counts.items()), prefix="p/")
    above = {name.rpartition("/")[0] for name in counts}
    assert all(shape.objects(name) == _beneath(counts, name) for name in {*counts, *above, ""})
    assert shape.total == sum(counts.values())
    assert shape.objects("no such\0directory") == 0


@given(COUNTS, st.integers(30, 300))
def test_a_shape_that_is_too_large_keeps_the_largest_directories(counts: dict[str, int], most: int) -> None:
    """With all above them; what is left out is estimated at no more than the smallest that is kept."""
    shape = shape_of(counts.items(), max_blob_bytes=most)
    assert len(shape_to_item(shape)["blob"]["B"]) <= most or len(shape.counts) == 1
    smallest = min(shape.counts.values())
    for name in counts:
        if name in shape.counts:
            assert shape.counts[name] == _beneath(counts, name)
            assert name.rpartition("/")[0] in shape.counts
        else:
            assert _beneath(counts, name) <= smallest
            assert shape.objects(name) <= smallest
    assert shape.total == sum(counts.values())


@given(st.sets(KEYS, max_size=30))
def test_duplicates_are_counted_where_copy_rules_put_them(keys: set[str]) -> None:
    """As if each key were duplicated by itself."""
    every = [*keys, *(copy for key in keys for copy in duplicates(key, "", RULES))]
    shape = shape_of(((split(key)[0], 1) for key in keys), rules=RULES)
    expected = Shape(shape_of((split(key)[0], 1) for key in every).counts)
    assert shape == expected


@given(st.lists(NAMES, min_size=1, max_size=400), st.sampled_from(["", "p/"]))
def test_the_tags_of_an_object_are_what_cloudfront_and_s3_take(parts: list[str], prefix: str) -> None:
    """At most 50, of visible ASCII, within 700 bytes, the same in any case; the file's and its upper directories'."""
    value = tags_of(prefix + "/".join(parts), prefix)
    tags = value.split(",")
    assert len(tags) <= 50
    assert len(value) <= 700
    assert value.isascii()
    assert value == value.lower()
    assert all(tag.isalnum() for tag in tags)
    assert tags[:2] == [file_tag("/".join(parts), ""), directory_tag("")]
    assert tags[2:] == [directory_tag("/".join(parts[:depth])) for depth in range(1, min(len(parts) - 1, DEEPEST) + 1)]


@given(DIRECTORIES, DIRECTORIES)
def test_different_names_have_different_tags(one: str, other: str) -> None:
    """A file's is never its directory's."""
    assume(one != other)
    assert directory_tag(one) != directory_tag(other)
    assert len({file_tag(one, ""), file_tag(other, ""), directory_tag(one), directory_tag(other)}) == 4
