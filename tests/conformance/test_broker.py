"""The invalidation broker's ledger, the tree's shape, and what is completed."""

import uuid

import pytest

from siteferry_contract.errors import ContractError
from siteferry_contract.shape import Shape, shape_of, shape_to_item
from siteferry_lambdas.ledger import Ledger
from tests.conformance.cloud import Cloud


def test_a_ledger_that_was_never_written_is_empty(cloud: Cloud) -> None:
    """And the first write of it needs none to be there."""
    empty = cloud.broker.ledger()
    assert empty == Ledger()
    first = empty.reserve("a", 3, 1, 7, 1.5)
    assert cloud.broker.replace(empty, first)
    assert cloud.broker.ledger() == first
    assert not cloud.broker.replace(empty, empty.reserve("b", 1, 0, 7, 1.5))
    assert cloud.broker.ledger() == first


def test_a_ledger_is_written_over_what_was_read_only(cloud: Cloud) -> None:
    """Of two who read the same, one writes; the other learns it."""
    empty = cloud.broker.ledger()
    first = empty.reserve("a", 3, 1, 7, 1.5)
    assert cloud.broker.replace(empty, first)
    second = first.created("a", "I1")
    assert cloud.broker.replace(first, second)
    assert not cloud.broker.replace(first, first.reserve("c", 1, 0, 7, 2.0))
    assert cloud.broker.ledger() == second


def test_the_items_of_the_broker_are_no_leaves(cloud: Cloud) -> None:
    """Agent and handlers do not stumble over them."""
    empty = cloud.broker.ledger()
    assert cloud.broker.replace(empty, empty.reserve("a", 3, 1, 7, 1.5))
    cloud.plant(shape_to_item(Shape({"": 1})))
    assert cloud.leaves.directory("") == []
    assert list(cloud.index.leaves()) == []


def test_a_shape_is_read_as_it_was_written(cloud: Cloud) -> None:
    """With every directory, however many."""
    shape = shape_of(((f"d{n % 97}/é{n}", n) for n in range(5_000)), tagged_run=7)
    cloud.plant(shape_to_item(shape))
    assert cloud.broker.shape() == shape


def test_a_shape_of_another_release_is_an_error(cloud: Cloud) -> None:
    """It is not guessed at."""
    cloud.plant({**shape_to_item(Shape({"": 1})), "version": {"N": "999"}})
    with pytest.raises(ContractError, match="version 999"):
        cloud.broker.shape()


def test_an_invalidation_is_completed_some_time(cloud: Cloud) -> None:
    """By the id that its creation gave."""
    reference = uuid.uuid4().hex
    created = cloud.cdn.invalidate([f"/{cloud.prefix}a"], reference)
    assert cloud.cdn.invalidate([f"/{cloud.prefix}a"], reference) == created
    end = cloud.now() + 1200
    while created not in cloud.cdn.completed():
        assert cloud.now() < end
        cloud.receive("copy")  # takes some seconds
