"""Hints: with an hour between two cycles of a real daemon, what changes is live without waiting for the next."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import COPIES, Agent, Daemon, agent_with, assert_published, wait_for

pytestmark = pytest.mark.e2e

HOUR = "3600"
XFERLOG = "Mon Nov  2 09:05:01 2026 1 192.0.2.7 1 {} b _ {} r www ftp 0 * c\n"


def test_the_kernel_hints_at_what_changes(site: Any, agent: Agent, tmp_path: Path) -> None:
    """An upload, one into a new directory, an overwrite and a delete are live, each by a look at its directory."""
    agent.sync()
    root = Path(site.root) / "heard"
    patient = agent_with(site, tmp_path, interval=HOUR)
    with patient.daemon() as daemon:
        daemon.wait_for_line("directories are watched")
        _wait_for_the_first_cycle(patient, daemon)
        root.mkdir()
        (root / "a.txt").write_text("first", "utf-8")
        wait_for(lambda: site.get("heard/a.txt").body == b"first", "the upload into a new directory")
        (root / "b.txt").write_text("later", "utf-8")
        wait_for(lambda: site.get("heard/b.txt").status == 200, "the upload beside it")
        (root / "a.txt").write_text("second", "utf-8")
        wait_for(lambda: site.get("heard/a.txt").body == b"second", "the overwrite")
        (root / "b.txt").unlink()
        wait_for(lambda: site.get("heard/b.txt").status == 404, "the delete")
        assert "(hinted)" in daemon.said()
    site.wait_drained()
    assert_published(site, COPIES)


def test_the_log_of_an_ftp_server_hints_at_what_changes(site: Any, tmp_path: Path) -> None:
    """A log that appears, is rotated and has the names spoilt tells in which directory to look; lies do no harm."""
    root = Path(site.root) / "logged by the server"
    root.mkdir()
    (root / "known.txt").write_text("known", "utf-8")
    log = tmp_path / "xferlog"
    tables = f"[hints]\ninotify = false\nlogs = [{json.dumps(str(log))}]"
    patient = agent_with(site, tmp_path, tables, interval=HOUR)
    with patient.daemon() as daemon:
        wait_for(lambda: site.get("logged%20by%20the%20server/known.txt").status == 200, "the first cycle and its wait")
        _wait_for_the_first_cycle(patient, daemon)
        (root / "a.txt").write_text("a", "utf-8")
        lies = "\xff\0 no line\n" + XFERLOG.format("/../../etc/passwd", "i") + XFERLOG.format("/nowhere/b", "d")
        log.write_text(lies + XFERLOG.format("/logged_by_the_server/a.txt", "i"), "utf-8")
        wait_for(lambda: site.get("logged%20by%20the%20server/a.txt").status == 200, "the upload that was logged")
        log.rename(tmp_path / "xferlog.1")
        (root / "a.txt").unlink()
        log.write_text(XFERLOG.format(f"{site.root}/logged_by_the_server/a.txt", "d"), "utf-8")
        wait_for(lambda: site.get("logged%20by%20the%20server/a.txt").status == 404, "the delete that was logged")
    site.wait_drained()
    assert_published(site, COPIES)


def _wait_for_the_first_cycle(agent: Agent, daemon: Daemon) -> None:
    """Wait until the only full cycle of the next hour is over."""
    wait_for(lambda: agent.status().get("last_at") or daemon.process.poll() is not None, "the first cycle's end")
    assert daemon.process.poll() is None, daemon.said()
