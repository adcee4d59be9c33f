"""Pauses, the progress of a run, the status of AWS, and what `siteferry check` makes of this host and of clocks."""

import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from email.utils import formatdate
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from siteferry.app import OpenSite
from siteferry.aside import Aside
from siteferry.aws.identity import clock_finding, seconds_ahead, together
from siteferry.aws.index import DynamoIndex
from siteferry.aws.permissions import Permissions
from siteferry.check import Finding, Verdict, document, exit_code, failed, lines
from siteferry.check_host import check_root, check_state
from siteferry.cli import main
from siteferry.cloud_status import AlarmState, describe_cloud, look
from siteferry.config import load_config
from siteferry.daemon import run_daemon
from siteferry.errors import AccessError, Exit, IndexDamagedError, StateError, UnavailableError, UsageError
from siteferry.head import Head
from siteferry.journal import DaemonReporter
from siteferry.notify import Manager
from siteferry.pause import Pause, PauseWatch, seconds_of, who
from siteferry.plan import Totals
from siteferry.ports import QueueCounts
from siteferry.progress import ProgressReporter, describe, seconds_left
from siteferry.report import PlainReporter, Summary
from siteferry.state import StateDirectory
from siteferry.status import describe as describe_status
from siteferry.status import read, record
from siteferry_contract.job import JobKind
from siteferry_contract.shape import Shape
from tests.unit.agent.fakes import World, descriptor
from tests.unit.agent.test_daemon import FastClock, Source

NOW = 1_800_000_000.0
PAUSE = Pause(NOW, None, "alice (as siteferry)", "moving the disks")


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """A state directory."""
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file with a root."""
    (tmp_path / "root").mkdir()
    path = tmp_path / "siteferry.toml"
    path.write_text(
        f'site = "www"\nroot = "{tmp_path}/root"\nstate_dir = "{tmp_path}/state"\n[aws]\nregion = "us-east-1"\n',
        "utf-8",
    )
    return path


# ---- pauses


def test_a_pause_outlives_processes_and_ends_by_itself_or_by_hand(state: StateDirectory) -> None:
    """It is in the state directory, until its time is over or somebody resumes."""
    assert state.pause(NOW) is None
    state.set_pause(PAUSE)
    assert StateDirectory(state.path).pause(NOW + 1e9) == PAUSE
    assert state.end_pause()
    assert not state.end_pause()
    state.set_pause(replace(PAUSE, until=NOW + 60))
    assert state.pause(NOW + 59) is not None
    assert state.pause(NOW + 60) is None


@pytest.mark.parametrize(
    "left", ["", "[]", '{"since": 1}', "\x00", '{"since": 1, "until": "x", "by": "", "reason": ""}']
)
def test_a_pause_that_cannot_be_read_is_one(state: StateDirectory, left: str) -> None:
    """Somebody wanted it: nothing is published on the word of a damaged file."""
    (state.path / "pause.json").write_text(left, "utf-8")
    pause = state.pause(NOW)
    assert pause is not None
    assert "cannot be read" in pause.describe()


def test_a_pause_says_who_and_why_on_one_line() -> None:
    """What a person typed does nothing to a terminal."""
    assert "by alice (as siteferry): moving the disks" in PAUSE.describe()
    assert replace(PAUSE, reason="a\n\x1b[2J").describe().endswith(r"a\n\x1b[2J")


def test_durations_are_read() -> None:
    """Numbers with units, as many as there are; anything else is refused."""
    assert [seconds_of(text) for text in ("90s", "30m", "2h", "1d", "1h30m")] == [90, 1800, 7200, 86_400, 5400]
    for text in ("", "2", "h", "2 h", "-2h", "2h!", "0m", "2y"):
        with pytest.raises(UsageError):
            seconds_of(text)


def test_the_person_behind_sudo_is_named() -> None:
    """The variable that sudo sets says who called it."""
    user = who({})
    assert who({"SUDO_USER": "alice"}) == f"alice (as {user})"
    assert who({"SUDO_USER": user}) == user


def test_a_run_hears_of_a_pause_without_a_look_for_each_file() -> None:
    """It looks once a second."""
    looks: list[float] = []
    now = [0.0]

    def looked() -> Pause | None:
        looks.append(now[0])
        return PAUSE if now[0] >= 2 else None

    watch = PauseWatch(looked, lambda: now[0])
    heard = []
    for now[0] in (0.0, 0.1, 0.9, 1.0, 1.9, 2.0, 2.1):
        heard.append(watch())
    assert heard == [False] * 5 + [True] * 2
    assert looks == [0.0, 1.0, 2.0]


def test_a_paused_daemon_keeps_the_site_and_publishes_nothing(world: World) -> None:
    """Through an hour of a pause it holds the lease; what came in meanwhile is published afterwards."""
    world.write("a")
    state = StateDirectory(world.config.state_dir)
    clock = FastClock()
    state.set_pause(replace(PAUSE, until=clock.now() + 1e6))
    with world.agent() as site:
        opened = OpenSite(site, world.descriptor, cast("Any", Source(world.descriptor)), state)
        run_daemon(opened, world.config, PlainReporter(quiet=True, idle=False), clock)
        assert clock.passed > 3600
        assert not world.objects.published()
        assert site.tenancy.held
        state.end_pause()
        run_daemon(opened, world.config, PlainReporter(quiet=True, idle=False), FastClock())
        assert set(world.objects.published()) == {"a"}


def test_what_publishes_by_hand_refuses_a_paused_site(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """sync, adopt and audit --repair end with the code of a busy site, and name the way out, before they ask AWS."""
    assert main(["pause", "--for", "1h", "moving", "disks", "--config", str(config)]) == Exit.DONE
    for command in (["sync"], ["adopt"], ["audit", "--repair"]):
        capsys.readouterr()
        assert main([*command, "--config", str(config)]) == Exit.BUSY
        said = capsys.readouterr().err
        assert "moving disks" in said
        assert "siteferry resume" in said
    assert main(["resume", "--config", str(config)]) == Exit.DONE
    assert "resumed: it was paused since" in capsys.readouterr().out
    assert main(["resume", "--config", str(config)]) == Exit.DONE
    assert "there is no pause" in capsys.readouterr().out


# ---- progress and status


def test_a_run_says_how_far_it_is(world: World) -> None:
    """What the process with the lock noted is shown until its run is recorded, and not after it died."""
    state, clock = StateDirectory(world.config.state_dir), FastClock()
    state.lock()
    reporter = ProgressReporter(PlainReporter(quiet=True), state, clock)
    reporter.planned(Totals(puts=10, put_bytes=5_000_000, deletes=2))
    reporter.opened(7)
    noted = state.read_progress()
    assert noted is not None
    assert describe(noted) == "run 7: 0 of 10 files (0 B of 5.0 MB), 2 deletes"
    assert "now         run 7: 0 of 10 files" in describe_status(read(state, world.config))
    state.unlock()
    assert state.read_progress() is None
    state.lock()
    assert state.read_progress() is not None
    record(state, world.config)
    assert state.read_progress() is None
    state.unlock()


def test_progress_is_written_once_a_second_at_most(world: World) -> None:
    """A run of many files writes little; what is shown may be a second old."""
    for n in range(30):
        world.write(f"{n}.txt")
    state, clock = StateDirectory(world.config.state_dir), FastClock()
    written: list[int] = []
    state.write_progress = lambda progress: written.append(progress["files"])  # type: ignore[method-assign]
    reporter = ProgressReporter(PlainReporter(quiet=True), state, clock)
    reporter.planned(Totals(puts=30, put_bytes=30))
    for n in range(30):
        clock.passed = n / 10
        reporter.transferred(cast("Any", _Put()))
    assert written == [0, 11, 21]


class _Put:
    """An upload as far as progress looks at it."""

    state = None
    action = None


def test_what_is_left_is_estimated_by_files_and_bytes() -> None:
    """Many small files take their time as few large ones do; with nothing done, nothing is said."""
    noted = {"begun": 0, "at": 10, "run": 1, "files": 50, "of_files": 100, "bytes": 0, "of_bytes": 0, "deletes": 0}
    assert seconds_left(noted) == 10
    assert seconds_left({**noted, "of_bytes": 5_000_000}) == 20
    assert seconds_left({**noted, "files": 0}) is None
    assert describe(noted).endswith("about 10 s left")


class _Queues:
    def __init__(self, dead: int = 0, error: AccessError | None = None) -> None:
        self._dead, self._error = dead, error

    def count(self, kind: JobKind) -> QueueCounts:
        if self._error:
            raise self._error
        return QueueCounts(3 if kind == "copy" else 0, self._dead if kind == "page" else 0)


class _Alarms:
    def alarms(self) -> Sequence[AlarmState]:
        return [AlarmState("siteferry-www-a", "ALARM", NOW, "Look.\x1b"), AlarmState("siteferry-www-b", "OK", NOW, "")]


class _Index:
    def read_head(self) -> None:
        pass


def test_status_shows_jobs_dead_letters_and_ringing_alarms() -> None:
    """In lines for people, each with the way on."""
    assert describe_cloud(look(_Queues(dead=2), _Alarms(), _Index())) == [
        "jobs        3 copy waiting",
        "DEAD        2 page letters (why: siteferry redrive --dry-run)",
        r"ALARM       siteferry-www-a: Look.\x1b",
    ]


def test_what_aws_does_not_allow_leaves_the_rest() -> None:
    """Without the permission to count jobs, alarms are shown all the same."""
    shown = describe_cloud(look(_Queues(error=AccessError("denied")), _Alarms(), _Index()))
    assert shown == [r"ALARM       siteferry-www-a: Look.\x1b", "AWS         queues: denied"]


def test_status_shows_an_index_that_is_gone() -> None:
    """With what to do, beside jobs and alarms: visitors see the site as it was, and nothing else may ring yet."""
    shown = describe_cloud(look(_Queues(), _Alarms(), no_table()))
    assert len(shown) == 3
    assert shown[-1].startswith(
        "AWS         index: the index's table siteferry-www, which the descriptor names, is not there"
    )
    assert "docs/lost-index.md" in shown[-1]


def test_a_look_that_takes_long_or_fails_does_not_keep_anybody_waiting() -> None:
    """The answer so far is that there is none; an error is the answer."""
    answered = threading.Event()

    def hang() -> dict[str, bool]:
        return {"answered": answered.wait()}

    hangs = Aside(hang)
    hangs.begin()
    assert hangs.result(0) == {"unreached": "no answer yet"}
    answered.set()
    assert hangs.result(60) == {"answered": True}

    def fail() -> dict[str, Any]:
        raise ZeroDivisionError("division by zero")

    fails = Aside(fail)
    fails.begin()
    assert "division" in fails.result(60)["unreached"]


def test_watching_shows_what_changed_until_ctrl_c(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no terminal is, a status that is the same is not printed again."""
    state = StateDirectory(config.parent / "state")
    waits = iter(range(3))

    def wait(_: float) -> None:
        n = next(waits, None)
        if n is None:
            raise KeyboardInterrupt
        if n == 1:
            state.set_pause(PAUSE)

    monkeypatch.setattr(time, "sleep", wait)
    assert main(["status", "--watch", "--local", "--json", "--config", str(config)]) == Exit.DONE
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]
    assert [found["pause"] for found in shown] == [None, asdict(PAUSE)]


# ---- check


def verdicts(findings: Sequence[Finding]) -> dict[str, Verdict]:
    """Give them by name."""
    return {finding.name: finding.verdict for finding in findings}


def test_a_good_host_is_well(world: World) -> None:
    """A writable state directory and a readable root that is not empty; nothing is written."""
    world.write("a")
    StateDirectory(world.config.state_dir)
    before = sorted(os.listdir(world.config.state_dir))
    found = verdicts([*check_state(world.config), *check_root(world.config)])
    assert found == dict.fromkeys(("state directory", "agent", "root", "settle"), Verdict.OK)
    assert sorted(os.listdir(world.config.state_dir)) == before


def test_what_is_wrong_on_the_host_has_its_code(world: World, tmp_path: Path) -> None:
    """A missing root, a state directory that is a file: each with the exit code of a run that meets it."""
    found = list(check_root(replace(world.config, root=tmp_path / "nowhere")))
    assert (found[0].verdict, found[0].exit) == (Verdict.FAIL, Exit.NO_INPUT)
    (tmp_path / "file").write_text("", "utf-8")
    first = next(iter(check_state(replace(world.config, state_dir=tmp_path / "file"))))
    assert (first.verdict, first.exit) == (Verdict.FAIL, Exit.IO_ERROR)
    assert first.remedy


def test_a_pause_and_an_empty_root_are_to_be_looked_at(world: World) -> None:
    """The agent works, but perhaps not as somebody thinks."""
    StateDirectory(world.config.state_dir).set_pause(PAUSE)
    found = verdicts([*check_state(world.config), *check_root(world.config)])
    assert (found["pause"], found["root"]) == (Verdict.WARN, Verdict.WARN)


def test_a_full_disk_fails_before_it_is_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room the state directory is warned of, with next to none it fails."""
    StateDirectory(world.config.state_dir)
    found = []
    for free in (300_000_000, 100_000_000, 1_000_000):
        monkeypatch.setattr(os, "statvfs", partial(_room, free))
        found.append(verdicts(list(check_state(world.config)))["state directory"])
    assert found == [Verdict.OK, Verdict.WARN, Verdict.FAIL]


def _room(free: int, _: Path) -> SimpleNamespace:
    return SimpleNamespace(f_bavail=free, f_frsize=1)


def test_what_the_user_cannot_read_at_the_top_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By names that no terminal acts on."""
    world.write("open.txt")
    (world.root / "closed\x1b").mkdir()
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode, **more: "closed" not in str(path) and access(path, mode, **more)
    )
    found = next(iter(check_root(world.config)))
    assert found.verdict is Verdict.WARN
    assert r"cannot read 1: closed\x1b" in found.text


class _Client:
    """Answers every request with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def answer(*_: object, **__: object) -> _Pages:
            if name == "get_paginator":
                return _Pages(self._error)
            raise self._error

        return answer


class _Pages:
    """Has no first page."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def paginate(self, **_: object) -> NoReturn:
        raise self._error


class _Session:
    """Gives such clients."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def client(self, _: str, **__: object) -> _Client:
        return _Client(self._error)


def refused(code: str, status: int) -> ClientError:
    """Make an error of AWS."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Try")  # type: ignore[typeddict-item]


def no_table() -> DynamoIndex:
    """Give the index of a site whose table was deleted."""
    return DynamoIndex(cast("Any", _Session(refused("ResourceNotFoundException", 400))), "siteferry-www")


@pytest.mark.parametrize(
    "request_of",
    [
        DynamoIndex.read_head,
        lambda index: index.create_head(Head.first()),
        lambda index: index.replace_head(Head.first(), Head.first()),
        lambda index: index.commit([], "token"),
        lambda index: index.write_shape(Shape()),
        lambda index: list(index.leaves()),
    ],
)
def test_a_table_that_is_not_there_is_no_outage(request_of: Callable[[DynamoIndex], object]) -> None:
    """Every request says that the index is lost, what to do, and what works without it, as does a line of a check."""
    with pytest.raises(IndexDamagedError, match=r"table siteferry-www, .* is not there") as caught:
        request_of(no_table())
    found = failed("index", caught.value)
    assert (found.verdict, found.exit) == (Verdict.FAIL, Exit.SOFTWARE)
    assert "stop the agent; docs/lost-index.md" in found.remedy
    assert "restore DEST --from-bucket" in found.remedy


def test_a_table_that_cannot_be_reached_is_an_outage() -> None:
    """Other errors of DynamoDB are not taken for a lost index."""
    index = DynamoIndex(cast("Any", _Session(refused("InternalServerError", 500))), "siteferry-www")
    with pytest.raises(UnavailableError, match="reading the head of table siteferry-www"):
        index.read_head()


def permissions(error: Exception) -> dict[str, Finding]:
    """Try all permissions where every request ends in an error; gives the findings by name."""
    found = Permissions(cast("Any", _Session(error)), descriptor()).check()
    return {finding.name: finding for finding in found}


def test_a_request_that_is_found_wrong_everywhere_proves_nothing() -> None:
    """Where AWS finds a request wrong before it looks for the permission, and so everywhere, no line is ok."""
    found = permissions(refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400))
    assert found["sqs:SendMessage"].verdict is Verdict.UNTRIED
    assert Verdict.OK not in {finding.verdict for finding in found.values()}


def test_what_aws_denies_fails_and_what_depends_on_it_is_not_tried() -> None:
    """With everything denied, a GET of S3 tells nothing without the listing, nor a PUT without either."""
    found = permissions(refused("AccessDenied", 403))
    untried = {name for name, finding in found.items() if finding.verdict is Verdict.UNTRIED}
    assert untried >= {"s3:GetObject", "s3:PutObject"}
    assert found["s3:ListBucket"].exit is Exit.NO_PERMISSION
    assert Verdict.OK not in {finding.verdict for finding in found.values()}


def test_a_network_that_fails_is_no_lack_of_a_permission() -> None:
    """Every line fails with the code of AWS that cannot be reached."""
    found = permissions(EndpointConnectionError(endpoint_url="https://s3"))
    tried = [finding for finding in found.values() if finding.verdict is not Verdict.UNTRIED]
    assert {finding.exit for finding in tried} == {Exit.UNAVAILABLE}
    assert "is the network up" in found["s3:ListBucket"].remedy


def test_clocks_are_compared_within_what_a_date_header_can_tell() -> None:
    """Whole seconds and the way there and back are no difference; five minutes are a failure."""
    date = formatdate(NOW, usegmt=True)
    assert seconds_ahead(date, NOW - 0.5, NOW + 0.2) == 0
    assert seconds_ahead(date, NOW + 0.9, NOW + 1.2) == 0
    assert seconds_ahead(date, NOW + 61, NOW + 62) == 60
    assert seconds_ahead(date, NOW - 62, NOW - 60) == -60
    assert seconds_ahead("yesterday", NOW, NOW) is None
    judged = [clock_finding(ahead).verdict for ahead in (None, 0, -30, 31, -299, 300, -4000)]
    ok, warn, fail = Verdict.OK, Verdict.WARN, Verdict.FAIL
    assert judged == [Verdict.UNTRIED, ok, ok, warn, warn, fail, fail]


def test_a_wrong_clock_is_named_as_the_cause() -> None:
    """AWS refuses what is signed by it, as it refuses wrong keys; the code is not that of credentials."""
    refusal = failed("credentials", AccessError("AWS refuses these credentials (SignatureDoesNotMatch)"))
    shown = together(refusal, clock_finding(-4000))
    assert [(found.name, found.verdict) for found in shown] == [
        ("clock", Verdict.FAIL),
        ("credentials", Verdict.UNTRIED),
    ]
    assert exit_code(shown) is Exit.UNAVAILABLE
    assert exit_code(together(refusal, clock_finding(0))) is Exit.NO_PERMISSION


def test_the_first_failure_gives_the_code() -> None:
    """Warnings give none; a document says the same as the lines."""
    findings = [
        Finding("a", Verdict.WARN, "x"),
        Finding("b", Verdict.FAIL, "y\n", "do", Exit.NO_INPUT),
        Finding("c", Verdict.FAIL, "z", "do", Exit.CONFIG),
    ]
    assert exit_code(findings) is Exit.NO_INPUT
    assert exit_code(findings[:1]) is Exit.DONE
    assert json.loads(document(findings))["exit"] == Exit.NO_INPUT
    assert [line.split()[0] for line in lines(findings[1])] == ["FAIL", "->"]
    assert not any("\n" in line for line in lines(findings[1]))


def test_a_check_without_a_configuration_ends_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What depends on it is said not to be tried, with the code of a wrong configuration."""
    assert main(["check", "--config", str(tmp_path / "none.toml")]) == Exit.CONFIG
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["FAIL", "->", "-", "1"]


def test_a_hinted_run_that_ended_is_not_shown_as_going_on(state: StateDirectory, config: Path) -> None:
    """Its progress is over when it is, though what the last full cycle found stays in the status."""
    settings = load_config(config)
    state.lock()
    record(state, settings, summary=Summary(run=1))
    state.write_progress({"begun": time.time(), "run": 2})
    assert state.read_progress() is not None
    record(state, settings, summary=Summary(run=2, hinted=True))
    assert state.read_progress() is None


def test_a_hinted_summary_names_its_site_in_the_journal() -> None:
    """As every line of the journal does."""
    out = io.StringIO()
    DaemonReporter("www", Manager(""), out, journal=True).finished(Summary(run=2, uploaded=1, hinted=True))
    assert out.getvalue() == "<6>www: run 2 (hinted): 1 published (0 B)\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_a_record_of_runs_that_another_user_may_not_read_says_how_to_ask(
    state: StateDirectory, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`siteferry history` names the command to give, and takes nothing for an empty record."""
    state.path.chmod(0o700)
    settings = load_config(config)
    monkeypatch.setattr("siteferry.commands.restoring.load_config", lambda _: settings)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        code = 1
        with os.fdopen(writer, "w") as sys.stderr:
            code = main(["history"])
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert "sudo siteferry-as-unit" in said.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == Exit.IO_ERROR


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_status_for_another_user_says_how_to_ask(state: StateDirectory) -> None:
    """What cannot be read is not taken for an agent that does not run, or for a pause; what is not there is well."""
    state.path.chmod(0o700)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            state.check_readable()
        except StateError as error:
            os.write(writer, error.remedy.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert "siteferry-as-unit" in said.read()
    StateDirectory(state.path / "not there", to_look=True).check_readable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_agents_state_to_the_agent(tmp_path: Path) -> None:
    """What root makes beneath the agent's directory is the agent's, and a run by root is refused there."""
    os.chown(tmp_path, 65534, 65534)
    state = StateDirectory(tmp_path / "www")
    assert state.path.stat().st_uid == 65534
    with pytest.raises(StateError) as caught:
        state.lock()
    assert "siteferry-as-unit" in caught.value.remedy
    assert not (state.path / "lock").exists()


def test_the_status_shows_a_long_name_without_its_middle() -> None:
    """Beginning, end and reason are there."""
    problem = {"path": "docs/" + "a" * 1100 + ".txt", "reason": "too long"}
    found = {"site": "www", "root": "/srv", "running": False, "pause": None, "progress": None}
    lines = describe_status(found | {"unpublishable": [problem], "unpublishable_count": 1}).splitlines()
    assert lines[-1].startswith("not published: docs/aaa")
    assert lines[-1].endswith("aaa.txt: too long")
    assert len(lines[-1]) < 160
