"""The daemon: its end, clean or not, what follows it, and a second one."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.e2e.agents import COPIES, Agent, Daemon, agent_with, assert_published, live_keys, wait_for, wait_settled

pytestmark = pytest.mark.e2e

_UNSHARE = ("unshare", "--uts")
NAMESPACE = _UNSHARE if subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0 else ()
"""What runs a command with a host name of its own; empty if this user may not."""


def test_a_killed_agent_without_its_cache_changes_nothing_but_time(site: Any, agent: Agent) -> None:
    """A daemon that is killed between two runs and loses its cache finds nothing to do when it comes back."""
    state = Path(site.config).parent / "agent"
    agent.sync()
    before_run = _last_run(state)
    (Path(site.root) / "alive.txt").write_text("alive", "utf-8")
    wait_settled(Path(site.root))
    with agent.daemon() as daemon:
        wait_for(lambda: site.get("alive.txt").status == 200, "the daemon's publication")
        # A file is live before its run is closed; the run is recorded after that.
        wait_for(lambda: _last_run(state) > before_run, "the end of the daemon's run")
        daemon.kill()
    site.wait_drained()
    before = live_keys(site)
    for file in state.glob("cache.sqlite*"):
        file.unlink()
    done = agent.sync()
    assert "nothing to do" in done.stdout
    assert live_keys(site) == before
    assert_published(site, COPIES)


def test_the_daemon_stops_cleanly_on_sigterm_and_lets_another_begin(agent: Agent) -> None:
    """SIGTERM ends the daemon with 0 and releases the site; while it runs, another sync is refused at once."""
    with agent.daemon() as daemon:
        refused = agent.run("sync", code=75)
        assert f"process {daemon.process.pid}" in refused.stderr
    agent.sync()


def test_a_second_host_is_refused_while_the_first_works(site: Any, tmp_path: Path) -> None:
    """An agent on another host is refused and told which host has the site, and changes nothing; the first goes on."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "of the second.txt").write_text("must never be live", "utf-8")
    (tmp_path / "first").mkdir()
    # A short lease is renewed often, so it is soon seen that its holder lives.
    first = _on_host(agent_with(site, tmp_path / "first", lease="10"), "first")
    second = _on_host(agent_with(site, tmp_path, root=json.dumps(str(root))), "second")
    owner = _owner("first", tmp_path / "first" / "state")
    wait_settled(root)
    with first.daemon() as daemon:
        for command in ("sync", "run"):
            refused = second.run(command, code=75)
            assert f"another sync of this site is running: {owner}" in refused.stderr
            assert "two agents never publish one site" in refused.stderr
            assert f"to see whether {owner} still publishes this site" in refused.stdout
        (Path(site.root) / "of the first.txt").write_text("it goes on", "utf-8")
        daemon.wait_for_line("published of the first.txt")
    site.wait_drained()
    assert_published(site, COPIES)


def test_a_second_host_takes_over_from_a_dead_one(site: Any, tmp_path: Path) -> None:
    """When a host died with the lease, another one waits for the lease's whole length, and then publishes."""
    (tmp_path / "first").mkdir()
    first = _on_host(agent_with(site, tmp_path / "first", lease="10"), "first")
    with first.daemon() as daemon:
        daemon.kill()
    (Path(site.root) / "taken over.txt").write_text("by the second", "utf-8")
    done = _on_host(agent_with(site, tmp_path), "second").sync()
    owner = _owner("first", tmp_path / "first" / "state")
    assert f"waiting up to 10 s to see whether {owner} still publishes this site" in done.stdout
    assert "published taken over.txt" in done.stdout
    site.wait_drained()
    assert_published(site, COPIES)


def test_an_unfinished_run_is_recovered(site: Any, tmp_path: Path) -> None:
    """A daemon killed in the middle of a run leaves an open head; the next sync recovers and all is as it should be."""
    folder = Path(site.root) / "halfway"
    folder.mkdir()
    for n in range(1500):
        (folder / f"{n}.txt").write_text(f"{n}", "utf-8")
    (Path(site.root) / "docs").mkdir(exist_ok=True)
    (Path(site.root) / "docs" / "halfway.txt").write_text("halfway", "utf-8")
    quick = agent_with(site, tmp_path, lease="10")
    known = live_keys(site)
    wait_settled(Path(site.root))
    with quick.daemon() as daemon:
        wait_for(lambda: len(live_keys(site) - known) > 20, "the first uploads")
        daemon.kill()
    (folder / "0.txt").write_text("changed since", "utf-8")
    (folder / "1.txt").unlink()
    done = quick.sync()
    assert "recovered an unfinished run" in done.stdout
    site.wait_drained()
    assert_published(site, COPIES)


@pytest.fixture
def messages(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's socket, at `notify` in the test's folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield listener


def test_a_service_manager_hears_how_the_daemon_does(site: Any, tmp_path: Path, messages: socket.socket) -> None:
    """READY, what a cycle came to, a reload refused and one done, pings, and STOPPING, in the life of one daemon."""
    quick = agent_with(site, tmp_path, lease="10", workers="3")
    quick.sync()
    (Path(site.root) / "told.txt").write_text("the manager hears of it", "utf-8")
    watched = replace(quick, environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000000"})
    text = quick.config.read_text("utf-8")
    with watched.daemon() as daemon:
        assert _hear(messages, "READY=1")[-1] == "READY=1"
        heard = _hear(messages, "STATUS=waiting; last cycle: ", "1 published")
        assert "STATUS=looking for changes" in heard
        quick.config.write_text(text.replace("workers = 3", "workers = 0"), "utf-8")
        _reload(daemon, messages, "the configuration stays as it was")
        quick.config.write_text(text.replace("workers = 3", "workers = 4"), "utf-8")
        _reload(daemon, messages, "the configuration changed: starting again with it")
        (Path(site.root) / "told.txt").write_text("after the reload, too", "utf-8")
        _hear(messages, "STATUS=waiting; last cycle: ", "1 published")
        _hear(messages, "WATCHDOG=1")
        daemon.process.terminate()
        _hear(messages, "STOPPING=1")
        assert daemon.process.wait(60) == 0
    site.wait_drained()
    assert_published(site, COPIES)


def test_a_daemon_tells_cloudwatch_and_its_log_how_it_does(site: Any, tmp_path: Path) -> None:
    """Heartbeats arrive with the agent's own key, and each line of a JSON log is an object that names the site."""
    quick, cloudwatch = agent_with(site, tmp_path, log='"json"'), site.client("cloudwatch")
    name = "beat\n\x1b[2J.txt"
    (Path(site.root) / name).write_text("published, and told", "utf-8")

    def heard(metric: str) -> float:
        answer = cloudwatch.get_metric_statistics(
            Namespace="siteferry",
            MetricName=metric,
            Dimensions=[{"Name": "site", "Value": "www"}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=60,
            Statistics=["SampleCount"],
        )
        return float(sum(point["SampleCount"] for point in answer["Datapoints"]))

    figures = ("Alive", "Published", "Failed", "Deferred", "Held", "OldestUnpublishedSeconds")
    before = {figure: heard(figure) for figure in figures}
    wait_settled(Path(site.root))
    with quick.daemon() as daemon:
        daemon.wait_for_line('"event": "finished"')
        wait_for(lambda: all(heard(figure) > before[figure] for figure in figures), "a heartbeat")
    lines = [json.loads(line) for line in quick.config.with_suffix(".output").read_text("utf-8").splitlines()]
    assert {line["site"] for line in lines} == {"www"}
    told = [line for line in lines if unquote(line.get("path_encoded", "")) == name]
    assert {(line["event"], line["path"]) for line in told} == {("published", "beat\\n\\x1b[2J.txt")}
    published = told[0]
    (finished,) = [line for line in lines if line["event"] == "finished" and line["run"] == published["run"]]
    assert finished["summary"]["run"] == published["run"]
    assert not [line for line in lines if line["level"] == "error" or "heartbeat" in line["message"]]
    (Path(site.root) / name).unlink()
    events = [json.loads(line)["event"] for line in quick.sync().stdout.splitlines()]
    assert events[-2:] == ["deleted", "finished"]
    site.wait_drained()


def _reload(daemon: Daemon, messages: socket.socket, said: str) -> None:
    daemon.process.send_signal(signal.SIGHUP)
    _hear(messages, "RELOADING=1\nMONOTONIC_USEC=")
    _hear(messages, "READY=1")
    daemon.wait_for_line(said)


def _hear(messages: socket.socket, beginning: str, text: str = "") -> list[str]:
    """Take messages up to one that begins so, and has a text."""
    heard: list[str] = []
    while not (heard and heard[-1].startswith(beginning) and text in heard[-1]):
        heard.append(messages.recv(65536).decode())
    return heard


def _on_host(agent: Agent, name: str) -> Agent:
    """Run an agent under another host name, where that is allowed; its state directory is another one anyway."""
    return replace(agent, through=(*NAMESPACE, "sh", "-c", f'hostname {name} && exec "$@"', "sh") if NAMESPACE else ())


def _owner(host: str, state: Path) -> str:
    return f"{host if NAMESPACE else socket.gethostname()}:{state}"


def _last_run(state: Path) -> int:
    """Give the number of the last run that was recorded as done."""
    try:
        return int((json.loads((state / "status.json").read_text("utf-8"))["last_run"] or {"run": 0})["run"])
    except (OSError, ValueError):
        return 0
