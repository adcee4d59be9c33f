"""Reading the index: which leaf decides about a key, and what a directory has."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from siteferry_contract.errors import ContractError
from siteferry_contract.keys import join, split
from siteferry_contract.leaf import Entry, Leaf, sort_name
from siteferry_lambdas.errors import HandlerError, MissingLeafError
from siteferry_lambdas.ports import Index, ParallelMap


def leaves_for(index: Index, keys: Iterable[str], parallel: ParallelMap) -> dict[str, Leaf | Exception]:
    """Give for each key the leaf that decides about it, or why that is not known. Reads a leaf once."""
    names = _by_directory(keys)

    def read(directory: str) -> dict[str, Leaf | Exception]:
        return {
            f"{directory}/{name}" if directory else name: found
            for name, found in _read_directory(index, directory, sorted(names[directory]))
        }

    return {key: found for part in parallel(read, names) for key, found in part.items()}


def subdirectories_among(index: Index, keys: Iterable[str], parallel: ParallelMap) -> list[str]:
    """Give those of the keys that the index has as subdirectories. What it cannot tell is left out."""
    names = _by_directory(keys)

    def read(directory: str) -> list[str]:
        wanted = sorted(f"{name}/" for name in names[directory])
        return [
            join(directory, name.removesuffix("/"))
            for name, found in _read_directory(index, directory, wanted)
            if isinstance(found, Leaf) and found.entry(name) is not None
        ]

    return [key for part in parallel(read, names) for key in part]


def entries_of(leaves: Sequence[Leaf]) -> Iterator[Entry]:
    """Give the entries of a directory's leaves, in order.

    While a leaf splits, its upper half is written before the lower one shrinks: what a leaf has from the next
    leaf's bound on is stale, and the next leaf decides.
    """
    for leaf, following in zip(leaves, [*leaves[1:], None], strict=True):
        for entry in leaf.entries:
            if following is None or sort_name(entry) < following.bound:
                yield entry


def _by_directory(keys: Iterable[str]) -> dict[str, set[str]]:
    names: defaultdict[str, set[str]] = defaultdict(set)
    for key in keys:
        directory, name = split(key)
        names[directory].add(name)
    return names


def _read_directory(index: Index, directory: str, names: list[str]) -> Iterator[tuple[str, Leaf | Exception]]:
    while names:
        try:
            leaf = index.leaf_for(directory, names[-1])
        except (HandlerError, ContractError) as error:
            # Its bound is unknown, so it is not known whether it also decides about the other names.
            yield names.pop(), error
            continue
        if leaf is None:
            yield from ((name, MissingLeafError(f"key {name!r} of directory {directory!r}")) for name in names)
            return
        # No other leaf's bound is between this one's and the greatest name, so all names from its bound on are its.
        first = min(bisect_left(names, leaf.bound), len(names) - 1)
        yield from ((name, leaf) for name in names[first:])
        del names[first:]
