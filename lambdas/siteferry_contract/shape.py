"""The tree's shape: how many objects are beneath each directory. No I/O.

The agent writes it as an item of the index table, outside the leaves' space; the invalidate handler reads it to know
what a wildcard would throw out. It is an estimate, never a truth: it is as old as the agent's last word, and of a large
tree it has the directories with the most objects only. Nothing but cost may be decided by it, with one exception,
`tagged_run`.

Directories are named as a visitor sees them: their directory keys without the site's prefix, "" for the root.

Item: version, total, typical, tagged_run (absent: None), and a blob: zlib of the counts, in decimal and joined by
spaces, and the directories, sorted, all joined by NUL.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from siteferry_contract.copy_rules import CopyRule, is_reserved_directory
from siteferry_contract.errors import ContractError
from siteferry_contract.index import SHAPE_KEY
from siteferry_contract.keys import root_directory
from siteferry_contract.versions import WRITTEN, check_version

MAX_BLOB_BYTES: Final = 300_000
"""Compressed. An item may have 400 KB."""

_MAX_DECODED_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """How many objects are beneath each directory, at the time of writing."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By directory. The directory above one that is here is here too."""
    typical: int = 0
    """What a directory has that is not among them, on average; 0: all are among them."""
    tagged_run: int | None = None
    """The run at whose close every object in the bucket, duplicates and directory pages included, carried the cache
    tags that `cache_tags` gives it by the copy rules in force, and at which no cache could hold one without. None:
    there is no such run. What later runs change may be invalidated by tags. It must be taken back before copy rules
    change or objects are put without tags."""

    @property
    def total(self) -> int:
        """Objects in all."""
        return self.counts.get("", 0)

    def objects(self, directory: str) -> int:
        """Estimate the objects beneath a directory."""
        if directory in self.counts:
            return self.counts[directory]
        above = directory
        while above and above not in self.counts:
            above = above.rpartition("/")[0]
        return min(self.typical, self.counts.get(above, 0))


def shape_of(
    counts_by_directory: Iterable[tuple[str, int]],
    *,
    prefix: str = "",
    rules: Sequence[CopyRule] = (),
    tagged_run: int | None = None,
    max_blob_bytes: int = MAX_BLOB_BYTES,
) -> Shape:
    """Make the shape from the number of objects right in each directory, given by directory key.

    What copy rules duplicate is added. Of more directories than fit into an item, those with the most objects stay.
    """
    root = root_directory(prefix)
    relative = ((directory.removeprefix(root).removeprefix("/"), count) for directory, count in counts_by_directory)
    sums = _summed(with_duplicates(relative, rules))
    # Upper directories first: none has less than one beneath it.
    order = sorted(sums, key=lambda directory: (-sums[directory], directory.count("/") + bool(directory), directory))
    keep = len(order)
    while True:
        counts = {directory: sums[directory] for directory in order[:keep]}
        size = len(_encode(counts))
        if size <= max_blob_bytes or keep <= 1:
            break
        keep = max(1, min(keep - 1, int(keep * max_blob_bytes / size * 0.98)))
    left = [sums[directory] for directory in order[keep:]]
    return Shape(counts, -(-sum(left) // len(left)) if left else 0, tagged_run)


def with_duplicates(
    counts_by_directory: Iterable[tuple[str, int]], rules: Sequence[CopyRule]
) -> Iterator[tuple[str, int]]:
    """Give the objects right in each directory with those in the directories that copy rules make of it."""
    for directory, count in counts_by_directory:
        yield directory, count
        name = f"{directory}/" if directory else ""
        if is_reserved_directory(directory, rules):
            continue
        for rule in rules:
            if name.startswith(rule.source):
                yield f"{rule.destination}{name.removeprefix(rule.source)}"[:-1], count


def shape_to_item(shape: Shape) -> dict[str, Any]:
    """Encode a shape."""
    item = {
        **SHAPE_KEY,
        "version": {"N": str(WRITTEN["shape"])},
        "total": {"N": str(shape.total)},
        "typical": {"N": str(shape.typical)},
        "blob": {"B": _encode(shape.counts)},
    }
    return item if shape.tagged_run is None else {**item, "tagged_run": {"N": str(shape.tagged_run)}}


def item_to_shape(item: Mapping[str, Any]) -> Shape:
    """Decode a shape; raises ContractError if this release cannot read it."""
    try:
        check_version("shape", int(item["version"]["N"]))
        run = item.get("tagged_run")
        counts = _decode(item["blob"]["B"])
        if int(item["total"]["N"]) != counts.get("", 0):
            raise ContractError("its total is not what it has beneath its root")
        return Shape(counts, int(item["typical"]["N"]), None if run is None else int(run["N"]))
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ContractError(f"the tree's shape cannot be read: {error!r}") from error


def _summed(counts_by_directory: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {"": 0}
    for directory, count in counts_by_directory:
        sums[directory] = sums.get(directory, 0) + count
    levels: dict[int, set[str]] = {}
    for directory in sums:
        levels.setdefault(directory.count("/") + bool(directory), set()).add(directory)
    for level in range(max(levels), 0, -1):
        for directory in levels[level]:
            above = directory.rpartition("/")[0]
            sums[above] = sums.get(above, 0) + sums[directory]
            levels.setdefault(level - 1, set()).add(above)
    return sums


def _encode(counts: Mapping[str, int]) -> bytes:
    directories = sorted(counts)
    numbers = " ".join(str(counts[directory]) for directory in directories)
    return zlib.compress("\0".join((numbers, *directories)).encode())


def _decode(blob: bytes) -> dict[str, int]:
    decoder = zlib.decompressobj()
    raw = decoder.decompress(bytes(blob), _MAX_DECODED_BYTES)
    if decoder.unconsumed_tail or not decoder.eof:
        raise ContractError("its blob is cut off or too long")
    numbers, *directories = raw.decode().split("\0")
    return dict(zip(directories, map(int, numbers.split(" ") if numbers else ()), strict=True))
