"""Agents and handlers are killed again and again while users go on editing; in the end everything is equal."""

import functools
import json
import logging
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from siteferry_contract.index import HEAD_KEY
from siteferry_contract.job import JOB_KINDS, JobKind
from tests.e2e.agents import COPIES, Agent, agent_with, assert_published, wait_for
from tests.e2e.users import Users

pytestmark = pytest.mark.e2e

_LOG = logging.getLogger(__name__)
KILLS = int(os.environ.get("SITEFERRY_KILLS", "2"))
BRAKELESS = "[brake]\nfiles = 1000000\nmost = 1000000\n"
LONGEST_MOMENT = 1.5
"""Seconds into a run, or between two kills of a handler; most of them are less."""
VISIBILITY = 10
"""Seconds. What a dead handler had comes back when its visibility ends: the template's 6 to 30 minutes would only be
waited for. Shorter than a handler may take, it also brings messages twice at a time, as SQS may always do."""


@pytest.fixture
def agent(subjects: Any, tmp_path: Path) -> Iterator[Agent]:
    """Give an agent without a brake; at the end everything must be equal and the queues empty."""
    site = subjects.sites["kills"]
    root = Path(site.root)
    (root / "docs").mkdir(exist_ok=True)
    (root / "anchor.txt").write_text("anchor", "utf-8")
    agent = agent_with(site, tmp_path, BRAKELESS)
    yield agent
    agent.sync()
    _drain(agent)
    assert_published(site, COPIES)
    assert "nothing to do" in agent.sync().stdout


def test_an_agent_killed_at_random_moments_loses_nothing(agent: Agent, tmp_path: Path) -> None:
    """After kills at random moments of runs, and edits all the while, one more sync makes everything equal."""
    rng, site = random.Random(KILLS), agent.site
    # Each run that was left open waits for the whole lease.
    (tmp_path / "short").mkdir()
    state = json.dumps(str(tmp_path / "state"))
    short = agent_with(site, tmp_path / "short", BRAKELESS, lease="10", state_dir=state)
    kills = left_open = 0
    with Users(Path(site.root), rng) as users:
        while left_open < KILLS:
            assert kills < 10 * KILLS + 10, f"{left_open} of {kills} kills hit an open run"
            with short.daemon("--quiet") as daemon:
                if kills % 2:  # or every kill would hit a recovery
                    wait_for(lambda: not _head(site)[1], "the end of a run", 300)
                before, _ = _head(site)
                wait_for(functools.partial(_has_run_after, site, before), "a new run", 300)
                time.sleep(_moment(rng))  # not a wait for anything: the moment of the kill
                daemon.kill()
            kills += 1
            left_open += _head(site)[1]
    _LOG.info("%d kills, %d runs left open, %d edits", kills, left_open, users.edits)


def test_handlers_killed_at_random_moments_lose_nothing(subjects: Any, agent: Agent) -> None:
    """After handlers died in the middle of batches, all their jobs are done: by retries, or by a redrive at the end."""
    rng, site = random.Random(KILLS), agent.site
    log = subjects.state / "emulator.log"
    before, shots = _died(log), 0
    with Users(Path(site.root), rng) as users, _visibility(site, VISIBILITY), agent.daemon("--quiet"):
        deadline = time.monotonic() + 60 + 20 * KILLS
        while _died(log) - before < KILLS:
            assert time.monotonic() < deadline, f"{_died(log) - before} batches died of {shots} shots"
            time.sleep(_moment(rng))  # not a wait for anything: the moment of the kill
            working = [kind for kind, count in site.in_flight().items() if count]
            if pids := _workers(subjects.state, site.name, rng.choice(working)) if working else []:
                os.kill(rng.choice(pids), signal.SIGKILL)
                shots += 1
    _LOG.info("%d batches died of %d kills, %d edits", _died(log) - before, shots, users.edits)


def _moment(rng: random.Random) -> float:
    """Choose a moment within LONGEST_MOMENT, early ones more often: runs and jobs are short."""
    return LONGEST_MOMENT * rng.random() ** 2


def _head(site: Any) -> tuple[int, bool]:
    """Give the last run that was opened, and whether one is open."""
    item = site.client("dynamodb").get_item(TableName=site.table, Key=HEAD_KEY, ConsistentRead=True).get("Item", {})
    return int(item.get("run", {"N": "0"})["N"]), "open" in item


def _has_run_after(site: Any, run: int) -> bool:
    return _head(site)[0] > run


def _drain(agent: Agent) -> None:
    """Wait until nothing is left in any queue; what died of too many tries is redriven, as an operator does."""
    site = agent.site

    def redriven() -> bool:
        if any(site.waiting_messages().values()):
            return False
        if any(site.waiting_messages(dead=True).values()):
            agent.run("redrive", code=None)  # what it does not reach, the next one does
            return False
        return True

    wait_for(redriven, "the end of all jobs", 300)
    site.wait_drained()


@contextmanager
def _visibility(site: Any, seconds: int) -> Iterator[None]:
    """Give what a handler takes back to its queue after so many seconds, until the block ends."""
    sqs = site.client("sqs")
    before = {
        url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        for url in site.queues.values()
    }
    for url in before:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        for url, attributes in before.items():
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def _died(log: Path) -> int:
    """Count the batches whose handler died while it worked on them, as the emulator tells; a died start is none."""
    return len(re.findall(rb"siteferry-kills-\w+ \(errorType=\S+ errorMessage=Worker process died\)", log.read_bytes()))


def _workers(state: Path, site: str, kind: JobKind) -> list[int]:
    """Give the processes in which the emulator runs a handler."""
    assert kind in JOB_KINDS
    mark, name = f"SITEFERRY_LOCAL_STATE={state}\0".encode(), f"ministack-lambda-siteferry-{site}-{kind}-".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if name in command and b"_worker.py" in command and mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:
            continue  # it ended, or is somebody else's
    return found
