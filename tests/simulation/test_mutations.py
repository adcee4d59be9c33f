"""Proof that the simulation can fail: each clause of the protocol is missed within a few schedules."""

import pytest

from tests.simulation.generator import draw
from tests.simulation.mutations import FAMILIES_OF, HARMLESS_AT_REST, MUTATIONS
from tests.simulation.world import run_schedule

SCHEDULES = 60
"""At most; most clauses are missed within the first five."""
HARMLESS_SCHEDULES = 25


@pytest.mark.parametrize("clause", sorted(MUTATIONS.keys() - HARMLESS_AT_REST.keys()))
def test_a_clause_that_is_left_out_is_missed(clause: str) -> None:
    """Some schedule of its family ends well with the clause, and without it in a loss, a leak or something stale."""
    for seed in range(SCHEDULES):
        schedule = draw(seed, family=FAMILIES_OF[clause])
        failures = run_schedule(schedule, clause).failures
        if failures and not failures[0].startswith("ESCAPED") and not run_schedule(schedule).failures:
            return
    pytest.fail(f"{SCHEDULES} schedules end well without it")


@pytest.mark.parametrize("clause", sorted(HARMLESS_AT_REST))
def test_a_clause_that_only_spares_moments_is_not_missed_at_rest(clause: str) -> None:
    """Without the clause, all is as the tree asks once all is quiet."""
    for seed in range(HARMLESS_SCHEDULES):
        assert not run_schedule(draw(seed, story=seed % 2 == 0), clause).failures
