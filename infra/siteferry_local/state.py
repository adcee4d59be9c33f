"""The state directory: what a run of the local stack keeps on disk, and where."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siteferry_local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Site names have no dot, so none of these can be taken for a site's folder.
_LOCK = ".siteferry-local"
_OF_ONE_RUN = (
    ".bin",
    ".tls",
    ".tmp",
    "cdk.out",
    "emulator.log",
    "synth.log",
    "deploy.log",
    "ftp.log",
    "outputs.json",
    "verdicts.jsonl",
)


@dataclass(frozen=True, slots=True)
class State:
    """The files of one run below `folder` (absolute)."""

    folder: Path

    @property
    def tls(self) -> Path:
        """The throw-away certificates."""
        return self.folder / ".tls"

    @property
    def programs(self) -> Path:
        """The programs that lead PATH."""
        return self.folder / ".bin"

    @property
    def temporary(self) -> Path:
        """Where the emulator and its Lambdas keep their temporary files."""
        return self.folder / ".tmp"

    @property
    def cdk_out(self) -> Path:
        """The synthesized cloud assembly."""
        return self.folder / "cdk.out"

    @property
    def outputs(self) -> Path:
        """What `cdk deploy` wrote about the stacks."""
        return self.folder / "outputs.json"

    @property
    def verdicts(self) -> Path:
        """Who asked for which action on what, and whether a policy let them: lines of JSON."""
        return self.folder / "verdicts.jsonl"

    @property
    def emulator_log(self) -> Path:
        """What the emulator and the Lambdas print."""
        return self.folder / "emulator.log"

    @property
    def synth_log(self) -> Path:
        """What `cdk synth` prints."""
        return self.folder / "synth.log"

    @property
    def deploy_log(self) -> Path:
        """What npm and the CDK CLI print."""
        return self.folder / "deploy.log"

    @property
    def ftp_log(self) -> Path:
        """What the FTP server logs."""
        return self.folder / "ftp.log"

    def root(self, site: str) -> Path:
        """Return the FTP root of a site, the only thing that is kept from run to run."""
        return self.folder / site / "root"

    def agent(self, site: str) -> Path:
        """Return the agent's own state of a site."""
        return self.folder / site / "agent"

    def configuration(self, site: str) -> Path:
        """Return the agent's configuration of a site."""
        return self.folder / site / "siteferry.toml"


@contextmanager
def claimed(folder: Path) -> Iterator[State]:
    """Take a state directory for this process and remove what an earlier run left, but for the FTP roots.

    Raises LocalStackError if another run uses the directory, or if it holds something else.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _LOCK).exists() and any(folder.iterdir()):
        raise LocalStackError(
            f"{folder} is not empty and was not made by siteferry-local; name a new or empty directory"
        )
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalStackError(
                f"{folder} is in use by another local stack; end that one or name another directory"
            ) from None
        os.set_inheritable(lock.fileno(), False)
        state = State(folder)
        _remove_earlier_run(state)
        state.temporary.mkdir()
        yield state
        shutil.rmtree(state.temporary, ignore_errors=True)


def _remove_earlier_run(state: State) -> None:
    """Remove what belongs to one run: the emulator's data are in memory, so nothing else of it is still true."""
    for name in _OF_ONE_RUN:
        _remove(state.folder / name)
    for folder in state.folder.iterdir():
        if folder.is_dir():
            _remove(folder / "agent")
            _remove(folder / "siteferry.toml")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
