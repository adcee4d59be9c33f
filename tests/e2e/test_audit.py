"""A bucket that another tool filled is adopted, and an audit finds and mends what happened to it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import Agent, agent_with, assert_published, wait_for, wait_settled

pytestmark = pytest.mark.e2e

FILES = 120
COPIES = {"docs/": "mirror/docs/"}


@pytest.fixture(scope="module")
def agent(run_local_stack: Callable[[Path | None], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Give the agent of a site whose bucket has the tree already, as `aws s3 sync` puts it, with one file changed."""
    with run_local_stack(None) as stack:
        site = stack.sites["www"]
        root, s3 = Path(site.root), site.client("s3")
        for n in range(FILES):
            path = root / f"folder{n % 7}" / f"caf\xe9 {n}.txt".encode("latin-1").decode("utf-8", "surrogateescape")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%d" % n)
            os.utime(path, (1_700_000_000, 1_700_000_000 + n))
            s3.put_object(Bucket=site.bucket, Key=f"folder{n % 7}/caf\xe9 {n}.txt", Body=b"%d" % n)
        s3.put_object(Bucket=site.bucket, Key="forgotten.txt", Body=b"of no file")
        (root / "folder1" / "new.txt").write_bytes(b"of no object")
        folder = tmp_path_factory.mktemp("agent")
        wait_settled(root)
        yield agent_with(site, folder)


def versions(site: Any) -> int:
    """Count every version of every object."""
    pages = site.client("s3").get_paginator("list_object_versions").paginate(Bucket=site.bucket)
    return sum(len(page.get("Versions", [])) for page in pages)


def audit(agent: Agent, *, code: int | None) -> Any:
    """Make an audit; gives what it prints as JSON."""
    return json.loads(agent.run("audit", "--json", code=code).stdout)


def test_adoption_uploads_nothing_again(agent: Agent) -> None:
    """Only the file without an object is uploaded, nothing is deleted, and the next sync has nothing to do."""
    before = versions(agent.site)
    plan = json.loads(agent.run("adopt", "--dry-run", "--json").stdout)
    assert (plan["totals"]["adopted"], plan["totals"]["puts"]) == (FILES, 1)
    summary = json.loads(agent.run("adopt", "--json").stdout)
    assert (summary["adopted"], summary["uploaded"], summary["failed"]) == (FILES, 1, 0)
    agent.site.wait_drained()
    generated = 8 + 7  # pages, and redirects of all directories but the root
    assert versions(agent.site) == before + 1 + generated
    assert json.loads(agent.run("sync", "--json").stdout)["run"] is None
    assert "in use already" in agent.run("adopt", code=64).stderr


def test_an_audit_names_the_object_without_a_file(agent: Agent) -> None:
    """What adoption left is named by an audit, exit 1, and deleted by its repair."""
    found = audit(agent, code=1)
    assert [(one["kind"], one["key"]) for one in found["findings"]] == [("stray", "forgotten.txt")]
    assert "1 deleted" in agent.run("audit", "--repair").stdout
    agent.site.wait_drained()
    assert audit(agent, code=0)["differences"] == 0
    assert_published(agent.site, COPIES)


def test_damage_is_mended_beside_a_daemon(agent: Agent) -> None:
    """Objects that were deleted and overwritten in the bucket come back by a repair that a running daemon makes."""
    site, s3 = agent.site, agent.site.client("s3")
    s3.delete_object(Bucket=site.bucket, Key="folder1/caf\xe9 1.txt")
    s3.put_object(Bucket=site.bucket, Key="folder2/caf\xe9 2.txt", Body=b"somebody else's")
    s3.delete_object(Bucket=site.bucket, Key="folder3/index.html")
    assert {(one["kind"], one["key"]) for one in audit(agent, code=1)["findings"]} == {
        ("file", "folder1/caf\xe9 1.txt"), ("file", "folder2/caf\xe9 2.txt"), ("page", "folder3/index.html")
    }  # fmt: skip
    with agent.daemon() as daemon:
        assert "next cycle" in agent.run("audit", "--repair").stdout
        wait_for(lambda: audit(agent, code=None)["differences"] == 0, "the daemon's repair")
        assert daemon.process.poll() is None
    site.wait_drained()
    assert_published(site, COPIES)
