"""The index table in memory: items as DynamoDB has them, conditions, transactions, the size limit."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, TypeVar

from siteferry.errors import IndexDamagedError
from siteferry.head import Head, head_to_item, item_to_head
from siteferry_contract.index import is_leaf, item_to_leaf, leaf_to_item
from siteferry_contract.keys import join
from siteferry_contract.leaf import Entry, FileEntry, Leaf, sort_name

T = TypeVar("T")

MAX_ITEM_BYTES: Final = 400_000
MAX_TRANSACTION: Final = 100
_COMPARED: Final = ("version", "epoch", "run", "open", "lease_token", "lease_beat")


class NoTableError(Exception):
    """Somebody deleted the table."""


@dataclass(slots=True)
class Table:
    """The table. Every method is one atomic effect."""

    deleted: bool = False
    head_item: dict[str, Any] | None = None
    items: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    written: Callable[[Head, Head], None] = lambda _before, _after: None
    """Hears of every write of the head: what was there, and what is."""
    committed: Callable[[Mapping[str, FileEntry], Mapping[str, FileEntry]], None] = lambda _before, _after: None
    """Hears of every commit: the files of its directories before and after."""
    _decoded: dict[tuple[str, str], tuple[Mapping[str, Any], Leaf]] = field(default_factory=dict)
    """Leaves by key, with the items that they were decoded from."""

    def delete(self) -> None:
        """Delete it, and all that is in it."""
        self.deleted, self.head_item = True, None
        self.items.clear()
        self._decoded.clear()

    def create(self) -> None:
        """Have an empty one in its place."""
        self.deleted = False

    def asked(self, effect: Callable[[], T]) -> Callable[[], T]:
        """Give an effect that raises NoTableError if there is nothing to have it on."""

        def ask() -> T:
            if self.deleted:
                raise NoTableError
            return effect()

        return ask

    @property
    def head(self) -> Head | None:
        """The head."""
        return item_to_head(self.head_item) if self.head_item else None

    def create_head(self, head: Head) -> None:
        """Put the head if there is none."""
        if self.head_item is None:
            if self.leaf_keys():
                raise IndexDamagedError("leaves without a head")
            self.head_item = head_to_item(head)

    def replace_head(self, old: Head, new: Head) -> bool:
        """Put the head if the one that is there is `old`."""
        there, expected = self.head_item or {}, head_to_item(old)
        if any(there.get(name) != expected.get(name) for name in _COMPARED):
            return False
        self.head_item = head_to_item(new)
        self.written(item_to_head(there), new)
        return True

    def transact(self, leaves: Sequence[Leaf], token: str) -> bool:
        """Put leaves if the lease has this token."""
        assert 0 < len(leaves) < MAX_TRANSACTION
        items = [leaf_to_item(leaf) for leaf in leaves]
        keys = [(item["pk"]["S"], item["sk"]["S"]) for item in items]
        assert len(set(keys)) == len(keys), "DynamoDB refuses two operations on one item"
        assert all(len(item["blob"]["B"]) + 4096 < MAX_ITEM_BYTES for item in items)
        if (self.head_item or {}).get("lease_token") != {"S": token}:
            return False
        directories = sorted({leaf.directory for leaf in leaves})
        before = self.files(directories)
        self.items.update(zip(keys, items, strict=True))
        self.committed(before, self.files(directories))
        return True

    def get(self, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Get an item that is neither leaf nor head."""
        return self.items.get((key["pk"]["S"], key["sk"]["S"]))

    def put_if(self, item: Mapping[str, Any], name: str, value: Mapping[str, Any] | None) -> bool:
        """Put such an item if an attribute of the one that is there has this value; None: if there is none."""
        key = item["pk"]["S"], item["sk"]["S"]
        there = self.items.get(key)
        if (value is None) != (there is None) or (there is not None and there.get(name) != value):
            return False
        assert sum(len(str(found)) for found in item.values()) < MAX_ITEM_BYTES
        self.items[key] = item
        return True

    def put(self, item: Mapping[str, Any]) -> None:
        """Put an item that is neither leaf nor head."""
        self.items[item["pk"]["S"], item["sk"]["S"]] = item

    def leaf_at(self, key: tuple[str, str]) -> Leaf:
        """Give one leaf by its key."""
        item = self.items[key]
        known = self._decoded.get(key)
        if known is None or known[0] is not item:
            known = self._decoded[key] = item, item_to_leaf(item)
        return known[1]

    def leaf_for(self, directory: str, name: str) -> Leaf | None:
        """Give the leaf with the greatest bound that is not above a name."""
        bounds = sorted(sk for pk, sk in self.items if pk == f"/{directory}")
        position = bisect_right(bounds, f"/{name}") - 1
        return self.leaf_at((f"/{directory}", bounds[position])) if position >= 0 else None

    def directory(self, directory: str) -> list[Leaf]:
        """Give the leaves of a directory in order."""
        return [self.leaf_at(key) for key in sorted(self.items) if key[0] == f"/{directory}"]

    def all(self) -> list[Leaf]:
        """Give every leaf in order."""
        return [self.leaf_at(key) for key in self.leaf_keys()]

    def leaf_keys(self) -> list[tuple[str, str]]:
        """Give the keys of the leaves in order; a handler may have items of its own beside them."""
        return sorted(key for key, item in self.items.items() if is_leaf(item))

    def entries(self, directory: str) -> dict[str, Entry]:
        """Give the entries of a directory by sort name. What a leaf has from the next one's bound on is out of date."""
        leaves = self.directory(directory)
        return {
            sort_name(entry): entry
            for leaf, following in zip_longest(leaves, leaves[1:])
            for entry in leaf.entries
            if following is None or sort_name(entry) < following.bound
        }

    def files(self, directories: Sequence[str] | None = None) -> dict[str, FileEntry]:
        """Give every live key with its entry, or those of some directories."""
        if directories is None:
            directories = sorted({leaf.directory for leaf in self.all()})
        return {
            join(directory, entry.name): entry
            for directory in directories
            for entry in self.entries(directory).values()
            if isinstance(entry, FileEntry)
        }
