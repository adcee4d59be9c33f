"""A log of JSON objects: every line parses, says whose it is, and holds nothing that anything acts on."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from siteferry.journal import DaemonReporter
from siteferry.notify import Manager
from siteferry.plan import Action, Change, Totals
from siteferry.report import Finding, Summary
from siteferry.tree import FileState
from tests.unit.agent.fakes import World

HOSTILE = (
    b"new\nline",
    b"\x1b[2J\x07\x9b31m",
    b'"},{"level":"error","site":"other"',
    b"caf\xe9 \xff\xfe",
    "\u202egpj.exe \u2028\u2029\x85".encode(),
    b"back\\slash \\u0041",
    b"50% %0a",
)


class Log:
    """A reporter that writes JSON, and what it wrote."""

    def __init__(self, *, journal: bool = False) -> None:
        self.out = io.StringIO()
        self.reporter = DaemonReporter("www", Manager(), self.out, as_json=True, journal=journal)

    def lines(self) -> list[dict[str, Any]]:
        """Give the objects; what is not one fails."""
        lines = self.out.getvalue().split("\n")
        assert lines.pop() == ""
        for line in lines:
            assert line.isascii()
            assert line.isprintable()
        found = [json.loads(line) for line in lines]
        assert all(document.keys() >= {"time", "level", "site", "run", "event", "message"} for document in found)
        assert all(document["message"].isprintable() for document in found)
        return found


def published(path: bytes) -> Change:
    """Give the change of a file that was published."""
    return Change(Action.PUT, "new", "", b"", "name", path, FileState(1, 3, 0, 0))


EVENTS: dict[str, Callable[[DaemonReporter, bytes], None]] = {
    "published": lambda reporter, name: reporter.published(published(name), uploaded=True),
    "deleted": lambda reporter, name: reporter.deleted(published(name)),
    "failed": lambda reporter, name: reporter.failed(name, f"cannot be read: {os.fsdecode(name)}"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("event", EVENTS)
def test_a_hostile_name_is_one_object_and_can_be_had_again(event: str, name: bytes) -> None:
    """Every line parses and has no control character; the path is escaped, and beside it lossless."""
    log = Log()
    log.reporter.opened(7)
    EVENTS[event](log.reporter, name)
    (line,) = log.lines()
    assert (line["event"], line["site"], line["run"]) == (event, "www", 7)
    assert line["level"] == ("error" if event == "failed" else "info")
    assert line["path"].isprintable()
    assert unquote_to_bytes(line["path_encoded"]) == name
    assert line["reason"].isprintable()


def test_what_others_say_is_escaped_too() -> None:
    """Keys of the bucket, and texts of errors and notes, are as hostile as names."""
    log = Log()
    log.reporter.note("ERROR: no answer from\x1b[2J\nhost")
    log.reporter.differs(Finding("stray", "\x1b[2Jx\n\u202e", "it has no file"))
    error, differs = log.lines()
    assert (error["level"], error["event"]) == ("error", "error")
    assert differs["key"] == "\\x1b[2Jx\\n\\u202e"


def test_a_run_is_told_from_its_plan_to_its_summary() -> None:
    """The lines of a run have its number, the summary's too; before and after it there is none."""
    log = Log()
    log.reporter.note("watching /srv/ftp/www")
    log.reporter.planned(Totals(puts=2))
    log.reporter.opened(8)
    log.reporter.published(published(b"a"), uploaded=False)
    log.reporter.finished(Summary(run=8, unchanged=1, held=2, hold_reason="too many"))
    log.reporter.note("stopping")
    assert [(line["event"], line["level"], line["run"]) for line in log.lines()] == [
        ("note", "info", None),
        ("planned", "info", None),
        ("published", "info", 8),
        ("held", "warning", 8),
        ("finished", "info", 8),
        ("note", "info", None),
    ]
    summary = log.lines()[4]["summary"]
    assert (summary["unchanged"], summary["held"]) == (1, 2)


def test_in_the_journal_an_object_stands_behind_its_priority() -> None:
    """The priority is for systemd, which takes it away; what is left parses."""
    log = Log(journal=True)
    log.reporter.failed(b"a", "cannot be read")
    line = log.out.getvalue()
    assert line.startswith("<3>{")
    assert json.loads(line.removeprefix("<3>"))["path"] == "a"


def test_a_real_run_is_told_in_objects_only(world: World) -> None:
    """A whole run of hostile names, as the agent makes it."""
    for name in HOSTILE:
        (world.root / os.fsdecode(name)).write_bytes(b"x")
    log = Log()
    with world.agent(log.reporter) as site:
        log.reporter.finished(site.sync())
    told = {unquote_to_bytes(line["path_encoded"]) for line in log.lines() if line["event"] == "published"}
    problems = log.lines()[-1]["summary"]["problems"]
    assert told <= set(HOSTILE)
    assert len(told) == len(HOSTILE) - problems
    assert len(told) > 3


@pytest.mark.parametrize("command", ["run", "sync"])
@pytest.mark.parametrize("log", ["json", "text"])
def test_an_end_with_an_error_is_told_where_the_log_is(tmp_path: Path, command: str, log: str) -> None:
    """In a log of objects it is one of them; otherwise it goes to standard error."""
    (tmp_path / "root").mkdir()
    config = tmp_path / "siteferry.toml"
    text = f'site = "www"\nroot = "{tmp_path}/root"\nstate_dir = "{tmp_path}/state"\nlog = "{log}"\n'
    config.write_text(f'{text}[aws]\nregion = "us-east-1"\nprofile = "there-is-none"\n', "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "siteferry", command, "--config", str(config)],
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    said = [line for line in done.stdout.splitlines() if "WARNING: " not in line]  # of this process's own rights
    if log == "text":
        assert said == []
        assert "there-is-none" in done.stderr
        return
    assert done.stderr == ""
    (line,) = map(json.loads, said)
    assert (line["level"], line["site"], line["run"]) == ("error", "www", None)
    assert "there-is-none" in line["message"]
