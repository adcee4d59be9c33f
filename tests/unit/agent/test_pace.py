"""The pace of uploads: a limit is kept, a SlowDown is heeded, and without either nobody waits."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siteferry.config import load_config
from siteferry.pace import FIRST_GAP, LONGEST_GAP, ONE_ANSWER_SECONDS, Pace
from tests.unit.agent.fakes import ManualClock, World

SIZES = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=50)


@given(sizes=SIZES, rate=st.integers(1, 10**9), idle=st.floats(0, 100))
def test_a_bandwidth_is_never_exceeded(sizes: list[int], rate: int, idle: float) -> None:
    """Between any two requests there is time enough for all bytes from the first on; idle time is not saved up."""
    clock = ManualClock(1000.0)
    pace = Pace(clock, rate)
    begun = []
    for number, size in enumerate(sizes):
        if number == len(sizes) // 2:
            clock.wait(idle)
        pace.wait(size)
        begun.append(clock.time)
    assert all(b - a >= size / rate * 0.999 - 1e-6 for (a, b), size in zip(pairwise(begun), sizes, strict=False))


@given(sizes=SIZES)
def test_nobody_waits_without_a_reason(sizes: list[int]) -> None:
    """Without a limit, and as long as S3 takes everything, no time passes."""
    clock = ManualClock(1000.0)
    pace = Pace(clock)
    for size in sizes:
        pace.wait(size)
    assert clock.time == 1000.0


def gap(pace: Pace, clock: ManualClock) -> float:
    """Measure the seconds between two requests."""
    pace.wait(0)
    before = clock.time
    pace.wait(0)
    return clock.time - before


def test_each_slowdown_halves_the_pace_and_calm_brings_it_back() -> None:
    """Answers to what was sent at one pace count once; as long as they go on, it slows; then it recovers to none."""
    clock = ManualClock(1000.0)
    pace = Pace(clock)
    for _ in range(5):
        pace.slow_down()
    assert gap(pace, clock) == pytest.approx(FIRST_GAP)
    for _ in range(30):
        clock.wait(ONE_ANSWER_SECONDS)
        pace.slow_down()
    assert LONGEST_GAP / 2 < gap(pace, clock) <= LONGEST_GAP
    clock.wait(120)
    assert gap(pace, clock) == 0


def test_the_operators_bandwidth_reaches_the_uploads(world: World, tmp_path: Path) -> None:
    """`max_bandwidth = 0.5` gives three files of a megabyte four seconds: the first begins at once."""
    file = tmp_path / "siteferry.toml"
    file.write_text(f'site = "www"\nroot = "{tmp_path / "tree"}"\nstate_dir = "/var/lib/x"\nmax_bandwidth = 0.5\n')
    world.config = replace(world.config, max_bandwidth=load_config(file).max_bandwidth)
    for name in ("a", "b", "c"):
        world.write(name, b"x" * 1_000_000)
    world.clock.wait(world.config.settle)
    before = world.clock.time
    assert world.sync().uploaded == 3
    assert world.clock.time - before == pytest.approx(4.0)
