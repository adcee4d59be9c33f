"""What `siteferry explain` prints: the verdict, the steps, the verdict again; or one JSON document."""

import json
from collections.abc import Iterator
from typing import Any, Final

from siteferry.explained import Explanation, State, Step

_WORDS: Final = {State.WELL: "ok", State.WRONG: "NO", State.NOTE: "-"}


def lines(explanation: Explanation) -> Iterator[str]:
    """Give it for people."""
    yield f"{explanation.path}  ({explanation.site})"
    yield from _verdict(explanation)
    yield ""
    for name, step in explanation.steps.items():
        yield f"{name:7} {_WORDS[step.state]:3} {step.text}"
        yield from (f"            {detail}" for detail in step.details)
        if step.remedy:
            yield f"            -> {step.remedy}"
    yield ""
    yield from _verdict(explanation)


def document(explanation: Explanation) -> str:
    """Give it for programs: ASCII only."""
    return json.dumps(
        {
            "site": explanation.site,
            "path": explanation.path,
            "key": explanation.key,
            "outcome": explanation.outcome.value,
            "reason": explanation.reason,
            "remedy": explanation.remedy,
            "steps": {name: _step(step) for name, step in explanation.steps.items()},
        },
        indent=1,
    )


def _verdict(explanation: Explanation) -> Iterator[str]:
    yield f"{explanation.outcome.value.upper()}: {explanation.reason}"
    if explanation.remedy:
        yield f"-> {explanation.remedy}"


def _step(step: Step) -> dict[str, Any]:
    return {"state": step.state.value, "text": step.text, "remedy": step.remedy, **(step.facts or {})}
