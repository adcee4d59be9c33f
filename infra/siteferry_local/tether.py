"""Run a command whose whole process group dies with the process that started it, however that one ends.

Usage: `python tether.py PARENT_PID COMMAND [ARGUMENT ...]`, as the leader of a process group. Linux only: see
prctl(2), PR_SET_PDEATHSIG. The kernel tells only the child of a process that has died, so this program stays beside
the command to pass it on to the rest: the emulator's Lambdas, for one, would live on.
"""

import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PARENT_DIED = signal.SIGUSR1


def main() -> int:
    """Run the command to its end; return its exit code, or 128 and the number of the signal that ended it."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    signal.signal(_PARENT_DIED, _end_group)
    # The group gets these too, and the command's end is awaited. A handler, as to ignore would be inherited.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _do_nothing)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _PARENT_DIED)
    if os.getppid() != parent:  # it died before the request: the signal will never come
        return 1
    try:
        code = subprocess.Popen(command).wait()
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    return code if code >= 0 else 128 - code


def _end_group(_number: int, _frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
