"""The daemon under a service manager: what it tells it and when, reloads, the watchdog, its lines in the journal."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest

from siteferry.app import OpenSite
from siteferry.clock import HostClock
from siteferry.config import Config
from siteferry.daemon import keep_published
from siteferry.errors import BusyError, ConfigError, UnavailableError
from siteferry.journal import DaemonReporter, is_journal
from siteferry.notify import MOST_PING_SECONDS, STEP_SECONDS, Manager, one_line
from siteferry.report import Summary
from siteferry.state import StateDirectory
from siteferry.tree import Tree
from siteferry.verify import changed_directories
from siteferry.watched import WatchedIndex, WatchedObjects
from tests.unit.agent.fakes import World
from tests.unit.agent.test_daemon import Source


class Listener:
    """A service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Give the messages that came since the last look."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    """A manager that listens at a path, or at an abstract address."""
    found = Listener(str(tmp_path / "notify") if request.param == "path" else f"@siteferry-test-{os.getpid()}")
    yield found
    found.close()


@contextmanager
def manager_of(listener: Listener, watchdog: float = 0.0, time: Callable[[], float] = monotonic) -> Iterator[Manager]:
    """Give a process's view of a manager."""
    manager = Manager(listener.address, watchdog, time)
    try:
        yield manager
    finally:
        manager.close()


class Clock(HostClock):
    """A clock whose waits pass at once, and are told to a test."""

    def __init__(self, manager: Manager, on_wait: Callable[["Clock"], None]) -> None:
        super().__init__(manager.progress)
        self.passed, self.waits, self._on_wait = 0.0, 0, on_wait

    def elapsed(self) -> float:
        """Give what was waited for."""
        return self.passed

    def wait(self, seconds: float) -> bool:
        """Let the time pass."""
        self.passed += seconds
        self.waits += 1
        self._on_wait(self)
        assert self.waits < 100
        return self.stop.is_set()


class Daemon:
    """A daemon on the fakes, with a manager that listens."""

    def __init__(self, world: World, listener: Listener, on_wait: Callable[[Clock], None]) -> None:
        self.world, self.listener, self._on_wait = world, listener, on_wait
        self.out = io.StringIO()
        self.opened: list[Config] = []
        self.following: Config | Exception = world.config
        """What a reload reads."""
        self.refused: Config | None = None
        """With which no site can be opened."""

    def run(self) -> None:
        """Run it to its end."""
        with manager_of(self.listener) as manager:
            self._reporter = DaemonReporter("www", manager, self.out)
            keep_published(
                self.world.config, self._load, self._open, self._reporter, Clock(manager, self._on_wait), manager
            )

    def _load(self) -> Config:
        if isinstance(self.following, Exception):
            raise self.following
        return self.following

    @contextmanager
    def _open(self, config: Config) -> Iterator[OpenSite]:
        self.opened.append(config)
        if config == self.refused:
            raise ConfigError("no such site", "deploy it")
        with self.world.agent(self._reporter) as site:
            state = StateDirectory(self.world.config.state_dir)
            yield OpenSite(site, self.world.descriptor, cast("Any", Source(self.world.descriptor)), state)


# ---- the protocol


def test_nothing_is_told_where_no_manager_is() -> None:
    """Without an address every call does nothing."""
    manager = Manager.of({})
    manager.ready()
    manager.status("x")
    manager.progress()
    manager.close()


def test_children_do_not_speak_for_the_daemon(listener: Listener) -> None:
    """What the manager is found by is taken out of the environment; another process's watchdog is not ours."""
    environment = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1", "HOME": "/"}
    manager = Manager.of(environment)
    assert environment == {"HOME": "/"}
    manager.ready()
    assert listener.heard() == ["READY=1"]
    manager.progress()
    assert listener.heard() == []
    manager.close()


def test_a_manager_that_is_gone_ends_nothing(listener: Listener) -> None:
    """Messages that nobody takes are dropped."""
    with manager_of(listener) as manager:
        listener.close()
        Path(listener.address).unlink(missing_ok=True)
        manager.ready()
        manager.status("still here")


def test_a_reload_carries_its_time(listener: Listener) -> None:
    """RELOADING and MONOTONIC_USEC come in one message, as Type=notify-reload wants them."""
    with manager_of(listener) as manager:
        manager.reloading()
    (message,) = listener.heard()
    reloading, time = message.split("\n")
    assert reloading == "RELOADING=1"
    assert int(time.removeprefix("MONOTONIC_USEC=")) > 0


def test_a_status_is_one_line_that_nothing_acts_on(listener: Listener) -> None:
    """Neither a new line nor an escape sequence nor half a character gets into a status."""
    with manager_of(listener) as manager:
        manager.status("a\nREADY=1\x1b[2J\udcff" + "b" * 9999)
    (message,) = listener.heard()
    assert message.startswith("STATUS=a READY=1 [2J b")
    assert len(message) < 600


def test_pings_come_with_progress_only_and_not_too_often(listener: Listener) -> None:
    """A ping is sent when something was done, at most four in the time of the watchdog; none by time alone."""
    now = [0.0]
    with manager_of(listener, watchdog=STEP_SECONDS, time=lambda: now[0]) as manager:
        manager.ready()
        listener.heard()
        now[0] = 1e6
        assert listener.heard() == []
        manager.progress()
        manager.progress()
        assert listener.heard() == ["WATCHDOG=1"]
        now[0] += MOST_PING_SECONDS
        manager.progress()
        assert listener.heard() == ["WATCHDOG=1"]


def test_a_long_lease_lengthens_the_watchdog(listener: Listener) -> None:
    """Where a request may take longer than watchdog and stop have patience, both are lengthened."""
    with manager_of(listener, watchdog=30) as manager:
        manager.allow(7200)
        manager.ready()
        manager.ready()
        assert listener.heard() == ["READY=1\nWATCHDOG_USEC=7200000000", "READY=1"]
        manager.stopping()
        assert "EXTEND_TIMEOUT_USEC=7200000000" in listener.heard()[0].split("\n")


def test_a_start_and_a_stop_may_take_as_long_as_there_is_progress(listener: Listener) -> None:
    """Before READY and after STOPPING progress extends the time-out; in between it does not."""
    now = [0.0]
    extended = f"EXTEND_TIMEOUT_USEC={STEP_SECONDS * 1e6:.0f}"
    with manager_of(listener, time=lambda: now[0]) as manager:
        tells: list[tuple[Callable[[], object], list[str]]] = [
            (listener.heard, [extended]),
            (manager.ready, []),
            (manager.stopping, [extended]),
        ]
        for tell, heard in tells:
            tell()
            listener.heard()
            now[0] += 60
            manager.progress()
            assert listener.heard() == heard


# ---- the daemon


def test_ready_comes_after_the_site_is_held_and_status_says_what_is_done(world: World, listener: Listener) -> None:
    """READY is not sent before the lease is taken; then come the plan, and what the cycle came to."""
    world.write("a")
    heard: list[str] = []

    def look(_: str) -> None:
        heard.extend(listener.heard())
        assert world.index.head is None or world.index.head.lease or "READY=1" not in heard

    world.faults.before = look
    Daemon(world, listener, lambda clock: clock.ask_to_stop()).run()
    heard += listener.heard()
    assert heard[0] == "READY=1"
    assert "STATUS=plan: 1 to publish (1 B) [1 new]" in heard
    assert heard[-1] == "STATUS=waiting; last cycle: run 1: 1 published (1 B)"


def test_a_site_that_another_has_is_never_ready(world: World, listener: Listener) -> None:
    """A daemon that cannot take the lease ends without READY."""
    world.faults.answer("replace_head", BusyError("another sync of this site is running"))
    with pytest.raises(BusyError):
        Daemon(world, listener, lambda clock: None).run()
    assert not any("READY" in message for message in listener.heard())


def test_a_reload_takes_effect(world: World, listener: Listener) -> None:
    """A changed configuration opens the site again with it, and READY follows."""
    changed = replace(world.config, workers=3)

    def on_wait(clock: Clock) -> None:
        daemon.following = changed
        if clock.waits == 1:
            clock.ask_to_reload()
        else:
            clock.ask_to_stop()

    daemon = Daemon(world, listener, on_wait)
    daemon.run()
    assert daemon.opened == [world.config, changed]
    assert "the configuration changed: starting again with it" in daemon.out.getvalue()
    assert listener.heard().count("READY=1") == 2


@pytest.mark.parametrize("kind", ["wrong", "refused", "same"])
def test_a_wrong_configuration_leaves_the_old_one_in_force(world: World, listener: Listener, kind: str) -> None:
    """What cannot be read, or connected, is reported, and the daemon publishes on with what it had."""
    changed = replace(world.config, site="other")

    def on_wait(clock: Clock) -> None:
        if clock.waits == 1:
            world.write("later")
            clock.ask_to_reload()
        elif clock.waits == 2:
            clock.ask_to_stop()

    daemon = Daemon(world, listener, on_wait)
    if kind == "wrong":
        daemon.following = ConfigError("/etc/siteferry.toml: `workers` is 0")
    elif kind == "refused":
        daemon.following = changed
    daemon.refused = changed
    daemon.run()
    assert daemon.opened[0] == daemon.opened[-1] == world.config
    assert set(world.objects.published()) == {"later"}
    assert ("ERROR" in daemon.out.getvalue()) == (kind != "same")
    assert ("the configuration stays as it was" in daemon.out.getvalue()) == (kind != "same")
    assert listener.heard().count("READY=1") == 2


def test_an_error_at_the_first_start_ends_the_daemon(world: World, listener: Listener) -> None:
    """With no configuration to go back to, what is wrong ends the daemon; a later reload does not bring one back."""
    daemon = Daemon(world, listener, lambda clock: None)
    daemon.refused = world.config
    with pytest.raises(ConfigError):
        daemon.run()
    assert daemon.opened == [world.config]


def test_a_failing_cycle_shows_in_the_status(world: World, listener: Listener) -> None:
    """The status of a daemon whose cycle failed says so."""
    world.write("a")
    world.faults.answer("commit", UnavailableError("no answer"))
    world.faults.answer("commit", UnavailableError("no answer"))
    world.faults.answer("commit", UnavailableError("no answer"))
    Daemon(world, listener, lambda clock: clock.ask_to_stop()).run()
    assert "STATUS=ERROR: no answer" in listener.heard()


# ---- signals and waits


def test_signals_reach_daemon_and_manager(listener: Listener) -> None:
    """SIGHUP asks for one reload and ends one wait; SIGTERM ends all waits; the manager hears of both at once."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        with manager_of(listener) as manager:
            clock = HostClock.until_signalled(manager, reloads=True)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not clock.wait(3600)
            assert clock.is_called()
            assert clock.take_reload()
            assert not clock.is_called()
            os.kill(os.getpid(), signal.SIGTERM)
            assert clock.wait(3600)
            assert clock.wait(3600)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    heard = [message.split("\n")[0] for message in listener.heard()]
    assert [message for message in heard if not message.startswith("EXTEND")] == ["RELOADING=1", "STOPPING=1"]


def test_a_wait_is_progress() -> None:
    """Whoever waits for some time does not hang, and says so."""
    told = threading.Event()
    HostClock(told.set).wait(0.001)
    assert told.is_set()


# ---- what counts as progress


def test_reading_the_tree_is_progress(world: World) -> None:
    """Each directory that is scanned or verified counts, and nothing does while none is read."""
    for n in range(3):
        world.write(f"{n}/a")
    world.settle()
    told: list[str] = []
    with Tree(world.root, lambda: told.append("read")) as tree:
        assert not told
        assert list(changed_directories(tree, StateDirectory(world.config.state_dir).cache, processes=1)) == []
    assert len(told) == 4


@pytest.mark.parametrize("size", [1, 100_000, 9_000_000])
def test_a_touched_tree_is_progress(world: World, size: int) -> None:
    """Reading a file only to find that nothing is to be sent counts, for files of each kind; no request is made."""
    names = [f"{n}" for n in range(3)]
    for name in names:
        world.write(name, b"x" * size)
    world.settle()
    for name in names:
        os.utime(world.root / name, (1, 1))
    told: list[str] = []
    world.progress = lambda: told.append("progress")
    world.faults.before = told.append
    assert world.sync().unchanged == 3
    begun, ended = told.index("replace_head"), told.index("commit")
    assert told[begun:ended].count("progress") >= 3
    assert "put" not in told


def test_answers_are_progress_but_those_about_the_lease_are_not(world: World) -> None:
    """A renewal of the lease keeps no watchdog quiet; a chunk of a large file does, and so does each object listed."""
    told: list[str] = []
    world.write("a")
    world.settle()
    index = WatchedIndex(world.index, lambda: told.append("index"))
    objects = WatchedObjects(world.objects, lambda: told.append("objects"))
    head = index.read_head()
    assert head is not None
    assert index.replace_head(head, head)
    assert told == []
    objects.put_chunks("b", [b"1", b"2", b"3"], 3, {})
    assert told == 4 * ["objects"]
    listed = list(objects.list(""))
    assert told == (4 + len(listed)) * ["objects"]
    world.faults.answer("head", UnavailableError("no answer"))
    with pytest.raises(UnavailableError):
        objects.head("a")
    assert told == (4 + len(listed)) * ["objects"]


# ---- the journal


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    """A stream is the journal's only if $JOURNAL_STREAM names its device and inode."""
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:1"})
        assert not is_journal(stream, {})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:1"})


def test_lines_in_the_journal_have_priority_site_and_run() -> None:
    """Failures are errors, held deletes a warning, all else information; a run's lines name it, one line each."""
    out = io.StringIO()
    reporter = DaemonReporter("www", Manager(), out, journal=True)
    reporter.note("watching /srv/ftp/www")
    reporter.opened(7)
    reporter.failed(b"bad\n<0>name", "cannot be read")
    reporter.note("ERROR: lost\nthe lease")
    reporter.note("next")
    reporter.opened(8)
    reporter.finished(Summary(run=8, deleted=2, held=1, hold_reason="too many"))
    assert out.getvalue().splitlines() == [
        "<6>www: watching /srv/ftp/www",
        r"<3>www run 7: FAILED bad\n<0>name: cannot be read",
        "<3>www run 7: ERROR: lost the lease",
        "<6>www: next",
        "<4>www: HELD: too many",
        "<6>www: run 8: 2 deleted, 1 deletes held",
    ]


def test_a_start_that_fails_is_an_error_in_the_journal(tmp_path: Path) -> None:
    """What ends `siteferry run` has a priority, too, where standard error is the journal."""
    log = tmp_path / "log"
    with log.open("wb") as stream:
        status = os.fstat(stream.fileno())
        done = subprocess.run(
            [sys.executable, "-m", "siteferry", "run", "--config", str(tmp_path / "none.toml")],
            stderr=stream,
            env=os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            check=False,
        )
    assert done.returncode == 78
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("<3>") for line in lines)


def test_one_line_keeps_what_is_printable() -> None:
    """Names that were escaped already stay as they are."""
    assert one_line(r"caf\xe9 ü") == r"caf\xe9 ü"
