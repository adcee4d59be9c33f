"""`siteferry check`: what is looked at, and what it came to."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from siteferry.errors import Exit, SiteferryError
from siteferry.notify import one_line


class Verdict(Enum):
    """What a look at one thing came to."""

    OK = "ok"
    WARN = "warn"
    """The agent works, but not as it might be thought to."""
    FAIL = "FAIL"
    UNTRIED = "-"
    """It cannot be told, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    name: str
    verdict: Verdict
    text: str
    """What was looked at and found."""
    remedy: str = ""
    exit: Exit = Exit.DONE
    """Of a command that meets with this; only of failures."""


_WIDTH: Final = 29


def well(name: str, text: str) -> Finding:
    """Give a line for what is as it should be."""
    return Finding(name, Verdict.OK, text)


def failed(name: str, error: SiteferryError) -> Finding:
    """Give a line for an error, with the remedy and the exit code that it has."""
    return Finding(name, Verdict.FAIL, str(error), error.remedy, error.exit)


def untried(name: str, why: str) -> Finding:
    """Give a line for what cannot be told."""
    return Finding(name, Verdict.UNTRIED, f"not tried: {why}")


def lines(finding: Finding) -> Iterable[str]:
    """Give it for people. On one line each, whatever was quoted."""
    yield f"{finding.verdict.value:5} {finding.name:{_WIDTH}} {one_line(finding.text)}"
    if finding.remedy:
        yield f"      -> {one_line(finding.remedy)}"


def conclusion(findings: Sequence[Finding]) -> str:
    """Say in one line what all of them come to."""
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    parts = [f"{counts[Verdict.OK]} ok"] if counts[Verdict.OK] else []
    parts += [f"{counts[Verdict.FAIL]} failed"] if counts[Verdict.FAIL] else []
    parts += [f"{counts[Verdict.WARN]} to be looked at"] if counts[Verdict.WARN] else []
    parts += [f"{counts[Verdict.UNTRIED]} not tried"] if counts[Verdict.UNTRIED] else []
    return ", ".join(parts)


def document(findings: Sequence[Finding]) -> str:
    """Give them for programs: ASCII only."""
    return json.dumps(
        {
            "exit": int(exit_code(findings)),
            "checks": [
                {"name": found.name, "verdict": found.verdict.name.lower(), "text": found.text, "remedy": found.remedy}
                for found in findings
            ],
        },
        indent=1,
    )


def exit_code(findings: Iterable[Finding]) -> Exit:
    """Give the code of the first failure."""
    return next((finding.exit for finding in findings if finding.verdict is Verdict.FAIL), Exit.DONE)
