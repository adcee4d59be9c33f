"""What `siteferry status` adds from AWS: queues, dead letters, alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from siteferry.errors import SiteferryError
from siteferry.names import printable
from siteferry.ports import QueueLook
from siteferry_contract.job import JOB_KINDS

ALARM: Final = "ALARM"


@dataclass(frozen=True, slots=True)
class AlarmState:
    """One of the site's alarms."""

    name: str
    state: str
    """OK, ALARM or INSUFFICIENT_DATA."""
    since: float
    """Seconds since 1970."""
    what: str
    """What it says, and what to do."""


class AlarmLook(Protocol):
    """A look at the site's alarms. Raises AccessError, UnavailableError."""

    def alarms(self) -> Sequence[AlarmState]:
        """Give all of them."""
        ...


class IndexLook(Protocol):
    """A look at the index. Raises AccessError, UnavailableError, IndexDamagedError."""

    def read_head(self) -> object:
        """Read its head."""
        ...


def look(queues: QueueLook, alarms: AlarmLook, index: IndexLook) -> dict[str, Any]:
    """Count jobs, read alarms, and see that there is an index. What cannot be had says why: the rest is shown."""
    found: dict[str, Any] = {"queues": {}, "alarms": [], "errors": []}
    try:
        index.read_head()
    except SiteferryError as error:
        found["errors"].append(f"index: {error}" + (f" -> {error.remedy}" if error.remedy else ""))
    try:
        for kind in JOB_KINDS:
            counts = queues.count(kind)
            found["queues"][kind] = {"waiting": counts.waiting, "dead": counts.dead}
    except SiteferryError as error:
        found["errors"].append(f"queues: {error}")
    try:
        found["alarms"] = [
            {"name": alarm.name, "state": alarm.state, "since": alarm.since, "what": alarm.what}
            for alarm in alarms.alarms()
        ]
    except SiteferryError as error:
        found["errors"].append(f"alarms: {error}")
    return found


def describe_cloud(found: dict[str, Any]) -> list[str]:
    """Give it as lines for people."""
    if "unreached" in found:
        return [f"AWS         not reached: {printable(found['unreached'])}"]
    queues, alarms = found["queues"], found["alarms"]
    lines = []
    if queues:
        waiting = [f"{counts['waiting']} {kind}" for kind, counts in queues.items() if counts["waiting"]]
        lines.append(f"jobs        {', '.join(waiting) + ' waiting' if waiting else 'none waits'}")
        dead = [f"{counts['dead']} {kind}" for kind, counts in queues.items() if counts["dead"]]
        if dead:
            lines.append(f"DEAD        {', '.join(dead)} letters (why: siteferry redrive --dry-run)")
    ringing = [alarm for alarm in alarms if alarm["state"] == ALARM]
    lines += [f"ALARM       {printable(alarm['name'])}: {printable(alarm['what'])}" for alarm in ringing]
    if alarms and not ringing:
        lines.append(f"alarms      none of {len(alarms)}")
    return lines + [f"AWS         {printable(error)}" for error in found["errors"]]
