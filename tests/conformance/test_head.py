"""The head: created once, and replaced by compare-and-set only (rules 4 and 7)."""

from dataclasses import replace

import pytest

from siteferry.errors import IndexDamagedError
from siteferry.head import Applied, Head
from siteferry_contract.index import leaf_to_item
from tests.conformance.cloud import Cloud, leaf_of, with_lease


def test_an_empty_table_has_no_head(cloud: Cloud) -> None:
    """There is none until it is created."""
    assert cloud.index.read_head() is None


def test_the_head_is_created_once(cloud: Cloud) -> None:
    """To create it again is no error and changes nothing: the first agent's epoch stays."""
    first = Head.first()
    cloud.index.create_head(first)
    cloud.index.create_head(Head.first())
    assert cloud.index.read_head() == first


def test_no_head_is_created_over_leaves(cloud: Cloud) -> None:
    """A table that has leaves but no head is damaged, and nothing is written."""
    cloud.plant(leaf_to_item(leaf_of("a", "b")))
    with pytest.raises(IndexDamagedError):
        cloud.index.create_head(Head.first())
    assert cloud.index.read_head() is None


def test_every_field_is_kept(cloud: Cloud) -> None:
    """What is written is what is read, with every field set and with every field cleared again."""
    cloud.index.create_head(Head.first())
    first = cloud.index.read_head()
    assert first
    applied = Applied("pre/", "latin-1", ('[["*", {"cache-control": "max-age=60"}]]', "[]"))
    full = replace(with_lease(first, "t"), run=7, open=6, opened=1.5, applied=applied, deletes=((1, 2), (3, 4)))
    assert cloud.index.replace_head(first, full)
    assert cloud.index.read_head() == full
    bare = replace(first, run=7)
    assert cloud.index.replace_head(full, bare)
    assert cloud.index.read_head() == bare


@pytest.mark.parametrize("field", ["epoch", "run", "open", "token", "beat", "lease"])
def test_a_head_that_changed_is_not_replaced(cloud: Cloud, field: str) -> None:
    """Whoever goes by another run, epoch or lease than the head's is refused, and nothing is written."""
    held = replace(cloud.head_with_lease("t"), run=2, open=2, opened=1.0)
    current = cloud.index.read_head()
    assert current
    assert cloud.index.replace_head(current, held)
    stale = {
        "epoch": replace(held, epoch="another"),
        "run": replace(held, run=1),
        "open": replace(held, open=None, opened=None),
        "token": with_lease(held, "another"),
        "beat": with_lease(held, "t", beat=2),
        "lease": replace(held, lease=None),
    }[field]
    assert not cloud.index.replace_head(stale, replace(held, run=9))
    assert cloud.index.read_head() == held


def test_no_head_is_not_replaced(cloud: Cloud) -> None:
    """A head that is not there is not replaced."""
    assert not cloud.index.replace_head(Head.first(), Head.first())
    assert cloud.index.read_head() is None


def test_of_two_writers_one_wins(cloud: Cloud) -> None:
    """Of two that have read the same head, the second is refused."""
    held = cloud.head_with_lease("t")
    assert cloud.index.replace_head(held, with_lease(held, "one", beat=2))
    assert not cloud.index.replace_head(held, with_lease(held, "other", beat=2))
    now = cloud.index.read_head()
    assert now
    assert now.lease
    assert now.lease.token == "one"
