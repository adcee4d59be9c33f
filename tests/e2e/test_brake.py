"""The brake, on real processes: what is suspiciously gone stays published, beside a running daemon too."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from siteferry_contract.index import HEAD_KEY
from tests.e2e.agents import COPIES, Agent, agent_with, assert_published, live_keys, tree_files, wait_for

pytestmark = pytest.mark.e2e

BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""What runs the agent such that permissions bind it, even as root."""


@pytest.fixture
def site(subjects: Any) -> Any:
    """Give a site with 20 small files in three directories, all published, of which none was deleted today."""
    site = subjects.sites["brake"]
    root = Path(site.root)
    for folder in root.iterdir():
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    for n in range(20):
        file = root / ["pictures", "docs", "docs/old", "."][n % 4] / f"{n}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"file {n}", "utf-8")
    _publish(site)
    return site


@pytest.fixture
def agent(site: Any, tmp_path: Path) -> Agent:
    """Give an agent that holds deletes from the sixth of a day on."""
    return agent_with(site, tmp_path, "[brake]\nfiles = 5\npercent = 10\n")


def test_an_unmounted_root_deletes_nothing(site: Any, agent: Agent) -> None:
    """A missing or empty root deletes nothing (exit 66 or 3); what it has is published; the daemon goes on after it."""
    root, before, deletes = Path(site.root), live_keys(site), Deletes(site)
    away = root.with_name("unmounted")
    root.rename(away)
    missing = agent.run("sync", code=66)
    assert "is the file system mounted" in missing.stderr
    root.mkdir()
    empty = agent.sync(code=3)
    assert "the root is empty" in empty.stdout
    assert "is the file system mounted" in empty.stdout
    assert "siteferry approve" in empty.stdout
    (root / "astray.txt").write_text("uploaded under the mount point", "utf-8")
    assert "20 of 20 published files are gone (100 %)" in agent.sync(code=3).stdout
    assert site.get("astray.txt").status == 200
    with agent.daemon() as daemon:
        daemon.wait_for_line("published files are gone")
        shutil.rmtree(root)
        daemon.wait_for_line("ERROR: root")
        assert deletes.keys() == set()
        (away / "since.txt").write_text("written while it was away", "utf-8")
        away.rename(root)
        wait_for(lambda: site.get("since.txt").status == 200, "what was added")
        wait_for(lambda: not agent.status()["last"]["held"], "a run that holds nothing")
    site.wait_drained()
    assert deletes.keys() == {"astray.txt"}
    assert live_keys(site) == before | {"since.txt"}
    assert_published(site, COPIES)


def test_an_unreadable_subtree_deletes_nothing_beneath_it(site: Any, agent: Agent) -> None:
    """What a directory has that cannot be read or entered stays; the rest is published, and it is told which."""
    root = Path(site.root)
    bound = Agent(site, agent.config, through=BOUND)
    before = live_keys(site)
    (root / "1.html").write_text("published beside", "utf-8")
    (root / "3.txt").unlink()
    for name, mode in (("docs", 0o000), ("pictures", 0o444)):
        (root / name).chmod(mode)
    try:
        done = bound.sync(code=1)
        with bound.daemon() as daemon:
            daemon.wait_for_line("pictures")
    finally:
        for name in ("docs", "pictures"):
            (root / name).chmod(0o755)
    for name in ("docs", "pictures"):
        assert f"FAILED {name}: the directory cannot be read (Permission denied): all beneath it stays" in done.stdout
    site.wait_drained()
    assert live_keys(site) == before - {"3.txt"} | {"1.html"}
    agent.sync()
    site.wait_drained()
    assert_published(site, COPIES)


def test_most_of_a_tree_gone_is_held_until_approved_beside_the_daemon(site: Any, agent: Agent) -> None:
    """With 60 % of its files gone nothing is deleted, the rest is published, and `approve` lets them go, once."""
    root, before = Path(site.root), live_keys(site)
    gone = sorted(tree_files(root))[:12]
    for key in gone:
        (root / key).unlink()
    (root / "beside.txt").write_text("beside", "utf-8")
    held = agent.sync(code=3)
    assert "12 of 20 published files are gone (60 %)" in held.stdout
    assert "siteferry approve" in held.stdout
    with agent.daemon() as daemon:
        daemon.wait_for_line("siteferry approve")
        (root / "later.txt").write_text("later", "utf-8")
        wait_for(lambda: site.get("later.txt").status == 200, "what was added")
        planned = agent.run("sync", "--dry-run", code=3)
        assert all(f"{key} (gone" in planned.stdout for key in gone), planned.stdout
        site.wait_drained()
        assert live_keys(site) == before | {"beside.txt", "later.txt"}
        assert "up to 12" in agent.run("approve").stdout
        wait_for(lambda: agent.status()["last_run"]["deleted"] == 12, "the approved deletes")
        site.wait_drained()
        assert_published(site, COPIES)
        assert agent.status()["approved_deletes"] is None
        assert "no deletes are held" in agent.run("approve", code=64).stderr


def test_a_slow_delete_over_many_cycles_is_caught_by_the_days_count(site: Any, agent: Agent, tmp_path: Path) -> None:
    """Deletes that are few in each cycle are held once a day's sum is too large, after a restart too."""
    root, deletes = Path(site.root), Deletes(site)
    files = sorted(tree_files(root))

    def delete(keys: list[str]) -> None:
        for key in keys:
            (root / key).unlink()

    with agent.daemon() as daemon:
        delete(files[:3])
        wait_for(lambda: deletes.keys() >= set(files[:3]), "the first cycle's deletes")
        delete(files[3:5])
        wait_for(lambda: deletes.keys() >= set(files[:5]), "the second cycle's deletes")
        delete(files[5:7])
        daemon.wait_for_line("with 5 deleted within a day")
    (tmp_path / "other").mkdir()
    other = agent_with(site, tmp_path / "other", "[brake]\nfiles = 5\npercent = 10\n")
    for few in (files[7:12], files[12:17], files[17:]):
        delete(few)
        held = other.sync(code=3)
        assert "with 5 deleted within a day" in held.stdout
    site.wait_drained()
    assert deletes.keys() == set(files[:5])
    (root / "left.txt").write_text("an empty root would be held as such", "utf-8")
    other.sync(code=3)
    other.run("approve")
    other.sync()
    site.wait_drained()
    assert_published(site, COPIES)


def _publish(site: Any) -> None:
    """Publish the tree whatever it deletes, and let a day pass: its deletes are no longer counted."""
    folder = Path(site.config).parent
    (folder / "brakeless").mkdir(exist_ok=True)
    agent_with(site, folder / "brakeless", "[brake]\nfiles = 1000000\nmost = 1000000\n").sync()
    site.wait_drained()
    site.client("dynamodb").update_item(TableName=site.table, Key=HEAD_KEY, UpdateExpression="REMOVE deletes")
    assert_published(site, COPIES)


class Deletes:
    """What is deleted from a bucket from now on, even if it came back."""

    def __init__(self, site: Any) -> None:
        self._site = site
        self._before = self._markers()

    def keys(self) -> set[str]:
        """Give the keys, duplicates left out."""
        return {key for key, _ in self._markers() - self._before if not key.startswith("mirror/")}

    def _markers(self) -> set[tuple[str, str]]:
        pages = self._site.client("s3").get_paginator("list_object_versions").paginate(Bucket=self._site.bucket)
        return {(found["Key"], found["VersionId"]) for page in pages for found in page.get("DeleteMarkers", [])}
