"""Names that are terminal escapes, HTML, newlines or a journal's priorities, in all that the agent's commands print."""

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from siteferry.app import OpenSite
from siteferry.cli import main
from siteferry.config import Brake
from siteferry.journal import DaemonReporter
from siteferry.notify import Manager
from siteferry.state import StateDirectory
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import World, descriptor
from tests.unit.agent.test_explain import Distribution, Queues

NAMES = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b2J",
    "line\nFAILED second\r\nthird",
    "\n<0>panic: from the kernel",
    "<3>siteferry: ERROR",
    "<script>alert(1)<\\script>",
    "'; rm -rf ~; '",
    "-rf",
    "`id` $(id) %s %n {0} {run}",
    "\u202egnp.exe",
    "\u2028\u2029\x85\x0b\x0c",
    "\\x1b[31m",
    '"},{"action": "delete',
    "\udcff\udcfe",
    "\x7f" * 240,
    "\t\x01\x02\x03",
)
WORDS = (
    "published",
    "unchanged",
    "deleted",
    "put",
    "delete",
    "held",
    "skip",
    "not published:",
    "FAILED",
    "HELD",
    "HELD:",
)
"""With which lines begin that have a name."""


@pytest.fixture
def site(world: World) -> World:
    """A site with files, directories, symlinks and what cannot be read or published, all of hostile names."""
    world.descriptor = descriptor(encoding="auto", copy_rules=(), header_rules=(HeaderRule("*", {"x-a": "b"}),))
    world.config = replace(world.config, brake=Brake(files=0, percent=0))
    for name in NAMES:
        world.write(f"files/{name}", b"x")
        world.write(f"in {name}/{name}.html", b"x")
        (world.root / f"link {name}"[:255]).symlink_to("/etc/passwd")
        if len(name) < 100:
            world.write("/".join(["deep", *[name + "y" * 200] * 6]))
    return world


@pytest.fixture
def command(
    site: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Give a function that runs a command of `siteferry` on the site, and gives what it printed."""
    config = site.base / "siteferry.toml"
    state = site.config.state_dir
    config.write_text(
        f'site = "www"\nroot = "{site.root}"\nstate_dir = "{state}"\nsettle = 1\n[brake]\nfiles = 0\npercent = 0\n'
    )

    @contextmanager
    def open_site(_: object, reporter: Any, *__: object, **___: object) -> Iterator[OpenSite]:
        with site.agent(reporter) as opened:
            yield OpenSite(opened, site.descriptor, cast("Any", None), StateDirectory(state))

    for module in ("publishing", "looking"):
        monkeypatch.setattr(f"siteferry.commands.{module}.open_site", open_site)
    monkeypatch.setattr("siteferry.commands.looking.open_queue_look", lambda *_: Queues())
    monkeypatch.setattr("siteferry.commands.looking.HttpCdn", lambda *_: Distribution(site))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: str) -> str:
        main([*arguments, "--config", str(config)])
        told = capsys.readouterr()
        assert all(line.isprintable() for line in told.err.split("\n")), told.err
        return told.out

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def assert_harmless(text: str, *, least: int = 1) -> None:
    """Every line can be printed, is one of the agent's own, and tells of a name; there are enough of them."""
    lines = text.removesuffix("\n").split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    telling = [line for line in lines if line.startswith(WORDS)]
    assert len(telling) >= least, text
    own = (
        *WORDS,
        "run ",
        "plan:",
        "site ",
        "root ",
        "agent ",
        "AWS ",
        "published ",
        "last ",
        "…",
        "nothing to do",
        "read the index",
    )
    assert [line for line in lines if not line.startswith(own)] == []


def test_the_lines_of_a_run(site: World, command: Callable[..., str]) -> None:
    """What is published, touched, deleted, failed or held is a line each, whatever it is called."""
    assert_harmless(command("sync"), least=2 * len(NAMES))
    site.handle()
    for name in NAMES:
        os.utime(site.root / "files" / name, (5, 5))
        site.write(f"in {name}/{name}.html", b"other")
    assert_harmless(command("sync"), least=2 * len(NAMES))
    for name in NAMES:
        (site.root / "files" / name).unlink()
    assert "HELD: " in command("sync")
    assert_harmless(command("approve").replace("approved: ", "HELD: "))
    assert_harmless(command("sync"), least=len(NAMES))


def test_the_lines_of_failures(site: World, command: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is named in a run's lines, and in the status that it leaves."""

    def refuses(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("siteferry.tree.os.pread", refuses)
    assert_harmless(command("sync"), least=2 * len(NAMES))
    assert_harmless(command("status"), least=2 * len(NAMES))
    assert len(json.loads(command("status", "--json"))["last"]["failures"]) == 2 * len(NAMES)


def test_the_lines_of_a_plan(site: World, command: Callable[..., str]) -> None:
    """A dry run names what it would do, and what it would not, each in a line or a row."""
    assert_harmless(command("sync", "--dry-run"), least=3 * len(NAMES))
    text = command("sync", "--dry-run", "--json")
    assert text.isascii()
    plan = json.loads(text)
    assert {row["key"] for row in plan["changes"]} >= {
        f"files/{name}" for name in NAMES if name.isprintable() or name.isascii()
    }
    assert all(row["path"].isprintable() for row in (*plan["changes"], *plan["problems"]))


def test_the_status(site: World, command: Callable[..., str]) -> None:
    """Names that are not published, and failures, are a line each."""
    command("sync")
    assert_harmless(command("status"), least=20)
    text = command("status", "--json")
    assert text.isascii()
    paths = [problem["path"] for problem in json.loads(text)["unpublishable"]]
    assert len(paths) > len(NAMES)
    assert all(path.isprintable() for path in paths)


def test_the_summary_as_json(site: World, command: Callable[..., str]) -> None:
    """One document, of ASCII alone."""
    text = command("sync", "--json")
    assert text.isascii()
    assert json.loads(text)["uploaded"] == 2 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_explains_a_name(site: World, command: Callable[..., str], name: str) -> None:
    """For people every line can be printed; for programs it is one document of ASCII."""
    site.settle()
    for path in (f"./files/{name}", f"link {name}"[:255], f"./in {name}/nothing", f"in {name}"):
        text = command("explain", path)
        assert all(line.isprintable() for line in text.split("\n")), text
        assert "\n<" not in text
        document = command("explain", path, "--json")
        assert document.isascii()
        json.loads(document)


def test_the_audit(site: World, command: Callable[..., str]) -> None:
    """What differs between index and bucket is named in a line each, or in one document."""
    site.settle()
    for key in list(site.objects.current):
        del site.objects.current[key]
    text = command("audit")
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert sum(line.startswith("file ") for line in text.split("\n")) == 2 * len(NAMES)
    document = command("audit", "--json")
    assert document.isascii()
    assert len(json.loads(document)["findings"]) >= 2 * len(NAMES)


def test_the_journal_of_a_daemon(site: World) -> None:
    """Each line has the priority that the agent gives it: no name begins a line, so none has one of its own."""
    out = io.StringIO()
    with site.agent(DaemonReporter("www", Manager(), out, journal=True)) as agent:
        summary = agent.sync()
        agent.parts.reporter.finished(summary)
    lines = out.getvalue().removesuffix("\n").split("\n")
    assert len(lines) >= 2 * len(NAMES)
    assert [line for line in lines if not line.isprintable()] == []
    assert {line[:6] for line in lines} == {"<6>www"}


def test_names_are_published_as_they_are(site: World) -> None:
    """Escaped for people, but bytes and keys are the names' own."""
    site.settle()
    keys = set(site.objects.published())
    assert len(keys) == 2 * len(NAMES)
    assert {f"files/{name}" for name in NAMES if name.isascii()} <= keys
    assert len({entry.name for entry in os.scandir(site.root / "files")}) == len(NAMES)
