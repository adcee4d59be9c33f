"""What `siteferry explain` finds: a step for each place on the way from disk to viewer, and one verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a step is."""

    WELL = "well"
    WRONG = "wrong"
    """A reason why what should be served is not, or what should not be is."""
    NOTE = "note"
    """Neither: nothing is to be done here, or it could not be looked at."""


class Outcome(StrEnum):
    """What came of all steps."""

    LIVE = "live"
    ABSENT = "absent"
    """Nothing is served, and nothing should be."""
    NOT_LIVE = "not live"
    NOT_GONE = "not gone"
    """Something is served, or may be, that should not."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is so at one place. All texts can be printed as they are."""

    state: State
    text: str
    remedy: str = ""
    """What to do next, where something is wrong."""
    details: Sequence[str] = ()
    facts: Mapping[str, Any] | None = None
    """The same for programs; values that JSON has."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All steps by name, in the order of the way."""

    site: str
    path: str
    key: str | None
    outcome: Outcome
    reason: str
    remedy: str
    steps: Mapping[str, Step]

    @property
    def is_right(self) -> bool:
        """Whether nothing is left to do."""
        return self.outcome in (Outcome.LIVE, Outcome.ABSENT)


def well(text: str, details: Sequence[str] = (), facts: Mapping[str, Any] | None = None) -> Step:
    """Make a step that is as it should be."""
    return Step(State.WELL, text, "", details, facts)


def wrong(text: str, remedy: str, details: Sequence[str] = (), facts: Mapping[str, Any] | None = None) -> Step:
    """Make a step that is a reason."""
    return Step(State.WRONG, text, remedy, details, facts)


def note(text: str, details: Sequence[str] = (), facts: Mapping[str, Any] | None = None, remedy: str = "") -> Step:
    """Make a step that is neither."""
    return Step(State.NOTE, text, remedy, details, facts)
