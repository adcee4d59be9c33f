"""What the tests of hostile users share: a secret outside of the root, and what the agent was seen to do."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.unit.agent import racer
from tests.unit.agent.fakes import World

SECRET = b"SECRET: from outside of the root"
HANGS_SECONDS = 300
"""After which something is taken to hang. It is many times what the slowest of these tests needs."""
MOST_ROUNDS = 2000
"""Runs in which a race has to be met."""


@dataclass
class Watched:
    """A world whose every upload and every open is seen."""

    world: World
    bodies: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)
    """Of every object version that was ever put, with key and headers."""
    secrets: list[Path] = field(default_factory=list)
    opened: set[tuple[int, int]] = field(default_factory=set)
    """Device and inode of whatever was opened in this process, only to look (O_PATH) or to read."""

    @property
    def root(self) -> Path:
        """The site's root."""
        return self.world.root

    @property
    def outside(self) -> Path:
        """A place beside it, that is nobody's to publish."""
        return self.world.base / "outside"

    def hide(self, path: str) -> Path:
        """Put a secret outside of the root."""
        target = self.outside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(SECRET)
        self.secrets.append(target)
        status = target.lstat()
        self.opened.discard((status.st_dev, status.st_ino))  # another file's before
        return target

    def was_opened(self, path: Path) -> bool:
        """Tell whether a file was opened since the beginning."""
        status = path.lstat()
        return (status.st_dev, status.st_ino) in self.opened

    def assert_nothing_leaked(self) -> None:
        """Nothing of a secret was ever put, nor was one opened."""
        assert not [key for key, body, _ in self.bodies if SECRET in body]
        assert not [path for path in self.secrets if self.was_opened(path)]

    def race(self, *names: Path, times: int = 10, check: Callable[[], None] = lambda: None) -> None:
        """Make runs while another process has names change places, until the race was met some times.

        `check` is made after each run. The race is met when something is no longer what the scan saw: then it is left,
        or fails. All is settled here, so nothing else is.
        """
        met = 0
        with racing(*names), never_hanging():
            for _ in range(MOST_ROUNDS):
                summary = self.world.sync()
                self.assert_nothing_leaked()
                check()
                met += summary.failed + summary.deferred > 0
                if met >= times:
                    return
        raise AssertionError(f"the race was met {met} times in {MOST_ROUNDS} runs")


@contextmanager
def watching(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Watch a world, with a secret in outside/secret."""
    watched = Watched(world)
    watched.hide("secret")
    real_store, real_open = world.objects._store, os.open

    def store(key: str, body: bytes, headers: Mapping[str, str]) -> None:
        watched.bodies.append((key, body, dict(headers)))
        real_store(key, body, headers)

    def opening(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = real_open(path, flags, mode, dir_fd=dir_fd)
        status = os.fstat(descriptor)
        watched.opened.add((status.st_dev, status.st_ino))
        return descriptor

    with monkeypatch.context() as patch:
        patch.setattr(world.objects, "_store", store)
        patch.setattr(os, "open", opening)
        yield watched


@contextmanager
def racing(*names: Path) -> Iterator[None]:
    """Have pairs of names change places in a process of its own as fast as it can."""
    command = [sys.executable, "-I", "-S", racer.__file__, *map(str, names)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == b"begun\n"
            yield
        finally:
            process.kill()


@contextmanager
def never_hanging() -> Iterator[None]:
    """Fail where something hangs."""

    def hangs(_: int, __: FrameType | None) -> None:
        raise AssertionError(f"it hung for {HANGS_SECONDS} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANGS_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mark_of(headers: Mapping[str, str]) -> str:
    """Give the mtime that an object was put with."""
    return headers["x-amz-meta-mtime"]
