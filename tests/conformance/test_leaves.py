"""Leaves: committed all or none under the lease, and read as they are (rules 1, 3 and 7)."""

import random

import pytest

from siteferry.head import Head
from siteferry_contract.leaf import FileEntry, Leaf, SubdirectoryEntry
from tests.conformance.cloud import REFUSED, TOKEN, Cloud, leaf_of


def large_leaf(directory: str, bound: str, kilobytes: int) -> Leaf:
    """Give a leaf of about so many kilobytes, compressed."""
    draw = random.Random(bound)
    entries = tuple(
        FileEntry(f"{bound}{n:06}{draw.randbytes(90).hex()}", draw.getrandbits(40), 0, 0, draw.getrandbits(64))
        for n in range(kilobytes * 1000 // 111)
    )
    return Leaf(directory, bound, 1, had_delete=False, gone=False, entries=entries)


def test_a_leaf_is_read_as_it_was_committed(cloud: Cloud) -> None:
    """Entries, raw names, run and flags come back, to both halves, right after the commit."""
    cloud.head_with_lease()
    entries = (
        FileEntry("a", 0, -1, 1 << 62, None),
        FileEntry("caf\u00e9", 1 << 40, 1, 2, (1 << 64) - 1, b"caf\xe9"),
        SubdirectoryEntry("sub"),
    )
    for run, gone in ((1, False), (2, True), (3, False)):
        leaf = Leaf(f"{cloud.prefix}d", "", run, had_delete=gone, gone=gone, entries=() if gone else entries)
        cloud.commit(leaf)
        assert cloud.leaves.leaf_for(leaf.directory, "a") == leaf
        assert list(cloud.leaves.directory(leaf.directory)) == [leaf]
        assert list(cloud.index.leaves()) == [leaf]


@pytest.mark.parametrize("token", ["another", ""])
def test_a_commit_needs_the_lease(cloud: Cloud, token: str) -> None:
    """With another token than the lease's, nothing is written, be it new or a change."""
    cloud.head_with_lease()
    old = leaf_of("a", "x")
    cloud.commit(old)
    assert not cloud.index.commit([leaf_of("a", "y", run=2), leaf_of("b", "z", run=2)], token or "none")
    assert list(cloud.index.leaves()) == [old]


def test_a_commit_needs_a_head_with_a_lease(cloud: Cloud) -> None:
    """Without a head, and with one that nobody holds, nothing is written."""
    assert not cloud.index.commit([leaf_of("a", "x")], TOKEN)
    cloud.index.create_head(Head.first())
    assert not cloud.index.commit([leaf_of("a", "x")], TOKEN)
    assert list(cloud.index.leaves()) == []


def test_a_commit_is_all_or_nothing(cloud: Cloud) -> None:
    """If one leaf of a transaction is refused (an item over 400 KB), none is written."""
    cloud.head_with_lease()
    with pytest.raises(REFUSED):
        cloud.index.commit([leaf_of("a", "x"), large_leaf("b", "", 420), leaf_of("c", "y")], TOKEN)
    assert list(cloud.index.leaves()) == []


def test_the_largest_commit(cloud: Cloud) -> None:
    """Ninety-nine leaves go in one transaction, and all are read."""
    cloud.head_with_lease()
    leaves = [leaf_of(f"{cloud.prefix}{n}", "x", run=n) for n in range(99)]
    cloud.commit(*leaves)
    assert sorted(cloud.index.leaves(), key=lambda leaf: leaf.run) == leaves


def test_all_leaves_are_read(cloud: Cloud) -> None:
    """Reading gives every leaf once over all pages (of 1 MB), and neither the head nor the handlers' own items."""
    cloud.head_with_lease()
    cloud.plant({"pk": {"S": "invalidations"}, "sk": {"S": "2026-01"}, "paths": {"N": "1"}})
    leaves = [large_leaf("big", bound, 200) for bound in ("", "b", "c", "d", "e", "f", "g", "h")]
    cloud.commit(*leaves)
    assert sorted(cloud.index.leaves(), key=lambda leaf: leaf.bound) == leaves
    assert list(cloud.leaves.directory("big")) == leaves


def test_leaves_of_late_runs_only(cloud: Cloud) -> None:
    """With `after`, leaves with a run of at least that are read."""
    cloud.head_with_lease()
    cloud.commit(*(leaf_of(f"d{run}", "x", run=run) for run in range(1, 6)))
    assert sorted(leaf.run for leaf in cloud.index.leaves(after=4)) == [4, 5]
    assert list(cloud.index.leaves(after=6)) == []


def test_reading_can_be_left(cloud: Cloud) -> None:
    """Whoever stops reading leaves after the first has an end of it, and can read again."""
    cloud.head_with_lease()
    cloud.commit(*(leaf_of(f"d{n}", "x") for n in range(20)))
    reading = cloud.index.leaves()
    next(reading)
    del reading
    assert len(list(cloud.index.leaves())) == 20


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("a", ""),
        ("f~", ""),
        ("g", "g"),
        ("g/", "g"),
        ("o", "g"),
        ("p", "p"),
        ("z~", "p"),
        ("\N{FULLWIDTH TILDE}", "\N{FULLWIDTH TILDE}"),
        ("\N{PARTY POPPER}", "\N{PARTY POPPER}"),
    ],
)
def test_the_leaf_of_a_name(cloud: Cloud, name: str, bound: str) -> None:
    """It is the one with the greatest bound that is not above the name, by code point."""
    cloud.head_with_lease()
    cloud.commit(*(leaf_of("d", bound=bound) for bound in ("p", "\N{PARTY POPPER}", "", "\N{FULLWIDTH TILDE}", "g")))
    found = cloud.leaves.leaf_for("d", name)
    assert found
    assert found.bound == bound


def test_a_name_below_every_bound_has_no_leaf(cloud: Cloud) -> None:
    """No leaf is given for a name that none can hold, nor for a directory that the index does not know."""
    cloud.head_with_lease()
    cloud.commit(leaf_of("d", bound="g"))
    assert cloud.leaves.leaf_for("d", "a") is None
    assert cloud.leaves.leaf_for("none", "a") is None
    assert list(cloud.leaves.directory("none")) == []


def test_directories_are_kept_apart(cloud: Cloud) -> None:
    """A directory's leaves are its own: not those of its parent, of what is beneath it, or of a similar name."""
    cloud.head_with_lease()
    names = ["", "d", "d/e", "d-", "d ", "D", "\N{PARTY POPPER}", "d/new\nline", "head"]
    cloud.commit(*(leaf_of(name, f"in {name}") for name in names))
    for name in names:
        assert [leaf.directory for leaf in cloud.leaves.directory(name)] == [name]
        found = cloud.leaves.leaf_for(name, "z")
        assert found
        assert found.directory == name


def test_a_directory_in_the_order_of_its_bounds(cloud: Cloud) -> None:
    """All leaves of a directory come in the order of their bounds, by code point."""
    cloud.head_with_lease()
    bounds = ["", "A", "a", "a/", "a0", "é", "\N{FULLWIDTH TILDE}", "\N{PARTY POPPER}"]
    cloud.commit(*(leaf_of("d", bound=bound) for bound in reversed(bounds)))
    assert [leaf.bound for leaf in cloud.leaves.directory("d")] == bounds


def test_a_commit_is_seen_at_once(cloud: Cloud) -> None:
    """Every read after a commit gives it, time and again: a handler may come right after it."""
    cloud.head_with_lease()
    for run in range(1, 21):
        cloud.commit(leaf_of("d", "x", run=run))
        found = cloud.leaves.leaf_for("d", "x")
        assert found
        assert (found.run, [leaf.run for leaf in cloud.leaves.directory("d")]) == (run, [run])
