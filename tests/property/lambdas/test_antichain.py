"""The choice of directories, beside a plain dynamic programme over every sum of gains."""

from random import Random
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from siteferry_lambdas import antichain
from siteferry_lambdas.antichain import Items, choose


@st.composite
def trees(draw: st.DrawFn) -> Items:
    """Give a tree of up to 80 directories; what is beneath a directory is counted in it too, as in a cover."""
    rng, kind = Random(draw(st.integers(0, 2**32))), draw(st.sampled_from(["any", "in proportion", "alike", "exp"]))
    number, weight = draw(st.integers(1, 80)), draw(st.sampled_from([1, 10]))
    counts = [rng.randrange(9) for _ in range(number)]
    over = [
        {"any": rng.randrange(50), "in proportion": 7 * n, "alike": 5, "exp": int(2 ** (14 * rng.random())) - 1}[kind]
        for n in counts
    ]
    unit = sum(counts) + weight * number + 1
    path, above = [0], [-1]
    for n in range(1, number):
        while len(path) > 1 and rng.random() < 0.5:
            path.pop()
        above.append(path[-1])
        path.append(n)
    sizes = [1] * number
    for n in range(number - 1, 0, -1):
        for sums in (sizes, counts, over):
            sums[above[n]] += sums[n]
    return Items(
        [max(count - 1, 0) for count in counts],
        [thrown * unit + weight - count for thrown, count in zip(over, counts, strict=True)],
        [n + size for n, size in enumerate(sizes)],
    )


NEEDS = st.integers(-3, 400)
MOST = st.sampled_from([None, 0, 1, 3, 15])


def _cheapest(items: Items, need: int, most: int | None) -> int | None:
    reached: list[dict[tuple[int, int], int]] = [{} for _ in range(len(items.gains) + 1)]
    reached[0][0, 0] = 0
    for n, (gain, cost, end) in enumerate(zip(items.gains, items.costs, items.ends, strict=True)):
        for (taken, gained), spent in reached[n].items():
            ways = [(n + 1, (taken, gained), spent)]
            if most is None or taken < most:
                ways.append((end, (taken + (most is not None), min(gained + gain, max(need, 0))), spent + cost))
            for position, key, total in ways:
                if total < reached[position].get(key, total + 1):
                    reached[position][key] = total
    return min((spent for (_, gained), spent in reached[-1].items() if gained >= need), default=None)


def _check(items: Items, need: int, most: int | None) -> None:
    choice = choose(items, need, most)
    if choice is None:
        assert most == 0 or max(items.gains) < need
        return
    assert choice.cost == sum(items.costs[n] for n in choice.positions)
    assert sum(items.gains[n] for n in choice.positions) >= need
    assert most is None or len(choice.positions) <= most
    assert all(items.ends[one] <= other for one, other in zip(choice.positions, choice.positions[1:], strict=False))
    if choice.exact:
        assert choice.cost == _cheapest(items, need, most)


@given(trees(), NEEDS, MOST)
def test_no_choice_is_cheaper(items: Items, need: int, most: int | None) -> None:
    """Of all that gain enough, with no directory beneath another and no more of them than allowed."""
    _check(items, need, most)
    choice = choose(items, need, most)
    assert choice is None or choice.exact


@given(trees(), NEEDS, MOST)
def test_a_choice_that_was_cut_short_holds_all_but_the_promise(items: Items, need: int, most: int | None) -> None:
    """And says so, unless it is the cheapest all the same."""
    with patch.multiple(antichain, WORK=20, NARROW=1, PRICES=1):
        _check(items, need, most)
