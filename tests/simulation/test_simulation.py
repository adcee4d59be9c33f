"""A few hundred schedules of everything at once, with fixed seeds; `python -m tests.simulation` makes more."""

import pytest

from tests.simulation.generator import draw
from tests.simulation.world import run_schedule

BATCHES = 6
BATCH = 40


@pytest.mark.parametrize("batch", range(BATCHES))
def test_all_is_as_the_tree_asks_once_all_is_quiet(batch: int) -> None:
    """Whatever users, crashes, late messages and time-outs did: bucket, index and caches end as the tree is."""
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        result = run_schedule(draw(seed))
        assert not result.failures, f"python -m tests.simulation --seed {seed} --schedules 1\n{result.failures}"


def test_a_seed_is_a_schedule() -> None:
    """The same seed runs the same way again, line by line."""
    one, other = run_schedule(draw(7)), run_schedule(draw(7))
    assert [line[:2] for line in one.trail] == [line[:2] for line in other.trail]
