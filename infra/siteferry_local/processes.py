"""Child processes that never outlive the local stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from siteferry_local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_TETHER = Path(__file__).with_name("tether.py")
_POLL_SECONDS = 0.02


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: IO[bytes] | int,
    cwd: Path | None = None,
    grace_seconds: float = 5.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own; on leaving the block, end the whole group.

    `output` takes stdout and stderr. The group gets SIGTERM, and SIGKILL when the command has ended or the grace is
    over. If this process is killed, so is the group: its leader is a `tether`, which ends with the command.
    To be called on the main thread, because to the kernel the parent is the thread.
    """
    process = subprocess.Popen(
        [sys.executable, "-S", str(_TETHER), str(os.getpid()), *command],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        process_group=0,
    )
    try:
        yield process
    finally:
        _end_group(process, grace_seconds)


@contextmanager
def logged(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, cwd: Path, remedy: str
) -> Iterator[Callable[[], None]]:
    """Run a command with its output appended to `log`; what is given waits for its end.

    That raises LocalStackError, with the last lines of the output, when the command fails.
    """
    start = log.stat().st_size if log.exists() else 0

    def finish() -> None:
        code = process.wait()
        if code != 0:
            what = f"`{' '.join(command[:2])}`"
            raise LocalStackError(f"{what} ended with code {code}; {remedy} The end of {log}:\n{tail(log, start)}")

    with log.open("ab") as output, running(command, environment=environment, output=output, cwd=cwd) as process:
        yield finish


def tail(log: Path, start: int = 0, lines: int = 25) -> str:
    """Return the last lines that were written to a log after the offset `start`."""
    if not log.exists():
        return "  (nothing was written)"
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode("utf-8", "replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (nothing was written)"


def _end_group(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End every process of the group whose leader is `process`."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while process.returncode is None and not _has_ended(process.pid) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    # The leader is not reaped yet, so its group id cannot have been given to somebody else.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(_POLL_SECONDS)


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave it to be reaped."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
