"""Edits of leaves, and their way into the index and the cache."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from siteferry.cache import Cache
from siteferry.errors import LeaseLostError, UnavailableError
from siteferry.lease import Control
from siteferry.ports import IndexStore
from siteferry_contract.leaf import Entry, FileEntry, Leaf, by_sort_name, sort_name, sorted_entries, split_entries

MAX_LEAVES: Final = 25
"""In one transaction. DynamoDB takes 100 items; fewer keep one refused transaction cheap."""
MAX_BYTES: Final = 3_000_000
"""In one transaction. DynamoDB takes 4 MB."""
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of one name of a directory."""

    new: Entry | None
    """None: the name is removed, and the leaf remembers that it had a delete."""


@dataclass(frozen=True, slots=True)
class Edited:
    """What became of one name."""

    name: str
    """Sort name."""
    old: Entry | None
    new: Entry | None
    had_delete: bool
    """Whether the leaf had a delete before."""
    born: bool = False
    """Whether there was no leaf before, so that no handler can have taken the name for dead."""


def edit_leaf(
    leaf: Leaf, edits: Mapping[str, Edit], run: int, *, gone: bool, end: str | None = None, born: bool = False
) -> tuple[list[Leaf], list[Edited]]:
    """Apply edits (by sort name) to a leaf whose range ends at `end`; a full leaf is split.

    Gives the leaves to write in the order in which to write them, upper parts first, and what changed.
    """
    entries = by_sort_name(leaf.entries)
    if end is not None:
        entries = {name: entry for name, entry in entries.items() if name < end}
    edited = [Edited(name, entries.get(name), edit.new, leaf.had_delete, born) for name, edit in edits.items()]
    for name, edit in edits.items():
        entries.pop(name, None)
        if edit.new is not None:
            entries[name] = edit.new
    removed = any(edit.new is None and not name.endswith("/") for name, edit in edits.items())
    parts = split_entries(sorted_entries(entries.values()))
    leaves = [
        Leaf(
            directory=leaf.directory,
            bound=leaf.bound if n == 0 else sort_name(part[0]),
            run=run,
            had_delete=leaf.had_delete or removed,
            gone=gone,
            entries=part,
        )
        for n, part in enumerate(parts)
    ]
    return leaves[::-1], edited


def edit_directory(
    cache: Cache, directory: str, edits: Mapping[str, Edit], run: int, *, gone: bool = False, rebuilt: bool = False
) -> tuple[list[Leaf], list[Edited]]:
    """Apply edits to the leaves of a directory that they touch.

    A directory without a leaf gets one. One that is gone has all its leaves marked. In an index that was `rebuilt`
    nobody knows what a new leaf's directory once had: its leaf had deletes.
    """
    known = cache.bounds(directory)
    # Without its first leaf, a directory was split by a commit that was cut short: handlers need one for every name.
    bounds = known if known[:1] == [""] else ["", *known]
    touched: dict[str, dict[str, Edit]] = {}
    for name, edit in edits.items():
        bound = bounds[bisect_right(bounds, name) - 1]
        touched.setdefault(bound, {})[name] = edit
    for bound in bounds if gone or not edits else bounds[:1] if not known or known[0] else []:
        touched.setdefault(bound, {})
    first = Leaf(directory, "", run, had_delete=rebuilt or bool(known), gone=False, entries=())
    leaves: list[Leaf] = []
    edited: list[Edited] = []
    for bound, part in sorted(touched.items()):
        following = bisect_right(bounds, bound)
        old = cache.leaf(directory, bound) if bound in known else first
        end = bounds[following] if following < len(bounds) else None
        new, changed = edit_leaf(old, part, run, gone=gone, end=end, born=not known)
        leaves += new
        edited += changed
    return leaves, edited


class Committer:
    """Writes leaves to the index, then to the cache, fenced by the lease."""

    def __init__(self, store: IndexStore, cache: Cache, control: Control, request_seconds: float) -> None:
        self._store, self._cache, self._control = store, cache, control
        self._request_seconds = request_seconds

    def commit(self, leaves: Sequence[Leaf]) -> None:
        """Write leaves in order; raises LeaseLostError, AccessError, UnavailableError."""
        batch: list[Leaf] = []
        size = 0
        for leaf in leaves:
            length = len(leaf.blob) + 2048
            if batch and (len(batch) >= MAX_LEAVES or size + length > MAX_BYTES):
                self._write(batch)
                batch, size = [], 0
            batch.append(leaf)
            size += length
        if batch:
            self._write(batch)

    def _write(self, leaves: Sequence[Leaf]) -> None:
        for attempt in range(TRIES):
            self._control.require(self._request_seconds)
            try:
                # What may have been written is written again: the leaves are the same, and nobody else writes any.
                if not self._store.commit(leaves, self._control.token):
                    raise LeaseLostError(
                        "a leaf commit was refused: the site's lease is no longer this agent's",
                        "only one agent may publish a site: stop one of them",
                    )
                break
            except UnavailableError:
                if attempt == TRIES - 1:
                    raise
        self._cache.put_leaves(leaves)


def shows_on_page(edited: Edited) -> bool:
    """Tell whether a directory page would show the difference."""
    if edited.name.startswith("."):
        return False
    old, new = edited.old, edited.new
    if isinstance(old, FileEntry) and isinstance(new, FileEntry):
        return (old.size, old.mtime_ns) != (new.size, new.mtime_ns)
    return old != new
