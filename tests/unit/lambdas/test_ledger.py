"""The broker's ledger."""

import pytest

from siteferry_contract.errors import ContractError
from siteferry_contract.index import is_leaf
from siteferry_lambdas.cover import Limits
from siteferry_lambdas.ledger import (
    COMPLETED_AFTER,
    CRASHED_AFTER,
    MAX_PATHS,
    MAX_WILDCARDS,
    RUN_PATHS,
    RUNS,
    Ledger,
    item_to_ledger,
    ledger_to_item,
)

NOVEMBER, DECEMBER = 1_795_391_999.0, 1_796_083_200.0


def test_the_item_comes_back_as_it_went() -> None:
    """And it is no leaf of the index."""
    ledger = Ledger().at(NOVEMBER).reserve("a", 7, 2, 3, NOVEMBER).created("a", "I1").reserve("b", 1, 0, 4, NOVEMBER)
    assert item_to_ledger(ledger_to_item(ledger)) == ledger
    assert not is_leaf(ledger_to_item(ledger))


@pytest.mark.parametrize(
    "damage", [{"version": {"N": "2"}}, {"active": {"S": "["}}, {"runs": {"S": "[[1]]"}}, {"beat": {}}]
)
def test_an_item_of_another_release_is_an_error(damage: dict[str, dict[str, str]]) -> None:
    """Nothing is guessed."""
    with pytest.raises(ContractError, match="broker's item"):
        item_to_ledger({**ledger_to_item(Ledger()), **damage})


def test_each_window_may_use_a_part_of_what_is_left() -> None:
    """So that a run gets coarser and coarser, and the last window still gets its path."""
    ledger, wildcards = Ledger(), 0
    for window in range(60):
        limits = ledger.allowance(1, 10**9)
        assert limits
        assert limits.paths >= 1
        assert limits.wildcards >= (wildcards < MAX_WILDCARDS)
        used = min(limits.wildcards, 1) if window % 2 else limits.wildcards
        wildcards += used
        ledger = ledger.reserve(str(window), limits.paths if limits.wildcards else 1, used, 1, 0.0)
    assert sum(entry.wildcards for entry in ledger.active) == MAX_WILDCARDS
    assert 2_000 < sum(entry.paths for entry in ledger.active) <= MAX_PATHS


def test_nothing_is_allowed_when_all_paths_are_in_progress() -> None:
    """The window has to wait."""
    assert Ledger().reserve("a", MAX_PATHS, 0, 1, 0.0).allowance(2, 10**9) is None


def test_without_a_wildcard_all_that_is_left_is_allowed() -> None:
    """Only exact paths can be right then."""
    assert Ledger().reserve("a", 500, MAX_WILDCARDS, 1, 0.0).allowance(2, 10**9) == Limits(MAX_PATHS - 500, 0)


def test_a_run_may_cost_so_much_however_long_it_takes() -> None:
    """What is completed is free again, but not for the run that used it."""
    ledger = Ledger().reserve("a", RUN_PATHS, 0, 1, 0.0).created("a", "I1").without({"I1"})
    assert ledger.allowance(1, 10**9) == Limits(1, 3)
    assert ledger.allowance(2, 10**9) == Limits(RUN_PATHS // 4, 3)


def test_only_the_latest_runs_are_remembered() -> None:
    """The item does not grow."""
    ledger = Ledger()
    for run in range(100):
        ledger = ledger.reserve(str(run), 1, 0, run, 0.0)
    assert [run for run, _ in ledger.runs] == list(range(100 - RUNS, 100))


def test_an_invalidation_is_over_by_its_age() -> None:
    """One that nothing was heard of since it was reserved is over sooner."""
    ledger = Ledger().reserve("a", 1, 0, 1, 0.0).reserve("b", 1, 0, 1, 0.0).created("a", "I1")
    assert [entry.reference for entry in ledger.at(CRASHED_AFTER - 1).active] == ["b", "a"][::-1]
    assert [entry.reference for entry in ledger.at(CRASHED_AFTER).active] == ["a"]
    assert ledger.at(COMPLETED_AFTER).active == ()


def test_the_same_invalidation_is_counted_once() -> None:
    """An attempt that crashed may have created it: the next one with the same paths costs nothing."""
    ledger = Ledger().at(NOVEMBER).reserve("a", 7, 2, 1, NOVEMBER).reserve("a", 7, 2, 1, NOVEMBER)
    assert (ledger.spent, len(ledger.active), ledger.runs) == (7, 1, ((1, 7),))


def test_what_was_refused_costs_nothing() -> None:
    """It is free again, for the run and the month too."""
    ledger = Ledger().at(NOVEMBER).reserve("a", 7, 2, 1, NOVEMBER).refused("a", 1)
    assert (ledger.spent, ledger.active, ledger.runs) == (0, (), ((1, 0),))


def test_a_month_begins_with_nothing_spent() -> None:
    """By UTC; what is in progress stays so."""
    ledger = Ledger().at(NOVEMBER).reserve("a", 7, 2, 1, NOVEMBER).created("a", "I1")
    assert (ledger.at(NOVEMBER).month, ledger.at(NOVEMBER).spent) == ("2026-11", 7)
    later = ledger.at(NOVEMBER + 600)
    assert later.spent == 7
    december = Ledger(month="2026-11", spent=7).at(DECEMBER)
    assert (december.month, december.spent) == ("2026-12", 0)


def test_a_window_may_use_a_tenth_of_what_is_left_of_the_budget() -> None:
    """And one path when nothing is."""
    for spent, paths in ((0, 100), (500, 50), (990, 1), (1000, 1), (1200, 1)):
        limits = Ledger(spent=spent).allowance(1, 1000)
        assert limits
        assert limits.paths == paths
    assert Ledger(spent=1000).budget_used(1000) == 100
    assert Ledger(spent=999).budget_used(1000) == 99
