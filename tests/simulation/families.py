"""Schedules that begin with a coincidence that chance brings about too rarely to be counted on.

Each family says which edits come when, and which requests are met on purpose (`Steer`). All else is drawn as ever: late
and double messages, latencies, and in half of the schedules faults.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.simulation.cues import Steer
from tests.simulation.schedule import LEASE, Schedule
from tests.simulation.settings import COPY_RULES
from tests.simulation.users import BODIES, Edit, EditKind

DUPLICATED: Final = COPY_RULES[0]
FILES: Final = (b"a.txt", b"docs/a.txt", b"d/a.txt")
PAGES: Final = (b"d/index.html", b"docs/index.html")
AGENT: Final = r"^agent "
CLOSING: Final = "closing run"


@dataclass(frozen=True, slots=True)
class Family:
    """What is the same in all schedules of a family."""

    edits: tuple[Edit, ...]
    steers: tuple[Steer, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


class _Names:
    """Names of one family's file as they stand in the story, as regular expressions."""

    def __init__(self, path: bytes, prefix: str) -> None:
        self.path = path
        key = prefix + path.decode()
        self.key = re.escape(key) + r"\b"
        self.name = re.escape(key.rpartition("/")[2])
        self.beneath = path + b"/a.txt"
        """Where the path is a directory's."""
        self.directory = re.escape(key.rpartition("/")[0])
        self.duplicate_path = DUPLICATED.destination.encode() + path.removeprefix(DUPLICATED.source.encode())
        self.duplicate = re.escape(prefix + self.duplicate_path.decode()) + r"\b"

    def edit(self, kind: EditKind, body: int = 0, cue: str = "", path: bytes = b"") -> Edit:
        return Edit(0, 120.0 if cue else 0.0, kind, path or self.path, self.path, BODIES[body], False, cue)

    def published(self) -> str:
        """Give the cue of the end of the run that publishes the file first."""
        return f"{self.has_put(0)} then {CLOSING}"

    def dead(self) -> str:
        """Give what a delete handler tells that has seen the file as dead."""
        return rf"^delete handler .* sees {self.name} of /.* as dead"

    def republished(self) -> tuple[Edit, ...]:
        """Publish the file, delete it, and publish it again when a delete handler has seen it as dead."""
        return self.edit("write", 0), self.edit("delete", cue=self.published()), self.edit("write", 1, self.dead())

    def late_mark(self, *until: str) -> Steer:
        return Steer("^delete handler", f"^marking {self.key}", "hold", until, after=(f"sends delete .*{self.key}",))

    def late_page(self, until: str) -> Steer:
        after = (f"sends delete .*{self.key}",)
        return Steer("^page handler", f"^HEAD {self.key}", "hold", (until,), after=after)

    def late_commit(self, until: str) -> Steer:
        after = (f"is held at marking {self.key}",)
        return Steer(AGENT, rf"^committing .*\b{self.name}", "hold", (until,), after=after, seconds=14.0)

    def has_marked(self) -> str:
        return f"has put a delete marker over {self.key}"

    def has_put(self, body: int) -> str:
        return f"has put {self.key} {BODIES[body]!r}"


def _stale_page(names: _Names, _: random.Random) -> Family:
    """A page handler saw the index file as live, and looks at the bucket after its delete is done."""
    held = Steer("^page handler", f"^HEAD {names.key}", "hold", (f"^delete handler .*has done delete .*{names.key}",))
    return Family((names.edit("write"), names.edit("delete", cue=f"is held at HEAD {names.key}")), (held,))


def _page_over_a_late_mark(names: _Names, _: random.Random) -> Family:
    """An index file is back; an old delete is done, and a page put over its marker, before the delete's next look."""
    again = Steer(
        "^delete handler", f"^HEAD {names.key}", "hold", (f"has put page {names.key}",), after=(names.has_marked(),)
    )
    steers = names.late_mark(names.has_put(1), CLOSING), names.late_page(names.has_marked()), again
    return Family(names.republished(), steers)


def _page_before_the_commit(names: _Names, _: random.Random) -> Family:
    """Between the PUT of an index file that is back and its commit come an old delete and an old page."""
    done = f"^page handler .*has done page .*{names.directory}"
    steers = names.late_mark(names.has_put(1)), names.late_page(names.has_marked()), names.late_commit(done)
    return Family(names.republished(), steers)


def _deleted_before_the_check(names: _Names, _: random.Random) -> Family:
    """A file that is back is hit by an old delete before its commit, and deleted before its check; then it is back."""
    steers = (
        names.late_mark(names.has_put(1)),
        names.late_commit(f"^delete handler .*has done delete .*{names.key}"),
        Steer(AGENT, f"^HEAD {names.key}", "hold", ("^user .*: done",), seconds=14.0),
    )
    cue = rf"commits .*\b{names.name}"
    return Family((*names.republished(), names.edit("delete", cue=cue), names.edit("write", 1, CLOSING)), steers)


def _unknown_put(names: _Names, rng: random.Random) -> Family:
    """A PUT times out with its effect, what it put is taken back meanwhile, and a look at it may fail too."""
    after = names.edit("write"), names.edit("write", 1, names.published()), names.edit("write", 0, "no answer")
    new = names.edit("write", 1), names.edit("delete", cue="no answer")
    steer = Steer(AGENT, f"^PUT {names.key} {BODIES[1]!r}", "time-out", works=True, late=rng.random())
    blind = Steer(AGENT, f"^HEAD {names.key}", "error")
    return Family(rng.choice((after, new)), (steer, blind) if rng.random() < 0.5 else (steer,))


def _crash_before_the_commit(names: _Names, rng: random.Random) -> Family:
    """The agent dies between a PUT and its commit, and what it put is taken back meanwhile."""
    after = names.edit("write"), names.edit("write", 1, names.published()), names.edit("write", 0, "DIES")
    new = names.edit("write", 1), names.edit("delete", cue="DIES")
    steer = Steer(AGENT, rf"^committing .*\b{names.name}", "crash", after=(names.has_put(1),))
    return Family(rng.choice((after, new)), (steer,))


def _entered_over_a_late_mark(names: _Names, _: random.Random) -> Family:
    """A file that is back is put, and not committed; a recovery enters it, because it is being written once more.

    Before that commit an old delete is done.
    """
    steers = (
        names.late_mark(rf"is held at committing .*\b{names.name}"),
        Steer(AGENT, rf"^committing .*\b{names.name}", "crash", after=(names.has_put(1),)),
        Steer(
            AGENT,
            rf"^committing .*\b{names.name}",
            "hold",
            (f"^delete handler .*has done delete .*{names.key}",),
            after=(names.has_put(1), "recovering"),
            seconds=14.0,
        ),
    )
    return Family((*names.republished(), names.edit("write", 1, "recovering")), steers, {"settle": 5.0})


def _crash_before_the_jobs(names: _Names, _: random.Random) -> Family:
    """The agent dies between a commit and its jobs, and somebody has what was there before in the cache."""
    cue = f"has put {names.key} {BODIES[0]!r}"
    edits = names.edit("write"), names.edit("visit", cue=cue), names.edit("write", 1, names.published())
    after = names.has_put(1), rf"commits .*\b{names.name}"
    return Family(edits, (Steer(AGENT, "^sending ", "crash", after=after),))


def _visit_before_the_effect(names: _Names, rng: random.Random) -> Family:
    """Whatever is invalidated before a handler's effect is cached again before it."""
    complete, visited = "the invalidation of .* is complete", "visits "
    if names.path.startswith(b"docs/") and rng.random() < 0.5:
        held = Steer("^copy handler", f"^copying {names.key}", "hold", (complete, visited), (names.has_put(1),))
        last = names.edit("write", 1, f"has copied {names.key}")
        seen = names.duplicate_path
    else:
        held = Steer("^delete handler", f"^marking {names.key}", "hold", (complete, visited))
        last, seen = names.edit("delete", cue=names.published()), names.path
    visit = names.edit("visit", cue=complete, path=seen)
    return Family((names.edit("write"), last, visit), (held,))


def _crash_before_the_invalidation(names: _Names, _: random.Random) -> Family:
    """A delete handler dies after its effect, and somebody has what was there before in the cache."""
    edits = names.edit("write"), names.edit("visit", cue=names.has_put(0)), names.edit("delete", cue=CLOSING)
    return Family(edits, (Steer("^delete handler", "^sending invalidate", "crash", after=(names.has_marked(),)),))


def _page_before_the_mark(names: _Names, _: random.Random) -> Family:
    """The page of a directory is made before the delete of its index file."""
    held = names.late_mark(f"^page handler .*has done page .*{names.directory}")
    return Family((names.edit("write"), names.edit("delete", cue=names.published())), (held,))


def _visited(names: _Names, _: random.Random) -> Family:
    """Somebody has a file in the cache when it is published again."""
    edits = names.edit("write"), names.edit("visit", cue=names.has_put(0)), names.edit("write", 1, CLOSING)
    return Family(edits, ())


def _asleep(names: _Names, steer: Steer, cue: str) -> Family:
    """A host does not go on in time, and another publishes a newer state of its file."""
    edits = (
        names.edit("write"),
        names.edit("write", 1, names.published()),
        names.edit("write", 2, cue),
        names.edit("visit", cue=CLOSING),
    )
    return Family(edits, (steer,), {"hosts": 2, "chunked": False})


def _asleep_before_a_commit(names: _Names, _: random.Random) -> Family:
    what = rf"^committing .*\b{names.name}"
    return _asleep(names, Steer(AGENT, what, "suspend", after=(names.has_put(1),), seconds=10 * LEASE), "is suspended")


def _asleep_before_a_put(names: _Names, _: random.Random) -> Family:
    after = names.has_put(0), CLOSING, "opening run"
    return _asleep(names, Steer(AGENT, "the clock", "suspend", after=after, seconds=10 * LEASE), "is suspended")


def _put_in_flight(names: _Names, _: random.Random) -> Family:
    steer = Steer(AGENT, f"^PUT {names.key} {BODIES[1]!r}", "time-out", works=True, late=0.98)
    family = _asleep(names, steer, "no answer")
    return replace(family, settings={**family.settings, "agent_tempo": 0.1, "pauses": 0.5})


def _asleep_at_the_watch(names: _Names, rng: random.Random) -> Family:
    """Who watches a lease sleeps through most of it, while its holder goes on publishing."""
    steer = Steer(
        AGENT, "the clock", "suspend", after=("waiting up to",), skip=rng.randrange(1, 8), seconds=1.5 * LEASE
    )
    edits = (
        names.edit("write", cue="is suspended"),
        names.edit("write", 1, names.published()),
        names.edit("write", 2, f"{names.has_put(1)} then {CLOSING}"),
        names.edit("delete", cue="opening run"),
    )
    return Family(edits, (steer,), {"hosts": 2, "daemons": 1.0, "pauses": 15.0})


def _late_mark_of_a_duplicate(names: _Names, _: random.Random) -> Family:
    """A delete handler saw a source as deleted, and marks the duplicate after the source is back and copied."""
    edits = names.edit("write"), names.edit("delete", cue=names.published()), names.edit("write", 1, names.has_marked())
    until = (f"has copied {names.key} {BODIES[1]!r}",)
    return Family(edits, (Steer("^delete handler", f"^marking {names.duplicate}", "hold", until),))


def _late_copy(names: _Names, _: random.Random) -> Family:
    """A copy of an old state ends after that of a newer one."""
    what = f"^copying {names.key}"
    edits = names.edit("write"), names.edit("write", 1, f"is held at {what[1:]}")
    return Family(edits, (Steer("^copy handler", what, "hold", (f"has copied {names.key} {BODIES[1]!r}",), skip=1),))


def _put_of_a_dead_agent(names: _Names, _: random.Random) -> Family:
    """An agent dies while its PUT is under way, and is started again before that lands."""
    edits = names.edit("write"), names.edit("write", 1, names.published()), names.edit("write", 2, "DIES")
    steer = Steer(AGENT, f"^PUT {names.key} {BODIES[1]!r}", "crash", works=True, late=0.98)
    return Family(edits, (steer,), {"agent_tempo": 0.1, "pauses": 0.5, "chunked": False})


def _crash_under_new_rules(names: _Names, rng: random.Random) -> Family:
    """The agent dies while it gives published objects other headers."""
    steer = Steer(AGENT, "^other headers ", "crash", after=("header rules . are deployed",))
    later = names.edit("visit", cue="header rules . are deployed then nothing to do")
    return Family((names.edit("write"), later), (steer,), {"rules": ((30 + 30 * rng.random(), rng.choice((1, 2))),)})


def _much_is_gone(names: _Names, _: random.Random) -> Family:
    """A directory is removed that was most of the site."""
    paths = b"d/1.txt", b"d/2.txt", b"d/3.txt"
    edits = *(names.edit("write", path=path) for path in paths), names.edit("write")
    return Family((*edits, names.edit("remove tree", cue=names.published(), path=b"d")), (), {"brake": 2})


def _unmounted(names: _Names, _: random.Random) -> Family:
    """The root's file system is not there for a while."""
    edits = names.edit("write"), names.edit("unmount", cue=names.published()), names.edit("mount", cue="ends: ")
    return Family(edits, ())


def _directory_for_a_file(names: _Names, _: random.Random) -> Family:
    """A directory takes the place of a file, and its redirect is made before the file's delete is done."""
    edits = names.edit("write"), names.edit("delete", cue=names.published()), names.edit("write", path=names.beneath)
    held = names.late_mark(f"^page handler .*has done page .*{names.key}")
    return Family(edits, (held,), {"redirects": True})


def _file_for_a_directory(names: _Names, _: random.Random) -> Family:
    """A file takes the place of a directory of which somebody has the redirect in the cache."""
    edits = (
        names.edit("write", path=names.beneath),
        names.edit("visit", cue=f"has put page {names.key}$"),
        names.edit("remove tree", cue="visits "),
        names.edit("write", 1),
    )
    return Family(edits, (), {"redirects": True})


def _tags_come(names: _Names, rng: random.Random) -> Family:
    """Somebody has a file in the cache from before objects carried tags, when it is published with them."""
    edits = (
        names.edit("write"),
        names.edit("visit", cue=names.has_put(0)),
        names.edit("write", 1, cue="tags are what is invalidated"),
    )
    return Family(edits, (), {"tagging": ((30.0 + 30 * rng.random(), 1),)})


def _lost_index(names: _Names, _: random.Random) -> Family:
    """The index is lost, and an old delete comes between the PUT of a file that is back and its commit."""
    beside = names.path.rpartition(b"/")[0] + b"/0.txt" if b"/" in names.path else b"0.txt"
    edits = (
        names.edit("write", path=beside.removeprefix(b"/")),
        names.edit("write"),
        names.edit("delete", cue=names.published()),
        names.edit("write", 1, "the index is lost"),
    )
    done = f"^delete handler .*has done delete .*{names.key}"
    steer = Steer(
        AGENT, rf"^committing .*\b{names.name}", "hold", (done,), after=("is lost", names.has_put(1)), seconds=14.0
    )
    # Small leaves, so that the file's leaf is there before the file: as in a directory of thousands.
    settings = {"losses": ((600.0, f"sends delete .*{names.key}"),), "held": 1.0, "small": 1, "redrives": True}
    return Family(edits, (steer,), settings)


FAMILIES: Final[Mapping[str, tuple[Callable[[_Names, random.Random], Family], tuple[bytes, ...]]]] = {
    "stale page": (_stale_page, PAGES),
    "page over a late mark": (_page_over_a_late_mark, PAGES),
    "page before the commit": (_page_before_the_commit, PAGES),
    "deleted before the check": (_deleted_before_the_check, FILES),
    "unknown PUT": (_unknown_put, FILES),
    "crash before the commit": (_crash_before_the_commit, FILES),
    "entered over a late mark": (_entered_over_a_late_mark, FILES),
    "crash before the jobs": (_crash_before_the_jobs, FILES),
    "visit before the effect": (_visit_before_the_effect, FILES),
    "crash before the invalidation": (_crash_before_the_invalidation, FILES),
    "page before the mark": (_page_before_the_mark, PAGES),
    "visited": (_visited, FILES),
    "asleep before a commit": (_asleep_before_a_commit, FILES),
    "asleep before a PUT": (_asleep_before_a_put, FILES),
    "asleep at the watch": (_asleep_at_the_watch, FILES),
    "PUT in flight": (_put_in_flight, FILES),
    "late mark of a duplicate": (_late_mark_of_a_duplicate, (b"docs/a.txt",)),
    "PUT of a dead agent": (_put_of_a_dead_agent, FILES),
    "crash under new header rules": (_crash_under_new_rules, FILES),
    "much is gone": (_much_is_gone, FILES),
    "unmounted": (_unmounted, FILES),
    "late copy": (_late_copy, (b"docs/a.txt",)),
    "tags come": (_tags_come, FILES),
    "directory for a file": (_directory_for_a_file, (b"x", b"docs/s")),
    "lost index": (_lost_index, FILES),
    "file for a directory": (_file_for_a_directory, (b"x", b"docs/s")),
}
"""With the files that it may be about."""


def steered(schedule: Schedule, name: str) -> Schedule:
    """Give a schedule of a family, in all else like one that was drawn."""
    rng = random.Random(f"{schedule.seed} {name}")
    make, paths = FAMILIES[name]
    family = make(_Names(rng.choice(paths), schedule.prefix), rng)
    faults = rng.random() < 0.3
    calm = {
        "edits": family.edits,
        "steers": family.steers,
        "sharp": None,
        "rate": schedule.rate if faults else 0.0,
        "hosts": 1,
        "daemons": 0.0,
        "pauses": rng.choice((0.5, 1.0, 4.0)),
        "agent_tempo": rng.choice((0.1, 0.2, 1.0)),
        "handler_tempo": rng.choice((0.1, 0.2, 1.0)),
        "held": 0.0,
        "cache_faults": 0.0,
        "settle": 1.0,
        "own_clock": False,
        "pages": True,
        "brake": 10_000,
        "excludes": (),
        "reforms": (),
        "tagging": (),
        "losses": (),
        "meddling": (),
        "outage": (0.0, 0.0),
    }
    return replace(schedule, **{**calm, **family.settings})
