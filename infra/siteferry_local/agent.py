"""The agent, run as it is on a host: a process of its own with a configuration file and its own key."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from siteferry_local.emulator import own_environment
from siteferry_local.errors import AgentEndedError
from siteferry_local.processes import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from siteferry_local.stack import LocalSite
    from siteferry_local.state import State

_KEPT_LINES = 15
_GRACE_SECONDS = 20.0  # a run in the middle of an upload may finish it


class Agent:
    """A running agent daemon."""

    def __init__(self, process: subprocess.Popen[bytes], report: Callable[[str], None]) -> None:
        self._process = process
        self._report = report
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reader = threading.Thread(target=self._relay, name="agent-output", daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raise AgentEndedError, with its last lines, if the agent has ended."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(1)
            lines = "\n".join(f"  {line}" for line in self._last) or "  (it printed nothing)"
            raise AgentEndedError(f"the agent ended with exit code {code}; its last lines:\n{lines}")

    def wait(self) -> None:
        """Wait for the agent's end, which is an error like in `check`."""
        self._process.wait()
        self.check()

    def _relay(self) -> None:
        for line in self._process.stdout or ():
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            self._last.append(text)
            self._report(text)


@contextmanager
def agent_daemon(state: State, site: LocalSite, *, report: Callable[[str], None]) -> Iterator[Agent]:
    """Run `siteferry run` for a site until the block is left; every line that it prints goes to `report`."""
    environment = own_environment(state) | site.agent_env | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "siteferry", "run", "--config", site.config]
    with running(command, environment=environment, output=subprocess.PIPE, grace_seconds=_GRACE_SECONDS) as process:
        yield Agent(process, report)
