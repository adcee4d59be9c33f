"""The index's table is emptied, and made again from bucket and tree."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import COPIES, Agent, agent_with, assert_published, wait_settled

pytestmark = pytest.mark.e2e

FILES = 120


@pytest.fixture(scope="module")
def agent(run_local_stack: Callable[[Path | None], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Give the agent of a published site."""
    with run_local_stack(None) as stack:
        site = stack.sites["www"]
        root = Path(site.root)
        for n in range(FILES):
            path = root / f"folder{n % 7}" / f"caf\xe9 {n}.txt".encode("latin-1").decode("utf-8", "surrogateescape")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%d" % n)
            os.utime(path, (1_700_000_000, 1_700_000_000 + n))
        for name in ("docs/index.html", "docs/deep/a.html", "index.html"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f"<p>{name}</p>")
        agent = agent_with(site, tmp_path_factory.mktemp("agent"))
        agent.sync()
        site.wait_drained()
        yield agent


def versions(site: Any) -> int:
    """Count every version of every object, and every delete marker."""
    pages = site.client("s3").get_paginator("list_object_versions").paginate(Bucket=site.bucket)
    return sum(len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])) for page in pages)


def items(site: Any) -> list[Any]:
    """Read the whole table."""
    pages = site.client("dynamodb").get_paginator("scan").paginate(TableName=site.table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def lose(site: Any) -> None:
    """Empty the table."""
    for item in items(site):
        site.client("dynamodb").delete_item(TableName=site.table, Key={name: item[name] for name in ("pk", "sk")})
    assert not items(site)


def test_a_lost_index_is_rebuilt_without_an_upload(agent: Agent) -> None:
    """A sync says what is lost; a rebuild makes no version of anything; then nothing is left to do or to mend."""
    site = agent.site
    before = versions(site)
    lose(site)
    assert "adopt --rebuild" in agent.run("sync", code=70).stderr
    plan = json.loads(agent.run("adopt", "--rebuild", "--dry-run", "--json").stdout)
    files = FILES + 3
    assert (plan["totals"]["compared"], plan["totals"]["puts"]) == (files, 0)
    summary = json.loads(agent.run("adopt", "--rebuild", "--json").stdout)
    assert (summary["adopted"], summary["uploaded"], summary["headers"], summary["failed"]) == (files, 0, 0, 0)
    site.wait_drained()
    assert versions(site) == before
    assert json.loads(agent.run("sync", "--json").stdout)["run"] is None
    assert json.loads(agent.run("audit", "--deep", "--json").stdout)["differences"] == 0
    assert all(item["had_delete"]["BOOL"] for item in items(site) if item["pk"]["S"].startswith("/"))
    assert_published(site, COPIES)
    assert "in use already" in agent.run("adopt", "--rebuild", code=64).stderr


def test_what_changed_meanwhile_is_brought_to_agree(agent: Agent) -> None:
    """A file that was changed while the index was lost is uploaded; one that was deleted stays until the repair."""
    site, root = agent.site, Path(agent.site.root)
    lose(site)
    (root / "docs/index.html").write_text("<p>DOCS/index.html</p>")
    (root / "docs/deep/a.html").unlink()
    (root / "docs/deep").rmdir()
    wait_settled(root)
    done = agent.run("adopt", "--rebuild")
    assert "objects have no file" in done.stdout
    assert f": 1 published (22 B), {FILES + 1} adopted" in done.stdout
    site.wait_drained()
    found = json.loads(agent.run("audit", "--json", code=1).stdout)["findings"]
    assert ("stray", "docs/deep/a.html") in {(one["kind"], one["key"]) for one in found}
    agent.run("audit", "--repair")
    site.wait_drained()
    assert json.loads(agent.run("audit", "--deep", "--json").stdout)["differences"] == 0
    assert_published(site, COPIES)


def test_a_deleted_table_is_told_and_made_again(agent: Agent, tmp_path: Path) -> None:
    """Commands say what is lost and what to do, the site is restored without it; a new table is filled by a rebuild."""
    site, dynamodb = agent.site, agent.site.client("dynamodb")
    dynamodb.update_table(TableName=site.table, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=site.table)
    dynamodb.get_waiter("table_not_exists").wait(TableName=site.table)
    for command in (["sync"], ["audit"], ["explain", "index.html"], ["adopt", "--rebuild"], ["restore", str(tmp_path)]):
        said = agent.run(*command, code=70).stderr
        assert f"table {site.table}, which the descriptor names, is not there" in said
        assert "docs/lost-index.md" in said
    assert "docs/lost-index.md" in agent.run("check", code=70).stdout
    assert "docs/lost-index.md" in agent.run("status").stdout
    agent.run("restore", str(tmp_path), "--from-bucket")
    assert (tmp_path / "docs/index.html").read_bytes() == (Path(site.root) / "docs/index.html").read_bytes()

    keys = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName=site.table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=site.table)
    agent.run("adopt", "--rebuild")
    site.wait_drained()
    assert_published(site, COPIES)
