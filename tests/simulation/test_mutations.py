"""Proof that the simulation can fail: each clause of the protocol is missed within a few dozen schedules."""

import pytest

from tests.simulation.generator import draw
from tests.simulation.mutations import FAMILIES_OF, HARMLESS_AT_REST, MUTATIONS
from tests.simulation.world import run_schedule

SCHEDULES = 400
"""At most; most clauses are missed within the first ten."""


@pytest.mark.parametrize("clause", sorted(MUTATIONS.keys() - HARMLESS_AT_REST.keys()))
def test_a_clause_that_is_left_out_is_missed(clause: str) -> None:
    """Some schedule ends well with the clause, and without it in a loss, a leak, something stale, or never."""
    family = FAMILIES_OF.get(clause, "")
    for seed in range(SCHEDULES):
        schedule = draw(seed, story=seed % 2 == 0 and not family, family=family)
        if run_schedule(schedule, clause).failures and not run_schedule(schedule).failures:
            return
    pytest.fail(f"{SCHEDULES} schedules end well without it")
