"""The lines of a log: the one place where an event becomes text, a line of the journal, or a JSON object."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_from_bytes

from siteferry.names import printable
from siteferry.notify import one_line

PRIORITIES: Final = {"error": "<3>", "warning": "<4>", "info": "<6>"}
"""Of sd-daemon(3), by level."""
_LEVELS: Final = {"error": "error", "failed": "error", "held": "warning", "paused": "warning", "warning": "warning"}
"""By event; of all others it is `info`."""
EVENTS: Final[Mapping[str, str]] = {
    "note": "Something worth a line: what the agent watches, waits for or does.",
    "warning": "It goes on, but a person should look.",
    "error": "A cycle, or the whole agent, ended with it; `message` says what to do.",
    "paused": "The site is paused on this host.",
    "planned": "A run begins: the changes that it is about to make, in numbers.",
    "published": "A file is in bucket and index: `path`, `reason`, `size`; `uploaded`: false if its content was there.",
    "deleted": "A file is dead in the index, and its delete job follows: `path`, `reason`.",
    "failed": "A file could not be published and is tried again, or a directory could not be read: `path`, `reason`.",
    "differs": "An audit found a difference: `kind`, `key`, `reason`.",
    "held": "Deletes are held: `reason`.",
    "finished": "A run, or a cycle that is unlike the one before, is over: its counts are in `summary`.",
}
"""What a line tells of."""


@dataclass(frozen=True, slots=True)
class Line:
    """An event, said to people by its text, and to machines by the rest."""

    event: str
    text: str
    path: bytes | None = None
    reason: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What JSON says of it besides."""

    def __post_init__(self) -> None:
        assert self.event in EVENTS

    @property
    def level(self) -> str:
        """How bad it is: `error`, `warning` or `info`."""
        return _LEVELS.get(self.event, "info")

    @property
    def priority(self) -> str:
        """The same as the journal reads it."""
        return PRIORITIES[self.level]


def journal_line(line: Line, site: str, run: int | None) -> str:
    """Give it with priority, site and run."""
    return f"{line.priority}{site}{'' if run is None else f' run {run}'}: {one_line(line.text)}"


def json_line(line: Line, site: str, run: int | None, now: float) -> str:
    """Give it as one JSON object, in ASCII.

    A path is there twice: escaped to be read, and percent-encoded, from which its bytes can be had again.
    """
    document: dict[str, Any] = {
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": line.level,
        "site": site,
        "run": run,
        "event": line.event,
        "message": one_line(line.text),
    }
    if line.path is not None:
        document |= {"path": printable(line.path), "path_encoded": quote_from_bytes(line.path)}
    if line.reason:
        document["reason"] = printable(line.reason)
    return json.dumps(document | dict(line.more))
