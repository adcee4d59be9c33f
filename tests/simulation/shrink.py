"""From a schedule that fails to a shorter one that still does."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.simulation.schedule import Schedule
from tests.simulation.world import Result, run_schedule

ORDERS = 12
"""Interleavings that are tried of a shorter schedule before it counts as harmless."""


def shrink(
    schedule: Schedule, result: Result, *, mutation: str = "", tries: int = 600, tell: Callable[[str], None]
) -> tuple[Schedule, Result]:
    """Leave out edits, faults and settings as long as something still fails; gives the shortest story found."""
    best, found = schedule, result
    going = True
    while going and tries > 0:
        going = False
        for shorter in _shorter(best):
            for order in range(ORDERS):
                tries -= 1
                candidate = replace(shorter, order=shorter.order + order)
                came = run_schedule(candidate, mutation)
                if came.failures and _kind(came) == _kind(found) and len(came.trail) <= 1.2 * len(found.trail):
                    best, found, going = candidate, came, True
                    tell(f"{len(best.edits)} edits, {len(found.trail)} lines")
                    break
                if tries <= 0:
                    return best, found
            if going:
                break
    return best, found


def _kind(result: Result) -> str:
    return result.failures[0].split(" ")[0]


def _shorter(schedule: Schedule) -> Iterator[Schedule]:
    """Give schedules with one thing less, the most first."""
    edits = schedule.edits
    if len(edits) > 3:
        half = len(edits) // 2
        yield replace(schedule, edits=edits[:half])
        yield replace(schedule, edits=edits[half:])
    for n in range(len(edits)):
        yield replace(schedule, edits=edits[:n] + edits[n + 1 :])
    for n in range(len(schedule.steers)):
        yield replace(schedule, steers=schedule.steers[:n] + schedule.steers[n + 1 :])
    for name, least in _LEAST.items():
        if getattr(schedule, name) != least:
            yield replace(schedule, **{name: least})
    for kind in schedule.faults:
        yield replace(schedule, faults=tuple(other for other in schedule.faults if other != kind))
    if schedule.budget > 1:
        yield replace(schedule, budget=schedule.budget // 2)


_LEAST: dict[str, Any] = {
    "rate": 0.0,
    "sharp": None,
    "hosts": 1,
    "daemons": 0.0,
    "held": 0.0,
    "cache_faults": 0.0,
    "own_clock": False,
    "skew": 0.0,
    "chunked": False,
    "part_checksums": True,
    "encoding": "latin-1",
    "brake": 10_000,
    "rules": (),
    "reforms": (),
    "tagging": (),
    "hints": 0.0,
    "losses": (),
    "meddling": (),
    "audits": 0.0,
    "excludes": (),
    "small": 0,
    "prefix": "",
    "pages": False,
    "redrives": False,
    "outage": (0.0, 0.0),
    "visits": 0.0,
    "pauses": 60.0,
    "agent_tempo": 1.0,
    "handler_tempo": 1.0,
}
