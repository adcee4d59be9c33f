"""Draws schedules: a seed is a schedule."""

import random
from dataclasses import replace
from typing import Any, Final

from tests.simulation.families import FAMILIES, steered
from tests.simulation.faults import FAULT_KINDS, SHARP_WORDS, FaultKind
from tests.simulation.schedule import Schedule
from tests.simulation.settings import EXCLUDES, HEADER_RULES, INVALIDATIONS, REFORMS
from tests.simulation.users import draw_edits, tell_story

STEERED: Final = 0.25
"""Part of the schedules that begins with a coincidence that was made."""

LOST: Final = 0.08
"""Part of the schedules in which the index is lost at some time, and rebuilt."""

_CUES: Final[dict[FaultKind, str]] = {
    "throttle": "503",
    "error": "500, ",
    "time-out": "no answer",
    "crash": "DIES",
    "suspend": "suspended",
}


def draw(seed: int, *, story: bool = False, family: str = "") -> Schedule:
    """Draw a schedule; `story`: one of those that the protocol is about, `family`: one of that family."""
    rng = random.Random(f"{seed} settings")
    schedule = replace(_draw(seed, story=story), **_settings(rng))
    rare = random.Random(f"{seed} losses")
    if rare.random() < LOST:
        schedule = replace(schedule, losses=((rare.random() * rare.choice((60.0, 400.0)), ""),))
    if not family and not story and rng.random() < STEERED:
        family = rng.choice(tuple(FAMILIES))
    return steered(schedule, family) if family else schedule


def _draw(seed: int, *, story: bool) -> Schedule:
    rng = random.Random(seed)
    focused = rng.random() < 0.65
    faults = tuple(kind for kind in FAULT_KINDS if rng.random() < 0.6)
    hosts = rng.choice((1, 1, 1, 2))
    sharp: tuple[str, FaultKind, int] | None = None
    if rng.random() < 0.6:
        kinds: tuple[FaultKind, ...] = ("crash", "crash", "time-out", "suspend" if hosts > 1 else "error")
        sharp = rng.choice(SHARP_WORDS), rng.choice(kinds), rng.choice((0, 0, 1, 2, 4))
    cue = _CUES[sharp[1]] if sharp else ""
    edits = draw_edits(rng, rng.choice((3, 5, 8, 12)), users=rng.choice((1, 1, 2, 3)), focused=focused, failing=cue)
    prefix = rng.choice(("", "", "some/prefix/"))
    pauses = rng.choice((2.0, 10.0, 60.0))
    tempos = rng.choice((0.2, 1.0, 3.0, 3.0)), rng.choice((0.2, 0.5, 2.0))
    story = story or rng.random() < 0.4
    if story:
        path = rng.choice((b"a.txt", b"docs/a.txt", b"docs/a.txt", b"d/index.html"))
        edits = tell_story(rng, path, cue or "closing")
        pauses = rng.choice((1.0, 4.0))
        tempos = rng.choice(((3.0, 0.2), (0.2, 2.0), (1.0, 1.0)))
        if sharp and sharp[0] == "PUT":
            sharp = f"{prefix}{path.decode()} b'", sharp[1], rng.choice((0, 1, 1, 2))
    return Schedule(
        seed=seed,
        order=0,
        edits=edits,
        faults=faults,
        targets=rng.choice(("agent", "agent", "handler", "both")),
        sharp=sharp,
        rate=rng.choice((0.0, 0.02, 0.05, 0.15)),
        budget=rng.choice((1, 3, 6, 12)),
        hosts=hosts,
        daemons=0.0 if story else rng.choice((0.0, 0.3, 1.0)),
        pauses=pauses,
        agent_tempo=tempos[0],
        handler_tempo=tempos[1],
        held=rng.choice((0.0, 0.5, 0.9)),
        cache_faults=rng.choice((0.0, 0.0, 0.3)),
        settle=rng.choice((1.0, 1.0, 3.0, 10.0)),
        own_clock=rng.random() < 0.3,
        skew=rng.choice((0.0, 5.0, 800.0)) * rng.choice((-1, 1)),
        chunked=rng.random() < 0.2,
        part_checksums=True,
        prefix=prefix,
        encoding="latin-1",
        pages=rng.random() < 0.8,
        redrives=rng.random() < 0.5,
        outage=(rng.random() * 100, rng.choice((0.0, 0.0, 0.0, 300.0, 1500.0))),
        visits=rng.choice((0.0, 0.3, 0.6)),
        brake=10_000,
        approves=0.0,
        rules=(),
        reforms=(),
        losses=(),
        meddling=(),
        audits=0.0,
        hints=0.0,
        excludes=(),
        small=0,
        redirects=False,
        tagging=(),
    )


def _settings(rng: random.Random) -> dict[str, Any]:
    """Draw what an operator sets and does. Most schedules leave most of it alone."""

    def changes(count: int) -> tuple[tuple[float, int], ...]:
        if rng.random() < 0.8:
            return ()
        moments = sorted(rng.random() * rng.choice((60.0, 400.0)) for _ in range(rng.choice((1, 1, 2, 3))))
        return tuple((moment, rng.randrange(count)) for moment in moments)

    return {
        "part_checksums": rng.random() < 0.5,
        "encoding": rng.choice(("latin-1", "utf-8", "auto", "auto")),
        "brake": rng.choice((10_000, 10_000, 10_000, 1, 2)),
        "approves": rng.choice((0.0, 0.5)),
        "rules": changes(len(HEADER_RULES)),
        "reforms": changes(len(REFORMS)) if rng.random() < 0.3 else (),
        "meddling": tuple(moment for moment, _ in changes(1)) if rng.random() < 0.3 else (),
        "audits": rng.choice((0.0, 0.0, 0.0, 0.3)),
        "excludes": changes(len(EXCLUDES)),
        "small": rng.choice((0, 0, 0, 1, 2, 3)),
        "redirects": rng.random() < 0.6,
        "tagging": changes(len(INVALIDATIONS)),
        "hints": rng.choice((0.0, 0.0, 0.5, 0.9)),
    }
