"""A real agent is killed again and again while it publishes and users go on editing; in the end everything is equal."""

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.agents import Agent, assert_published, wait_for

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("SITEFERRY_KILLS", "4"))
COPIES = {"docs/": "mirror/docs/"}


@pytest.fixture
def site(run_local_stack: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Give the site of a stack of this test's own."""
    with run_local_stack(None) as stack:
        yield stack.sites["www"]


class Users:
    """Edits a tree in a thread, with names of its own, until told to stop."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self._root, self._rng = root, rng
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.edits = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.01):
            folder = self._root / self._rng.choice(["docs", "a", "b/deep/er", "."])
            path = folder / f"{self._rng.randrange(60)}.{self._rng.choice(['txt', 'html', 'css'])}"
            kind = self._rng.choice(["write", "write", "write", "delete", "index", "move"])
            folder.mkdir(parents=True, exist_ok=True)
            if kind == "write":
                path.write_bytes(self._rng.randbytes(self._rng.randrange(5000)))
            elif kind == "index":
                path.with_name("index.html").write_text(f"index {self.edits}", "utf-8")
            elif kind == "delete":
                path.unlink(missing_ok=True)
                path.with_name("index.html").unlink(missing_ok=True)
            elif self._rng.random() < 0.05:
                shutil.rmtree(self._root / "moved", ignore_errors=True)
                shutil.move(self._root / "a" if (self._root / "a").exists() else folder, self._root / "moved")
            self.edits += 1


def test_an_agent_killed_at_random_moments_loses_nothing(site: Any) -> None:
    """After kills at random moments of runs, and edits all the while, one more sync makes everything equal."""
    rng = random.Random(KILLS)
    root = Path(site.root)
    (root / "docs").mkdir()
    (root / "anchor.txt").write_text("anchor", "utf-8")
    config = Path(site.config).with_name("kills.toml")
    config.write_text("lease = 10\n" + Path(site.config).read_text("utf-8") + "[brake]\nfiles = 100000\n", "utf-8")
    agent = Agent(site, config)
    s3 = site.client("s3")

    def versions() -> int:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=site.bucket)
        return sum(len(page.get("Versions", [])) for page in pages)

    for _ in range(KILLS):
        with (
            Users(root, rng) as users,
            subprocess.Popen(
                [sys.executable, "-m", "siteferry", "run", "--config", str(config), "--quiet"],
                env=site.agent_environment,
                stdout=subprocess.DEVNULL,
            ) as daemon,
        ):
            enough = versions() + rng.randrange(1, 120)
            wait_for(functools.partial(_reached, versions, enough), "uploads", 120)
            time.sleep(rng.random() / 10)  # not a wait for anything: the moment of the kill
            daemon.send_signal(signal.SIGKILL)
        assert users.edits
    agent.sync()
    site.wait_drained(300)
    assert_published(site, COPIES)
    assert "nothing to do" in agent.sync().stdout


def _reached(count: Callable[[], int], enough: int) -> bool:
    return count() >= enough
