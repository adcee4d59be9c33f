"""The daemon's cases: what a cycle without a change costs once it runs, and how soon one changed file is live."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.measure import cpu_seconds, descendants, proportional_bytes, resident_bytes
from tests.bench.tree import walk
from tests.bench.workbench import Rows, Workbench, WrongError

CYCLES: Final = 5
"""Without a change, in a round."""
_LOOK_SECONDS: Final = 0.01
_LONGEST_SECONDS: Final = 600
INTERVAL_SECONDS: Final = 1.0
"""As the configuration has it."""


@contextmanager
def _running(bench: Workbench, configuration: Path | None = None, cycles: int = 3) -> Iterator["_Daemon"]:
    log = bench.folder / "daemon.log"
    command = bench.site.command("run")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command[:-1], str(configuration)] if configuration else command,
            env=bench.site.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    daemon = _Daemon(bench, process)
    try:
        daemon.wait_cycles(cycles)  # what the first looks leave behind for later ones is there
        yield daemon
    finally:
        process.terminate()
        if code := process.wait():
            raise WrongError(f"siteferry run ended with {code}:\n{log.read_text()[-2000:]}")


class _Daemon:
    """A running daemon; each of its cycles ends with a new status in its state directory."""

    def __init__(self, bench: Workbench, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._status = bench.site.state / "status.json"
        self._status.unlink(missing_ok=True)

    def cycle(self) -> int:
        """Give what changes with each cycle; 0 before the first has ended."""
        try:
            return self._status.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait for something to be true; raises WrongError if it never is."""
        ends = time.monotonic() + _LONGEST_SECONDS
        while not done():
            if self.process.poll() is not None or time.monotonic() > ends:
                raise WrongError("siteferry run does not do what is waited for")
            time.sleep(_LOOK_SECONDS)

    def wait_cycles(self, number: int, each: Callable[[], None] = lambda: None) -> None:
        """Wait until so many more cycles have ended, doing something between looks."""
        for _ in range(number):
            before = self.cycle()

            def ended(before: int = before) -> bool:
                each()
                return self.cycle() != before

            self.wait(ended)


def idle(bench: Workbench, rounds: int) -> Rows:
    """`siteferry run`, nothing changes: a cycle's mean, and all requests of a round."""
    bench.bring_to_par()
    rows: Rows = {}
    with _running(bench) as daemon:
        for _ in range(rounds):
            rows.setdefault(bench.site.name, []).append(_idle_round(bench, daemon))
    return rows


def _idle_round(bench: Workbench, daemon: _Daemon) -> dict[str, Any]:
    rss = largest = 0

    def look() -> None:
        nonlocal rss, largest
        each = [resident_bytes(pid) for pid in descendants(daemon.process.pid)]
        rss, largest = max(rss, sum(each)), max(largest, *each)

    daemon.wait_cycles(1)
    bench.server.reset()
    begun, cpu = time.perf_counter(), cpu_seconds(daemon.process.pid)
    daemon.wait_cycles(CYCLES, look)
    seconds, cpu = time.perf_counter() - begun, cpu_seconds(daemon.process.pid) - cpu
    pss = sum(map(proportional_bytes, descendants(daemon.process.pid)))
    counts = bench.server.counts()
    return {
        "cpu": cpu / CYCLES,
        "wall": seconds / CYCLES,
        "rss": rss,
        "pss": pss,
        "largest": largest,
        "requests": dict(counts.requests),
        "units": counts.units,
        "server_cpu": counts.cpu_seconds,
    }


def one_file(bench: Workbench, rounds: int) -> Rows:
    """`siteferry run`, one file is overwritten: seconds until its PUT, and all requests until it is quiet again."""
    bench.bring_to_par()
    rows: Rows = {}
    paths = sorted(name for name, _ in walk(bench.root))
    with _running(bench) as daemon:
        for turn in range(rounds):
            daemon.wait_cycles(1)
            path = bench.root / paths[(turn + 1) * len(paths) // (rounds + 1)]
            bench.server.reset()
            cpu = cpu_seconds(daemon.process.pid)
            body = b"changed" + path.read_bytes()
            begun = time.perf_counter()
            path.write_bytes(body)
            daemon.wait(lambda: bench.server.counts().requests["s3.PutObject"] > 0)
            live = time.perf_counter() - begun
            daemon.wait_cycles(2)
            counts = bench.server.counts()
            row = {"cpu": cpu_seconds(daemon.process.pid) - cpu, "wall": live, "requests": dict(counts.requests)}
            rows.setdefault(bench.site.name, []).append(row | {"units": counts.units})
    bench.at_par.intersection_update({bench.site.name})
    return rows


def hinted(bench: Workbench, rounds: int) -> Rows:
    """`siteferry run` with an hour between cycles, one file is overwritten and the FTP server's log says so."""
    bench.bring_to_par()
    rows: Rows = {}
    log, configuration = bench.folder / "xferlog", bench.folder / "hinted.toml"
    log.touch()
    text = bench.site.configuration.read_text()
    configuration.write_text(
        text.replace("interval = 1\n", "interval = 3600\n") + f'[hints]\ninotify = false\nlogs = ["{log}"]\n'
    )
    paths = sorted(name for name, _ in walk(bench.root))
    with _running(bench, configuration, cycles=1) as daemon:
        for turn in range(rounds):
            path = bench.root / paths[(2 * turn + 1) * len(paths) // (2 * rounds)]
            bench.server.reset()
            cpu, before = cpu_seconds(daemon.process.pid), daemon.cycle()
            body = b"hinted" + path.read_bytes()
            begun = time.perf_counter()
            path.write_bytes(body)
            with log.open("ab") as out:
                out.write(b"Mon Nov  2 09:05:01 2026 1 127.0.0.1 1 %s b _ i r www ftp 0 * c\n" % os.fsencode(path))
            daemon.wait(lambda: bench.server.counts().requests["s3.PutObject"] > 0)
            live = time.perf_counter() - begun
            daemon.wait(lambda before=before: daemon.cycle() != before)  # type: ignore[misc]
            counts = bench.server.counts()
            row = {"cpu": cpu_seconds(daemon.process.pid) - cpu, "wall": live, "requests": dict(counts.requests)}
            rows.setdefault(bench.site.name, []).append(row | {"units": counts.units})
    bench.at_par.intersection_update({bench.site.name})
    return rows
