"""lstat of many names: the states, whatever the file system's speed; threads only where each look has to wait."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from siteferry import lstat
from siteferry.lstat import SAMPLE, lstat_all

NAMES = 300


class Slow:
    """An entry of a file system that takes its time."""

    def __init__(self, entry: "os.DirEntry[str]", threads: set[int]) -> None:
        self._entry, self._threads = entry, threads
        self.name = entry.name

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Look, from whichever thread."""
        self._threads.add(threading.get_ident())
        time.sleep(2 * lstat.SLOW_SECONDS)  # not a wait for anything: what a slow file system does
        return self._entry.stat(follow_symlinks=follow_symlinks)


@pytest.fixture
def entries(tmp_path: Path) -> list["os.DirEntry[str]"]:
    """Give a directory's entries, a dangling symlink among them."""
    for number in range(NAMES):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    (tmp_path / "link").symlink_to("nowhere")
    return list(os.scandir(tmp_path))


@pytest.mark.parametrize("number", [0, 1, SAMPLE, SAMPLE + 1, 50, NAMES + 1])
def test_slow_looks_are_made_together_and_come_back_in_order(entries: list[Any], number: int) -> None:
    """Threads are used for all but the sample, and each state is its name's."""
    threads: set[int] = set()
    states = lstat_all([Slow(entry, threads) for entry in entries[:number]])  # type: ignore[misc]
    assert states == [entry.stat(follow_symlinks=False) for entry in entries[:number]]
    assert (len(threads) > 1) is (number > SAMPLE)


def test_fast_looks_are_made_by_the_one_who_asks(entries: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is made where looks are fast."""
    monkeypatch.setattr(lstat, "SLOW_SECONDS", 60.0)
    monkeypatch.setattr(lstat, "_pool", lambda: pytest.fail("a pool was made"))
    assert lstat_all(entries) == [entry.stat(follow_symlinks=False) for entry in entries]


@pytest.mark.parametrize("slow", [False, True])
def test_a_name_that_vanished_is_an_error(entries: list[Any], slow: bool, tmp_path: Path) -> None:
    """Whoever looks, that a name is gone is told."""
    (tmp_path / "7").unlink()
    looks: list[Any] = [Slow(entry, set()) for entry in entries] if slow else entries
    with pytest.raises(FileNotFoundError):
        lstat_all(looks)
