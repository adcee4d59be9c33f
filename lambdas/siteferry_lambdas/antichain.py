"""Which directories to invalidate as a whole: a knapsack on a tree, solved exactly. No I/O.

An item is a directory: taking it gains something (paths that need not be named) and costs something (objects thrown
out). Items stand in preorder, so that all beneath one come right after it, up to its `end`. Wanted is the cheapest set
of which no item lies beneath another, of at most `most` items, that gains `need`.

The order makes it a walk instead of a recursion: at an item, either go on to the next one, or take it and go on at its
end. Three things keep the walk short:

- A price on gain (a Lagrange multiplier) makes the rest of the walk easy: what it costs at least, less what it gains at
  that price, follows from the back in one pass. The best price is where gaining too little and enough cost the same.
- Items that no solution better than the best one known can have, by that bound, are left out before the walk.
- Of two ways to the same place, one that gains no more, costs no less and has taken no fewer items is dropped.

For almost all trees what is left is a handful. It need not be (where all cost in proportion to what they gain, it is a
problem of exact sums), so a walk of more than `WORK` steps ends with the best choice seen: a right one, but perhaps not
the cheapest, and it says so. A narrow walk, which follows the most promising ways only, comes first, so that it is a
good one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

WORK: Final = 250_000
"""Steps after which a walk ends: about a second's worth, on a Lambda of 512 MB three."""
NARROW: Final = 16
"""Ways that a narrow walk follows at a time."""
PRICES: Final = 24
"""Prices tried at most. Few are needed."""


@dataclass(frozen=True, slots=True)
class Items:
    """What there is to choose from, in preorder."""

    gains: Sequence[int]
    """Each at least 0."""
    costs: Sequence[int]
    """May be below 0."""
    ends: Sequence[int]
    """The position after the last item beneath each."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take."""

    cost: int
    positions: tuple[int, ...]
    """In order."""
    exact: bool = True
    """No choice is cheaper."""


_HOPELESS: Final = 1 << 200

_Way = tuple[int, int, int, "_Taken | None"]
"""Cost, gain, number of items taken, and which."""
_Taken = tuple["_Taken | None", int]
_Bounds = list[list[int]]
"""By position and by the number of items that may still be taken: what the rest of a walk costs at least."""


def choose(items: Items, need: int, most: int | None) -> Choice | None:
    """Give the cheapest choice that gains `need` with at most `most` items (None: with any number).

    None: there is no item that gains enough alone, so perhaps no choice at all.
    """
    free = _solve(items, 0, most)
    if free.gain >= need:
        return Choice(free.cost, free.positions)
    alone = [(cost, n) for n, (gain, cost) in enumerate(zip(items.gains, items.costs, strict=True)) if gain >= need]
    if not alone or most == 0:
        return None
    cost, position = min(alone)
    price, best = _best_price(items, need, most, free, _Solution(items.gains[position], cost, (position,)))
    reduced = _Problem(items, range(len(items.gains)), need, most, price).without_hopeless(best.cost)
    first = reduced.walk(best, width=NARROW)
    last = reduced.without_hopeless(first.cost).walk(first, width=None)
    return Choice(last.cost, tuple(sorted(last.positions)), last.exact)


@dataclass(frozen=True, slots=True)
class _Solution:
    gain: int
    cost: int
    positions: tuple[int, ...]


def _solve(items: Items, price: int, most: int | None) -> _Solution:
    """Choose as if gain were paid for, and none needed."""
    bounds = _bounds(items, price, most)
    at, left, taken = 0, -1 if most is None else most, []
    while at < len(items.gains):
        if bounds[at][left] == bounds[at + 1][left]:
            at += 1
        else:
            taken.append(at)
            at, left = items.ends[at], left - (most is not None)
    return _Solution(sum(items.gains[n] for n in taken), sum(items.costs[n] for n in taken), tuple(taken))


def _bounds(items: Items, price: int, most: int | None) -> _Bounds:
    """Give what the rest costs at least, less what it gains at a price. Without `most` there is one column."""
    gains, costs, ends = items.gains, items.costs, items.ends
    bounds: _Bounds = [[]] * len(gains)
    bounds.append([0] * (1 if most is None else most + 1))
    for n in range(len(gains) - 1, -1, -1):
        after, value = bounds[n + 1], costs[n] - price * gains[n]
        if value >= 0:
            bounds[n] = after
        elif most is None:
            bounds[n] = [min(after[0], value + bounds[ends[n]][0])]
        else:
            taking = [value + rest for rest in bounds[ends[n]]]
            bounds[n] = [after[0], *map(min, after[1:], taking)]
    return bounds


def _best_price(items: Items, need: int, most: int | None, low: _Solution, high: _Solution) -> tuple[int, Choice]:
    """Give the price whose bound is the highest, or nearly, and the cheapest choice seen that gains enough."""
    best, price = high, 0
    for _ in range(PRICES):
        tried = -((low.cost - high.cost) // (high.gain - low.gain))
        if tried == price:
            break
        price = tried
        found = _solve(items, price, most)
        value = found.cost - price * found.gain
        if value >= min(low.cost - price * low.gain, high.cost - price * high.gain):
            break
        if found.gain >= need:
            high = found
            best = min(best, found, key=lambda solution: solution.cost)
        else:
            low = found
    return price, Choice(best.cost, best.positions)


class _Problem:
    """Items, of which some are left out, with bounds at one price."""

    def __init__(self, items: Items, names: Sequence[int], need: int, most: int | None, price: int) -> None:
        self._items, self._names = items, names
        self._need, self._most, self._price = need, most, price
        self._priced = _bounds(items, price, most)
        self._free = _bounds(items, 0, most)
        self._losses = _bounds(Items(items.gains, [0] * len(items.gains), items.ends), 1, most)
        """The greatest gains, below 0."""

    def without_hopeless(self, cost: int) -> "_Problem":
        """Leave out the items that are in no choice cheaper than `cost`."""
        items, most, priced = self._items, self._most, self._priced
        gains, costs, ends = items.gains, items.costs, items.ends
        limit = cost - self._price * self._need
        reaching: list[list[int] | None] = [None] * (len(gains) + 1)
        reaching[0] = [0] * len(priced[-1])
        kept = []
        for n in range(len(gains)):
            before = reaching[n] or []
            reaching[n] = None
            value = costs[n] - self._price * gains[n]
            rest = priced[ends[n]]
            # What was taken before and what is taken later share what `most` leaves beside this one.
            both = [before[0] + rest[0]] if most is None else map(int.__add__, before, reversed(rest[:-1]))
            if value + min(both, default=limit) < limit:
                kept.append(n)
            _arrive(reaching, n + 1, before)
            if value < 0:
                taking = [value + b for b in before]
                _arrive(reaching, ends[n], taking if most is None else [before[0], *taking[:-1]])
        counts = [0] * (len(gains) + 1)
        for n in kept:
            counts[n + 1] = 1
        for n in range(len(gains)):
            counts[n + 1] += counts[n]
        fewer = Items([gains[n] for n in kept], [costs[n] for n in kept], [counts[ends[n]] for n in kept])
        return _Problem(fewer, [self._names[n] for n in kept], self._need, most, self._price)

    def walk(self, best: Choice, *, width: int | None) -> Choice:
        """Look for a choice cheaper than `best`; a narrow walk finds a good one, a wide one the cheapest."""
        items, need = self._items, self._need
        step, cost, found, exact = self._most is not None, best.cost, None, width is None
        waiting: dict[int, list[_Way]] = {0: [(0, 0, 0, None)]}
        ways: list[_Way] = []
        work = 0
        for n, (gain, price_of, end) in enumerate(zip(items.gains, items.costs, items.ends, strict=True)):
            if n in waiting:
                ways = self._front(ways + waiting.pop(n), n, width)
            work += len(ways)
            if width is None and work > WORK:
                exact = False
                break
            going_on = []
            for way in ways:
                if self._least(way, n + 1) < cost:
                    going_on.append(way)
                if way[2] == self._most:
                    continue
                taking: _Way = (way[0] + price_of, way[1] + gain, way[2] + step, (way[3], n))
                if taking[1] >= need and taking[0] < cost:
                    cost, found = taking[0], taking[3]
                if self._least(taking, end) < cost:
                    waiting.setdefault(end, []).append(taking)
            ways = going_on
        positions = best.positions if found is None else tuple(self._names[n] for n in _unfold(found))
        return Choice(cost, positions, exact)

    def _least(self, way: _Way, position: int) -> int:
        """Give what a way costs at least that is to be a choice cheaper than all others."""
        cost, gain, used, _ = way
        left = -1 if self._most is None else self._most - used
        if gain - self._losses[position][left] < self._need:
            return _HOPELESS
        free = cost + self._free[position][left]
        return max(free, cost + self._priced[position][left] + self._price * (self._need - gain))

    def _front(self, ways: list[_Way], position: int, width: int | None) -> list[_Way]:
        """Drop the ways that another one is as good as in every respect."""
        ways.sort(key=lambda way: (way[0], -way[1], way[2]))
        gained = [-1] * (len(self._priced[-1]))
        """By items taken at most: the greatest gain of a way that is kept."""
        front = []
        for way in ways:
            gain, used = min(way[1], self._need), way[2]
            if gained[used] >= gain:
                continue
            front.append(way)
            for more in range(used, len(gained)):
                if gained[more] >= gain:
                    break
                gained[more] = gain
        if width is None or len(front) <= width:
            return front
        return nsmallest(width, front, key=lambda way: self._least(way, position))


def _arrive(reaching: list[list[int] | None], position: int, costs: list[int]) -> None:
    there = reaching[position]
    reaching[position] = costs if there is None else list(map(min, there, costs))


def _unfold(taken: _Taken | None) -> list[int]:
    positions = []
    while taken is not None:
        taken, position = taken
        positions.append(position)
    return positions
