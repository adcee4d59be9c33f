"""The invalidation cover: which paths to invalidate so that everything changed is reached. No I/O.

Every path costs the same, exact or wildcard. A wildcard also throws out what did not change. Of all sets of exact paths
and wildcards that reach everything changed within the limits, the cover is one that throws out the fewest objects, and
of those one with the fewest paths, where a wildcard counts as `WILDCARD` paths because they are scarcer. Where the
tree's shape is not known, what a wildcard throws out is an estimate; what it reaches never is.

A directory is worth a wildcard if something changed in it itself or in two of its subdirectories: one whose changes are
all in a single subdirectory only throws out more. Which of these to take is `antichain`'s.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from siteferry_contract.keys import INDEX_NAME
from siteferry_lambdas.antichain import Items, choose

WHOLE_SITE: Final = "/*"
WILDCARD: Final = 10
"""Paths that a wildcard has to save where it throws nothing out and could be spared. CloudFront takes 200 times as many
paths as wildcards, but paths cost money."""
UNKNOWN: Final = 100
"""Objects that did not change, in a directory of which nothing is known. Only to compare: the more directories a
wildcard reaches, and the more of them unknown, the worse."""

Objects = Callable[[str], int | None]
"""Gives the number of objects beneath a directory, named by its URL path with both slashes; None: not known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one invalidation may have."""

    paths: int
    """Exact and wildcard paths together, at least 1."""
    wildcards: int
    """At least 0."""


@dataclass(frozen=True, slots=True)
class Cover:
    """What to invalidate."""

    exact: tuple[str, ...]
    """Sorted."""
    directories: tuple[str, ...] = ()
    """Those to be invalidated as a whole, sorted; each ends in a slash."""
    over: int = 0
    """Objects thrown out that did not change, estimated."""
    fewest: bool = True
    """No other cover throws out fewer. False: the search was cut short."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All of it as CloudFront takes it."""
        return tuple(sorted((*self.exact, *(f"{directory}*" for directory in self.directories))))


def cover(
    paths: Collection[str], limits: Limits, objects: Objects = lambda _: None, *, deepest: int | None = None
) -> Cover | None:
    """Cover every one of `paths`; None: they are more than the limits allow, and no wildcard is left.

    A directory's own URL (`/a/`) is the same object as its index file, and lies in the directory. No directory is
    chosen that is more than `deepest` levels beneath the root.
    """
    changed = sorted(set(paths))
    if not limits.wildcards and (len(changed) > limits.paths or WHOLE_SITE in changed):
        return None
    if WHOLE_SITE in changed:
        return Cover((), ("/",))
    tree = _tree(changed, objects, deepest)
    # With as many wildcards as paths, only the paths are scarce.
    most, weight = (None, 1) if limits.wildcards >= limits.paths else (limits.wildcards, WILDCARD)
    # Of equal cost, the choice that names fewer paths: no sum of them reaches the unit of cost.
    unit = len(changed) + weight * limits.wildcards + 1
    gains = [count - 1 for count in tree.counts]
    costs = [over * unit + weight - count for over, count in zip(tree.over, tree.counts, strict=True)]
    items = Items(gains, costs, tree.ends)
    choice = choose(items, len(changed) - limits.paths, most)
    if choice is None:
        return None
    taken = [tree.directories[n] for n in choice.positions]
    over = sum(tree.over[n] for n in choice.positions)
    return Cover(_rest(changed, taken), tuple(sorted(taken)), over, choice.exact)


@dataclass(frozen=True, slots=True)
class _Tree:
    """The directories worth a wildcard, in preorder."""

    directories: list[str]
    ends: list[int]
    counts: list[int]
    """Of the changed paths beneath each."""
    over: list[int]
    """Objects beneath each that did not change."""


def _tree(changed: list[str], objects: Objects, deepest: int | None) -> _Tree:
    counts: dict[str, int] = {}
    named: dict[str, set[str]] = {}
    for path in changed:
        directory, _, name = path.rpartition("/")
        if deepest is not None and directory.count("/") > deepest:
            directory = "/".join(directory.split("/", deepest + 1)[: deepest + 1])
            name = path
        directory += "/"
        counts[directory] = counts.get(directory, 0) + 1
        named.setdefault(directory, set()).add(name or INDEX_NAME)
    order = sorted(counts, key=_preorder)
    branching = {_common(one, other) for one, other in pairwise(order)}
    directories = sorted(branching.union(order), key=_preorder)
    own_paths = [counts.get(directory, 0) for directory in directories]
    own_objects = [len(named.get(directory, ())) for directory in directories]
    return _summed(directories, own_paths, own_objects, objects)


def _summed(directories: list[str], paths: list[int], changed: list[int], objects: Objects) -> _Tree:
    """Add up what is beneath each directory; `paths` and `changed` come with what is in it itself."""
    ends, over, thrown = [0] * len(directories), [0] * len(directories), [0] * len(directories)
    above: list[int] = []

    def leave(end: int) -> None:
        n = above.pop()
        ends[n] = end
        known = objects(directories[n])
        # What is beneath cannot be less than what is further beneath, whatever an outdated shape says.
        over[n] = thrown[n] + UNKNOWN if known is None else max(known - changed[n], thrown[n])
        if above:
            for sums in (paths, changed):
                sums[above[-1]] += sums[n]
            thrown[above[-1]] += over[n]

    for n, directory in enumerate(directories):
        while above and not directory.startswith(directories[above[-1]]):
            leave(n)
        above.append(n)
    while above:
        leave(len(directories))
    return _Tree(directories, ends, paths, over)


def _preorder(directory: str) -> str:
    """Sort a directory right before all beneath it: no character of a URL path comes before this one."""
    return directory.replace("/", "\1")


def _common(one: str, other: str) -> str:
    """Give the deepest directory that holds both."""
    if other.startswith(one):
        return one
    length = next(n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: one.rindex("/", 0, length) + 1]


def _rest(changed: list[str], taken: list[str]) -> tuple[str, ...]:
    """Give the paths that no directory taken holds."""
    directories = set(taken)
    held: dict[str, bool] = {}

    def is_held(directory: str) -> bool:
        missing = []
        while directory not in held:
            if directory in directories or directory == "/":
                held[directory] = directory in directories
                break
            missing.append(directory)
            directory = directory[: directory.rindex("/", 0, -1) + 1]
        for below in missing:
            held[below] = held[directory]
        return held[directory]

    return tuple(path for path in changed if not is_held(path[: path.rindex("/") + 1]))
