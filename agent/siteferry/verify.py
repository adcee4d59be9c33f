"""Which directories are no longer as they were: the known ones are digested again, on several processors.

A cycle without a change is this and nothing else, so it looks at each directory once, through its parent's descriptor,
and keeps nothing of what it read. Every process has a range of directories with about as many names.
"""

import itertools
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from siteferry.diff import Excludes
from siteferry.links import Links
from siteferry.names import path_of
from siteferry.scan import digest_directory
from siteferry.tree import Tree, open_directory

NAMES_PER_PROCESS: Final = 40_000
"""Fewer are not worth a process of their own, which takes some 50 ms to start."""
MOST_PROCESSES: Final = 4
DIRECTORY_WEIGHT: Final = 5
"""A directory costs about as much as this many names in it."""

_DONE: Final = b"\0"
"""Ends a process's answer. No path has such a component."""
_PROGRESS: Final = b"\0\0"
"""Says that a process gets on; nor has any path this one."""
PROGRESS_SECONDS: Final = 5.0
"""Between two of them."""

_CUT: Final = """
SELECT place FROM (
    SELECT place, sum(names + ?) OVER (ORDER BY place) AS up_to FROM snapshot
) WHERE up_to >= ? LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Range:
    """Directories from a place on, up to another; None: to the end."""

    first: bytes
    end: bytes | None

    def arguments(self) -> list[str]:
        """Give it as arguments of a command."""
        return [self.first.hex(), "-" if self.end is None else self.end.hex()]

    @classmethod
    def parse(cls, first: str, end: str) -> Self:
        """Read it back."""
        return cls(bytes.fromhex(first), None if end == "-" else bytes.fromhex(end))


def changed_directories(tree: Tree, cache: Path, *, processes: int | None = None) -> Iterator[bytes]:
    """Give the paths of the known directories that are not as the cache has them, each before what is beneath it.

    `processes`: how many may work; by default as many as this one may use, but at most four.
    """
    available = processes or min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
    with closing(_connect(cache)) as db, ExitStack() as stack:
        ranges = _cut(db, available)
        helpers = [stack.enter_context(_Helper(tree, cache, part)) for part in ranges[1:]]
        yield from map(path_of, _verify(tree.descriptor, db, ranges[0], tree.progress, tree.links))
        for helper in helpers:
            yield from map(path_of, helper.answer(db))


def _cut(db: sqlite3.Connection, most: int) -> list[Range]:
    names, directories = db.execute("SELECT coalesce(sum(names), 0), count(*) FROM snapshot").fetchone()
    total = names + DIRECTORY_WEIGHT * directories
    number = max(1, min(most, total // NAMES_PER_PROCESS))
    cuts = [b""]
    for n in range(1, number):
        (place,) = db.execute(_CUT, (DIRECTORY_WEIGHT, total * n // number)).fetchone()
        if place > cuts[-1]:
            cuts.append(place)
    return [Range(first, end) for first, end in zip(cuts, [*cuts[1:], None], strict=True)]


def _verify(
    root: int, db: sqlite3.Connection, part: Range, progress: Callable[[], None], links: Links | None
) -> Iterator[bytes]:
    """Give the places of a range whose directories have changed, or cannot be read."""
    query = "SELECT place, directory, digest FROM snapshot WHERE place >= ? AND (? OR place < ?) ORDER BY place"
    rows = db.execute(query, (part.first, part.end is None, part.end))
    with _Descent(root, progress, links) as descent:
        for place, directory, digest in rows:
            if not digest or descent.digest(place, directory) != digest:
                yield place


class _Descent:
    """Goes from directory to directory, with those above the last one open."""

    def __init__(self, root: int, progress: Callable[[], None], links: Links | None) -> None:
        self._root, self._progress, self._links = root, progress, links
        self._open: list[tuple[bytes, int]] = []
        """(name, descriptor) from beneath the root downwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)

    def digest(self, place: bytes, key: str) -> bytes | None:
        """Give the digest of a directory; None if it cannot be read."""
        names = place.split(b"\0") if place else []
        common = 0
        while common < min(len(names), len(self._open)) and self._open[common][0] == names[common]:
            common += 1
        self._leave(common)
        try:
            for name in names[common:]:
                parent = self._open[-1][1] if self._open else self._root
                self._open.append((name, open_directory(parent, name)))
            descriptor = self._open[-1][1] if self._open else self._root
            return digest_directory(descriptor, key, self._progress, path_of(place), self._links)
        except OSError:
            return None

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])


class _Helper:
    """A process that verifies a range."""

    def __init__(self, tree: Tree, cache: Path, part: Range) -> None:
        self._tree, self._part = tree, part
        self._process = subprocess.Popen(  # noqa: S603  this very interpreter, and nothing that a user wrote
            _command(tree, cache, part), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=(tree.descriptor,)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.__exit__(None, None, None)

    def answer(self, db: sqlite3.Connection) -> Iterator[bytes]:
        """Give the places that it found; if it dies, the rest of its range is verified here."""
        last = b""
        assert self._process.stdout
        while header := self._process.stdout.read(4):
            found = self._process.stdout.read(int.from_bytes(header, "big"))
            if found == _DONE:
                return
            self._tree.progress()
            if found != _PROGRESS:
                yield (last := found)
        rest = Range(last + b"\0", self._part.end) if last else self._part
        yield from _verify(self._tree.descriptor, db, rest, self._tree.progress, self._tree.links)


def _command(tree: Tree, cache: Path, part: Range) -> list[str]:
    follows = [tree.links.argument()] if tree.links else []
    arguments = [str(tree.descriptor), str(cache), *part.arguments(), *follows]
    return [sys.executable, "-I", "-m", "siteferry.verify", *arguments]


def _connect(cache: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{cache.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def main(arguments: Sequence[str]) -> int:
    """Verify a range as a process of its own: descriptor of the root, cache, range; how symlinks are followed."""
    root, cache, first, end, *follows = arguments
    links = None
    if follows:
        roots, globs = json.loads(follows[0])
        links = Links(int(root), [bytes.fromhex(path) for path in roots], Excludes(globs))
    out = sys.stdout.buffer
    told = time.monotonic()

    def tell(place: bytes) -> None:
        out.write(len(place).to_bytes(4, "big") + place)

    def progress() -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            tell(_PROGRESS)
            out.flush()

    with closing(_connect(Path(cache))) as db:
        for place in itertools.chain(_verify(int(root), db, Range.parse(first, end), progress, links), [_DONE]):
            tell(place)
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
