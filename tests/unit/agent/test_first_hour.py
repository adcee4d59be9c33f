"""The recorded first hour: what it types is what the command line takes, and the page is of the recording."""

import json
import re
import shlex
from pathlib import Path

import pytest

from siteferry.cli import make_parser
from tests.e2e.first_hour_script import SECTIONS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "first-hour.md").read_text("utf-8")
COMMANDS = re.findall(r"(?m)^# (siteferry(?:-as-unit)? [^|\n]+)", "".join(re.findall(r"(?s)```console\n.*?```", PAGE)))


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_what_is_typed_is_a_command(command: str) -> None:
    """The parser takes it."""
    words = shlex.split(command)[1:]
    if words != ["--version"]:
        make_parser().parse_args(words)


def test_the_page_is_of_this_script() -> None:
    """Its sections are the script's, in their order, and more than a few commands are siteferry's."""
    assert re.findall(r"(?m)^## (.+)$", PAGE) == [section.title for section in SECTIONS]
    assert len(set(COMMANDS)) > 8


def test_the_recording_can_be_played() -> None:
    """It is asciicast 2: a header, then events in the order of their times; and it is of the same commands."""
    header, *events = map(json.loads, (DOCS / "first-hour.cast").read_text("utf-8").splitlines())
    assert header["version"] == 2
    assert all(kind == "o" for _, kind, _ in events)
    assert [when for when, _, _ in events] == sorted(when for when, _, _ in events)
    shown = "".join(text for _, _, text in events)
    assert "Setting up siteferry" in shown
    assert all(command.split()[1] in shown for command in COMMANDS)
