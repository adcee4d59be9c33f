"""`siteferry explain` on a deployed site, with the agent's own policy: from disk to CDN."""

import json
from pathlib import Path
from typing import Any

import pytest

from siteferry_contract.job import JOB_KINDS
from tests.e2e.agents import Agent, agent_with

pytestmark = pytest.mark.e2e


def explain(agent: Agent, path: str, code: int = 0) -> Any:
    """Give the document of a path; the command must end with the code."""
    return json.loads(agent.run("explain", path, "--json", code=code).stdout)


def outcome(agent: Agent, path: str, code: int = 0) -> tuple[str, str | None]:
    """Give the outcome of a path, and the step that decided it."""
    found = explain(agent, path, code)
    decided = (name for name, step in found["steps"].items() if step["state"] == "wrong")
    return found["outcome"], next(decided, None)


def test_a_path_is_explained_from_disk_to_cdn(site: Any, agent: Agent, tmp_path: Path) -> None:
    """A live file, its duplicate and directory; one being written, excluded, deleted; and that beside a daemon."""
    root = Path(site.root)
    for path in ("docs/explained.html", "told/gone.txt", "told/.htaccess"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(path, "utf-8")
    agent.sync()
    site.wait_drained()
    found = explain(agent, "docs/explained.html")
    assert (found["outcome"], found["key"]) == ("live", "docs/explained.html")
    steps = found["steps"]
    assert {name for name, step in steps.items() if step["state"] != "well"} == set()
    assert steps["bucket"]["object"]["headers"] | steps["rules"]["headers"] == steps["bucket"]["object"]["headers"]
    assert steps["bucket"]["headers_differing"] == {}
    assert [copy["key"] for copy in steps["bucket"]["duplicates"]] == ["mirror/docs/explained.html"]
    assert (steps["cdn"]["status"], steps["cdn"]["as_in_bucket"]) == (200, True)
    assert {kind: steps["queues"][kind] for kind in JOB_KINDS} == {
        kind: {"waiting": 0, "dead": 0} for kind in JOB_KINDS
    }
    for path in ("mirror/docs/explained.html", "mirror/docs/", "told", site.distribution_url + "told/"):
        assert outcome(agent, path) == ("live", None), path
    assert outcome(agent, "told/.htaccess") == ("absent", None)
    with agent.daemon():
        assert outcome(agent, str(root / "docs/explained.html")) == ("live", None)
        assert explain(agent, "never")["steps"]["index"]["agent_running"]
    (root / "told/gone.txt").unlink()
    assert outcome(agent, "told/gone.txt", 1) == ("not gone", "index")
    agent.sync()
    site.wait_drained()
    assert outcome(agent, "told/gone.txt") == ("absent", None)
    patient = agent_with(site, tmp_path, settle="3600")
    (root / "told/fresh.txt").write_text("fresh", "utf-8")
    fresh = explain(patient, "told/fresh.txt", 1)
    assert (fresh["outcome"], fresh["steps"]["rules"]["state"]) == ("not live", "wrong")
    assert 0 < fresh["steps"]["rules"]["settled_in"] <= 3600
    assert "still being written" in patient.run("explain", "told/fresh.txt", code=1).stdout
    assert patient.run("explain", "/etc/passwd", code=64).stdout == ""
    for path in ("docs/explained.html", "told/fresh.txt", "told/.htaccess"):
        (root / path).unlink()
    (root / "told").rmdir()
    agent.sync()
    site.wait_drained()
    assert outcome(agent, "told") == ("absent", None)
