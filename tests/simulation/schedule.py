"""A schedule: all that is decided before it runs. The same schedule and order run the same way again."""

import random
from dataclasses import dataclass
from typing import Final

from tests.simulation.faults import FAULT_KINDS, SHARP_WORDS, FaultKind, Targets
from tests.simulation.users import Edit, draw_edits, tell_story

LEASE: Final = 60.0


_CUES: Final[dict[FaultKind, str]] = {
    "throttle": "503",
    "error": "500, ",
    "time-out": "no answer",
    "crash": "DIES",
    "suspend": "suspended",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens; how it interleaves follows from `seed` and `order`."""

    seed: int
    order: int
    edits: tuple[Edit, ...]
    faults: tuple[FaultKind, ...]
    targets: Targets
    """Whose requests fail."""
    sharp: tuple[str, FaultKind, int] | None
    """A word of a request, the fault that often meets it, and after how many."""
    rate: float
    budget: int
    """Faults at most."""
    hosts: int
    """Of agents: with two, the second takes over when the first's lease died."""
    daemons: float
    """Chance that an agent is a daemon and not a one-shot sync."""
    pauses: float
    """Seconds between one-shot syncs, about."""
    agent_tempo: float
    """What the latencies of the agents' requests are multiplied by, about."""
    handler_tempo: float
    held: float
    """Chance that a message is held back until its key is put again."""
    cache_faults: float
    """Chance that a cache is lost or stale before an agent starts."""
    settle: float
    own_clock: bool
    """The tree is on a file system with a clock of its own."""
    skew: float
    """Seconds by which the hosts' clocks are off, one way and the other."""
    chunked: bool
    """Files are uploaded in parts."""
    prefix: str
    pages: bool
    redrives: bool
    outage: tuple[float, float]
    """Seconds from the begin: when handlers reach nothing."""
    visits: float
    """Chance that a change of an object is seen by a visitor, before and after."""


def draw(seed: int, *, story: bool = False) -> Schedule:
    """Draw a schedule; `story`: one of those that the protocol is about, and not just anything."""
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
        prefix=prefix,
        pages=rng.random() < 0.8,
        redrives=rng.random() < 0.5,
        outage=(rng.random() * 100, rng.choice((0.0, 0.0, 0.0, 300.0, 1500.0))),
        visits=rng.choice((0.0, 0.3, 0.6)),
    )
