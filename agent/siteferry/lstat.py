"""lstat of a directory's names: one after the other where that is fast, many at a time where each has to wait.

On a warm local disk a stat takes a microsecond or two, and threads would only wait for one another; over a network it
takes hundreds, and all of it is waiting.
"""

import functools
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

SLOW_SECONDS: Final = 30e-6
"""A stat that takes longer waits for something."""
SAMPLE: Final = 4
"""Names of each directory that are looked at first, to see how fast it is: caches differ from one to the next."""
THREADS: Final = 32
SLICE: Final = 16
"""Names that a thread takes at a time; fewer in a small directory, so that all threads have some."""


def lstat_all(entries: Sequence["os.DirEntry[str]"]) -> list[os.stat_result]:
    """Give the state of each entry, in order, symlinks not followed; raises OSError."""
    begun = time.perf_counter()
    states = _one_by_one(entries[:SAMPLE])
    is_slow = time.perf_counter() - begun > SLOW_SECONDS * len(states)
    rest = entries[SAMPLE:]
    if not (is_slow and rest):
        return states + _one_by_one(rest)
    size = max(SAMPLE, min(SLICE, -(-len(rest) // THREADS)))
    slices = [rest[start : start + size] for start in range(0, len(rest), size)]
    looks = [_pool().submit(_one_by_one, part) for part in slices]
    wait(looks)  # whatever came of one: the directory must stay open for all of them
    for look in looks:
        states += look.result()
    return states


def _one_by_one(entries: Sequence["os.DirEntry[str]"]) -> list[os.stat_result]:
    return [entry.stat(follow_symlinks=False) for entry in entries]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="lstat")
