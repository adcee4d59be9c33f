"""Every alarm has a runbook, every runbook an alarm. What they say to type is tested with the rest of the docs."""

import re
import shlex
from pathlib import Path

import pytest

from siteferry.cli import make_parser
from siteferry_contract.job import JOB_KINDS
from tests.docs.pages import commands
from tests.infra.conftest import Synthesized

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
RUNBOOKS = sorted(FOLDER.glob("*.md"))
SECTIONS = ["What it means", "What to look at", "What to type", "How to know that it is over"]


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


def test_every_command_that_an_alarm_names_is_one(stack: Synthesized) -> None:
    """The texts of alarms are held to the same as the docs."""
    found = [
        command
        for alarm in stack.properties("AWS::CloudWatch::Alarm")
        for command in commands(alarm["AlarmDescription"])
    ]
    assert "siteferry redrive --dry-run" in found
    for command in found:
        make_parser().parse_args(shlex.split(command)[1:])
