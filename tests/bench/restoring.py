"""The way back: one bucket restored to a directory, by siteferry and by its peers, in turn."""

import functools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from tests.bench.limit import compile_no_fsync
from tests.bench.tree import walk
from tests.bench.workbench import Rows, Workbench, WrongError, in_turn

WITHOUT_FSYNC: Final = "siteferry, without fsync"
FROM_BUCKET: Final = "siteferry --from-bucket"


@dataclass(frozen=True, slots=True)
class Way:
    """One of the command lines that are compared."""

    name: str
    line: Callable[[Path], Sequence[str]]
    """Of a destination."""
    environment: Mapping[str, str]
    like: str = ""
    """Whose destination it works on; "": its own."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """Below the folder each tool has its destination."""

    bench: Workbench
    folder: Path

    def run(self, way: Way, turn: int = 0) -> dict[str, Any]:
        """Restore by one of the ways, and check what came of it.

        Nothing is removed before the end: ext4 passes over inodes that were just given back, one by one.
        """
        destination = self.folder / f"{turn}" / (way.like or way.name)
        destination.mkdir(parents=True, exist_ok=True)
        os.sync()  # what the one before left to be written is not this one's
        row = self.bench.run_line(way.name, way.line(destination), way.environment)
        verify(self.bench.root, destination, way.name)
        return row

    def clear(self) -> None:
        """Remove what was restored."""
        shutil.rmtree(self.folder)


def from_nothing(bench: Workbench, rounds: int) -> Rows:
    """The directory is empty."""
    spot = _open(bench)
    ways = [_siteferry(bench), _siteferry(bench, "--from-bucket"), *_peers(bench)]
    if library := compile_no_fsync(bench.folder):
        preloaded = {**bench.site.environment, "LD_PRELOAD": str(library)}
        ways.append(Way(WITHOUT_FSYNC, bench.site.restore_command, preloaded))
    rows: Rows = {way.name: [] for way in ways}
    for turn in range(rounds):
        for way in in_turn(ways, turn):
            rows[way.name].append(spot.run(way, turn))
    spot.clear()
    return rows


def again(bench: Workbench, rounds: int) -> Rows:
    """Nothing differs from what the same tool restored."""
    spot = _open(bench)
    begin = [_siteferry(bench), *_peers(bench)]
    for way in begin:
        spot.run(way)
    ways = [*begin, *(_siteferry(bench, "--compare", what, like=bench.site.name) for what in ("mtime", "size"))]
    ways += [_by_checksum(way) for way in begin if way.name == "rclone"]
    rows: Rows = {way.name: [] for way in ways}
    for turn in range(rounds):
        for way in in_turn(ways, turn):
            rows[way.name].append(row := spot.run(way))
            if row["requests"].get("s3.GetObject"):
                raise WrongError(f"{way.name} downloads what is there")
    spot.clear()
    return rows


def _open(bench: Workbench) -> _Spot:
    """Have the bucket as the tree is, and let it be read."""
    bench.site.forget()  # and with it the keys whose deletes nobody made
    bench.wait_settled()
    bench.run(bench.site)
    bench.verify(bench.site)
    bench.at_par.add(bench.site.name)
    bench.server.serve_bodies(bench.root)
    return _Spot(bench, bench.folder / "restored")


def verify(root: Path, destination: Path, name: str) -> None:
    """Check a restored tree, byte for byte; raises WrongError."""
    for left, right in zip_longest(sorted(walk(root)), sorted(walk(destination))):
        if left is None or left != right or (root / left[0]).read_bytes() != (destination / left[0]).read_bytes():
            raise WrongError(f"{name} restored {right} for {left}")


def _siteferry(bench: Workbench, *options: str, like: str = "") -> Way:
    name = bench.site.name

    def line(destination: Path) -> list[str]:
        return bench.site.restore_command(destination, *options)

    return Way(" ".join([name, *options]), line, bench.site.environment, like)


def _peers(bench: Workbench) -> list[Way]:
    """Give them: they read the bucket that siteferry made."""
    ways = []
    for peer in bench.peers:
        if peer.restores:
            line = functools.partial(peer.restore_command, bench.site.bucket)
            ways.append(Way(peer.name, line, peer.environment))
    return ways


def _by_checksum(way: Way) -> Way:
    """Have rclone read every file, as siteferry does."""

    def line(destination: Path) -> list[str]:
        return [*way.line(destination), "--checksum"]

    return Way(f"{way.name} --checksum", line, way.environment, way.name)
