"""`siteferry undo` and `history` as a person meets them: the question, the last lines, the exit codes."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from siteferry.cli import main
from siteferry.errors import Exit
from siteferry.report import Summary
from siteferry.restore.restore import Restorer
from siteferry.restore.times import shown
from siteferry.state import StateDirectory
from siteferry.status import record as record_status
from tests.unit.agent.archive import MemoryArchive
from tests.unit.agent.fakes import World
from tests.unit.agent.test_restore import tree_of, write
from tests.unit.agent.test_restore_failures import GONE, rename
from tests.unit.agent.test_time_machine import Undoer


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """The `siteferry` command in front of a site, on a terminal; a signal ends nothing of the test itself."""
    config = world.base / "siteferry.toml"
    config.write_text(f'site = "www"\nroot = "{world.root}"\nstate_dir = "{world.config.state_dir}"\n')

    @contextmanager
    def open_to_restore(_: object, __: object, clock: Any) -> Iterator[Restorer]:
        world.stopping = clock.is_called
        with world.agent() as site:
            yield Restorer(site.parts, MemoryArchive(world.objects, world.faults))

    monkeypatch.setattr("siteferry.commands.restoring.open_to_restore", open_to_restore)
    monkeypatch.setattr("siteferry.commands.restoring.time", SimpleNamespace(time=world.clock.now))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda *arguments: main([*arguments, "--config", str(config)])
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_prompt_ends_the_undo(
    world: World, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Nothing is done, whatever is typed then, and the exit code is that of Ctrl-C."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    before = tree_of(root)

    def wait(_: str) -> str:
        signal.raise_signal(number)
        return "y"

    monkeypatch.setattr("builtins.input", wait)
    assert command("undo", str(run)) == 130
    assert tree_of(root) == before


def test_a_signal_while_the_plan_is_made_asks_nothing(
    world: World, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for a stop is not waited for."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    before = tree_of(root)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    world.faults.before = lambda request: signal.raise_signal(signal.SIGINT) if request == "archive versions" else None
    assert command("undo", str(run)) == 130
    assert tree_of(root) == before


@pytest.mark.parametrize("arguments", [["restore", "{}", "--delete"], ["undo", "1", "--yes"]])
def test_a_signal_while_the_trees_are_compared_ends_it_there(
    world: World, command: Callable[..., int], arguments: list[str]
) -> None:
    """Nothing was done, so there is nothing to end in order."""
    Undoer(world)
    before = tree_of(world.root)
    world.progress = lambda: signal.raise_signal(signal.SIGINT)
    assert command(*(argument.format(world.root) for argument in arguments)) == 130
    assert tree_of(world.root) == before


def test_a_signal_after_the_word_stops_between_two_files(
    world: World, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt's own way with signals ends with it."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    monkeypatch.setattr("builtins.input", lambda _: "y")
    world.faults.before = lambda request: signal.raise_signal(signal.SIGINT) if request == "archive get" else None
    assert command("undo", str(run)) == Exit.FAILED
    assert {b"a.html", b"b.html"} <= set(tree_of(root))


def test_the_end_of_input_at_the_prompt_is_a_no(
    world: World, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is Ctrl-D."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    before = tree_of(root)

    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    assert command("undo", str(run)) == Exit.DONE
    assert tree_of(root) == before


def test_the_last_line_says_what_was_not_deleted(
    world: World, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """How many, why, and what to do."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    world.faults.answer("archive get", GONE)
    assert command("undo", str(run), "--yes") == Exit.FAILED
    assert "1 FAILED, 1 not deleted, as something failed: the same command again" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--dry-run"], ["--dry-run", "--yes"], ["--json"]])
def test_a_plan_that_is_only_looked_at_changes_nothing(
    world: World, command: Callable[..., int], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """It is shown, with directories that go; nobody is asked."""
    undoer, root = Undoer(world), world.root
    then = world.clock.time
    undoer.run(lambda: write(root, b"new/d.html", b"new"))
    before = tree_of(root)
    assert command("undo", "--since", shown(then), *options) == Exit.DONE
    assert tree_of(root) == before
    said = capsys.readouterr().out
    if "--json" not in options:
        assert "delete  new/d.html (new since)" in said
        assert "remove  new (extra)" in said


def test_without_a_terminal_nothing_is_done_and_that_is_no_success(
    world: World, command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script must not take it for done."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    before = tree_of(root)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert command("undo", str(run)) == Exit.FAILED
    assert "nothing was done: look at the plan, then add --yes" in capsys.readouterr().out
    assert tree_of(root) == before


def test_what_is_gone_by_no_run_is_told(
    world: World, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """An undo of one run leaves out what is missing while its deletes are held: it says so, and history does."""
    undoer, root = Undoer(world), world.root
    run = undoer.run(lambda: rename(root))
    record_status(StateDirectory(world.config.state_dir), world.config, summary=Summary(held=40, hold_reason="why"))
    assert command("history") == Exit.DONE
    assert "now: 40 deletes are held, and of no run yet" in capsys.readouterr().out
    assert command("undo", str(run), "--yes") == Exit.DONE
    said = capsys.readouterr().out
    assert "40 more published files are gone from the tree, and their deletes held: no run did that" in said
    assert "the next sync publishes it; `siteferry undo --since" in said


def test_history_says_that_there_may_be_more(
    world: World, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to --limit, as it was asked for."""
    Undoer(world)
    assert command("history", "docs", "--limit", "1") == Exit.DONE
    assert "and maybe more: --limit 10" in capsys.readouterr().out
    assert command("history", "docs", "--limit", "5") == Exit.DONE
    assert "maybe more" not in capsys.readouterr().out
