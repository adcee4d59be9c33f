"""Proof that the simulation can fail: each clause of the protocol is missed within a few hundred schedules."""

import pytest

from tests.simulation.mutations import HARMLESS_AT_REST, MUTATIONS, RARE
from tests.simulation.schedule import draw
from tests.simulation.world import run_schedule

SCHEDULES = 400
"""At most; most clauses are missed within the first hundred."""


@pytest.mark.parametrize("clause", sorted(MUTATIONS.keys() - HARMLESS_AT_REST - RARE))
def test_a_clause_that_is_left_out_is_missed(clause: str) -> None:
    """Without the clause, some schedule ends in a loss, a leak, something stale, or never at all."""
    assert any(run_schedule(draw(seed, story=seed % 2 == 0), clause).failures for seed in range(SCHEDULES))
