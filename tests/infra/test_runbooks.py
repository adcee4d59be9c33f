"""Every alarm has a runbook, every runbook an alarm, and what a runbook says to type can be typed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from siteferry.cli import make_parser
from siteferry_contract.job import JOB_KINDS
from tests.infra.conftest import Synthesized

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
RUNBOOKS = sorted(FOLDER.glob("*.md"))
SECTIONS = ["What it means", "What to look at", "What to type", "How to know that it is over"]


def commands(text: str) -> Iterator[str]:
    """Give every command of siteferry in a text: in code, or on an indented line of its own."""
    yield from re.findall(r"`(siteferry [^`]*)`", text)
    yield from re.findall(r"^ {4,}(siteferry .*)$", text, re.MULTILINE)


def test_every_alarm_names_a_runbook_and_every_runbook_an_alarm(stacks: dict[str, Synthesized]) -> None:
    """By the path in a checkout, or by the address that the site's settings give; none is left over."""
    for site, place in (("plain", "docs/runbooks/"), ("full", "https://wiki.example.com/runbooks/")):
        named = set()
        for alarm in stacks[site].properties("AWS::CloudWatch::Alarm"):
            before, found, name = alarm["AlarmDescription"].rpartition(f" What to do: {place}")
            assert before
            assert found
            named.add(name)
            title = (FOLDER / name).read_text("utf-8").splitlines()[0].removeprefix("# ").split(", ")
            own = alarm["AlarmName"].removeprefix(f"siteferry-{site}-")
            kind, _, rest = own.partition("-")
            assert (f"KIND-{rest}" if kind in JOB_KINDS else own) in title
        assert named == {runbook.name for runbook in RUNBOOKS}


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_answers_the_four_questions(runbook: Path) -> None:
    """What it means, what to look at, what to type, and how to know that it is over, in this order."""
    text = runbook.read_text("utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for name in re.findall(r"\]\(([^)]+\.md)\)", text):
        assert (FOLDER / name).is_file(), name


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_every_command_of_a_runbook_is_one(runbook: Path) -> None:
    """The parser of the release takes each as it stands."""
    text = runbook.read_text("utf-8")
    for command in commands(text):
        make_parser().parse_args(shlex.split(command)[1:])


def test_the_commands_of_runbooks_are_found() -> None:
    """The search for them finds those in code and those on a line of their own."""
    found = {command for runbook in RUNBOOKS for command in commands(runbook.read_text("utf-8"))}
    assert {"siteferry redrive", "siteferry approve", "siteferry status", "siteferry sync --dry-run"} <= found


def test_every_command_that_an_alarm_names_is_one(stack: Synthesized) -> None:
    """The texts of alarms are held to the same."""
    found = [
        command
        for alarm in stack.properties("AWS::CloudWatch::Alarm")
        for command in commands(alarm["AlarmDescription"])
    ]
    assert "siteferry redrive --dry-run" in found
    for command in found:
        make_parser().parse_args(shlex.split(command)[1:])
