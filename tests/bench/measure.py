"""What a command costs, with all processes that it starts. Run as a program, it is their supervisor."""

import ctypes
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SAMPLE_SECONDS: Final = 0.02
"""Between two looks at the memory."""
_SHARE_OF_PSS: Final = 20
"""Looks at PSS take at most one part in so many of the time: the kernel walks every page for it."""
_PR_SET_CHILD_SUBREAPER: Final = 36
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took."""

    cpu: float
    """Seconds, user and system, of all its processes."""
    wall: float
    """Seconds."""
    rss: int
    """Peak of the sum of RSS over its processes, bytes: pages that they share count in each."""
    pss: int
    """Peak of the sum of PSS, bytes: shared pages count in part."""
    largest: int
    """Peak RSS of its largest process, bytes."""
    code: int
    """Exit code."""


def measure(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command to its end and tell what it took; what it prints goes to the log."""
    answer = log.with_suffix(".cost")
    supervisor = [sys.executable, "-I", "-S", __file__, str(answer), str(log), *command]
    subprocess.run(supervisor, env=dict(environment), check=True, stdin=subprocess.DEVNULL)
    return Cost(**json.loads(answer.read_text()))


def cpu_seconds(pid: int) -> float:
    """Give the CPU seconds of a running process, of its descendants that run and of those that it waited for."""
    total = 0
    for one in descendants(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / _TICK


def descendants(pid: int) -> Iterator[int]:
    """Give a process and all beneath it."""
    yield pid
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                    yield from descendants(int(child))


def resident_bytes(pid: int) -> int:
    """Give the RSS of a process; 0 if it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def proportional_bytes(pid: int) -> int:
    """Give the PSS of a process; 0 if it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return 0


def _supervise(log: Path, command: Sequence[str]) -> Cost:
    # Orphans come to this process: whatever was started is waited for, and so counted.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with log.open("ab") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    ended = os.pidfd_open(process.pid)
    rss = pss = 0
    look_again = 0.0
    while not select.select([ended], [], [], SAMPLE_SECONDS)[0]:
        pids = list(descendants(process.pid))
        rss = max(rss, sum(map(resident_bytes, pids)))
        now = time.perf_counter()
        if now >= look_again:
            pss = max(pss, sum(map(proportional_bytes, pids)))
            took = time.perf_counter() - now
            look_again = now + took * _SHARE_OF_PSS
    wall = time.perf_counter() - begun
    code = process.wait()
    with suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    largest = used.ru_maxrss * 1024
    return Cost(used.ru_utime + used.ru_stime, wall, max(rss, largest), pss, largest, code)


if __name__ == "__main__":
    cost = _supervise(Path(sys.argv[2]), sys.argv[3:])
    Path(sys.argv[1]).write_text(json.dumps({name: getattr(cost, name) for name in Cost.__slots__}))
