"""Agent and stack of two releases work together, whichever of the two is the older one, and back again."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import COPIES, Agent, assert_published, wait_for
from tests.e2e.poison import dead_letters, few_tries, invocations, job, now
from tests.e2e.releases import agent_environment, bundle_of, previous_release, put_handlers

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the sources of the previous release."""
    return previous_release(tmp_path_factory.mktemp("previous"))


@pytest.fixture(scope="module")
def stack(previous: Path, run_local_stack: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Give a stack of this release, whose whole bucket is compared."""
    with run_local_stack(None) as found:
        yield found


def _agents(site: Any, previous: Path) -> tuple[Agent, Agent]:
    """Give the previous release's agent and this one's, with one configuration and one state directory."""
    return Agent(site, Path(site.config), agent_environment(previous)), Agent(site, Path(site.config))


def _publish(site: Any, agent: Agent, word: str) -> None:
    """Add, change and delete a file under a copy rule and a page each; exactly that is published, and nothing else."""
    root = Path(site.root)
    (root / "docs").mkdir(exist_ok=True)
    (root / "keep.txt").write_text("an empty root would hold deletes", "utf-8")
    agent.sync()
    added, changed = root / "docs" / f"{word}-added.txt", root / "docs" / "changed.html"
    deleted = [path for path in (root / "docs").iterdir() if path.name.endswith("-added.txt")]
    added.write_text(word, "utf-8")
    changed.write_text(f"<p>{word}", "utf-8")
    for path in deleted:
        path.unlink()
    agent.sync()
    assert agent.plan()["changes"] == []
    site.wait_drained()
    assert_published(site, COPIES)
    assert site.get("mirror/docs/changed.html").body == f"<p>{word}".encode()
    assert [site.get(f"docs/{path.name}").status for path in deleted] == [404] * len(deleted)


def test_the_agent_is_upgraded_and_rolled_back_under_this_stack(stack: Any, previous: Path) -> None:
    """Each of the two agents goes on where the other stopped: it publishes what changed, and that alone."""
    site = stack.sites["www"]
    before, after = _agents(site, previous)
    where = [sys.executable, "-c", "import siteferry, siteferry_contract as c; print(siteferry.__file__, c.__file__)"]
    found = subprocess.run(
        where, env=site.agent_environment | before.environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(Path(path).is_relative_to(previous) for path in found), found
    _publish(site, before, "first")
    for agent, word in ((after, "upgraded"), (before, "rolled-back")):
        # The other's index is read: of what it published nothing is published again.
        assert agent.plan()["changes"] == []
        _publish(site, agent, word)


def test_this_agent_works_with_the_previous_stacks_handlers(stack: Any, previous: Path) -> None:
    """Handlers of the previous release, as after a rollback of the stack, do all that this release's agent sends."""
    site = stack.sites["www"]
    assembly = stack.state / "cdk.out"
    old, new = (bundle_of(lambdas, assembly) for lambdas in (previous / "lambdas", Path("lambdas").resolve()))
    _, after = _agents(site, previous)
    put_handlers(site, old)
    try:
        assert "expected 1: upgrade the Lambdas" in _refusal(site)  # the previous release's words
        _publish(site, after, "old-handlers")
    finally:
        put_handlers(site, new)
    assert "so bring the stack to that agent's release" in _refusal(site)
    _publish(site, after, "new-handlers")


def _refusal(site: Any) -> str:
    """Send a job as a newer agent might; gives why it is refused. It waits as a dead letter, and nothing is done."""
    since = now()
    with few_tries(site):
        sent = site.client("sqs").send_message(
            QueueUrl=site.queues["delete"], MessageBody=job("delete", site.name, "keep.txt", version=2)
        )["MessageId"]
        wait_for(lambda: sent in dead_letters(site, "delete"), "a dead letter", 120)
        (line,) = [line for one in invocations(site, "delete", since) for line in one.about(sent)]
    return str(line["reason"])
