"""How a daemon does, in figures: what its heartbeats say. No I/O."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from siteferry.plan import Totals
from siteferry.report import Summary
from siteferry.tree import FileState

LONG_CYCLE: Final = 300.0
"""Seconds after which what changed since a cycle began counts as unpublished: it hangs, or is an audit."""
MOST_LEFT: Final = 10_000
"""Paths that are followed from cycle to cycle; of more, only the first that came is remembered."""
_NANO: Final = 1e9


@dataclass(frozen=True, slots=True)
class Figures:
    """One heartbeat."""

    published: int
    """Files, since the heartbeat before that was delivered."""
    failed: int
    """Files, since then; each try of a file counts."""
    deferred: int
    """Files that were still being written in the last cycle."""
    held: int
    """Deletes that are held, by the last cycle or the last audit."""
    oldest_seconds: float
    """Age of the oldest change that is not published; 0: all is."""


class Vitals:
    """Hears of a daemon's cycles, and says how old the oldest unpublished change is. Safe to use from two threads.

    A change is as old as its ctime, but no older than the look before the one that found it: what is renamed keeps its
    ctime. After a cycle that failed nothing is known but that the site was up to date at the last look.
    """

    def __init__(self, now: Callable[[], float], looked: float | None = None) -> None:
        """Take the time of day, and when the tree was last looked at, if that is known."""
        self._now = now
        begun = now()
        self._looked = begun if looked is None else min(looked, begun)
        """Since the last complete look began."""
        self._pending: float | None = begun
        """Since when a change is planned, or may be."""
        self._begun: float | None = None
        """Of the cycle that is going on."""
        self._left: dict[bytes, float] = {}
        """Since when what the last complete cycle left is unpublished, by path."""
        self._found: dict[bytes, float] = {}
        """The same for the cycle that is going on."""
        self._hinted: frozenset[bytes] = frozenset()
        """Directories that the look that is going on is at; none: all."""
        self._stuck: set[bytes] = set()
        """What of them failed."""
        self._found_failed: set[bytes] = set()
        self._rest: float | None = None
        """Since when there is more than is followed."""
        self._published = self._failed = self._deferred = self._held = self._held_by_audit = 0
        self._news = ""
        self._lock = threading.Lock()

    # ---- what the daemon tells

    def looking(self, hinted: Collection[bytes] | None = None) -> None:
        """A cycle begins; or a look at some directories, which says nothing of the others."""
        with self._lock:
            self._begun, self._found, self._found_failed = self._now(), {}, set()
            self._hinted = frozenset(hinted or ())
            if hinted is None:
                self._rest = None

    def planned(self, totals: Totals) -> None:
        """The changes that a run is about to make are known."""
        with self._lock:
            since = self._since(None if totals.oldest_ns is None else totals.oldest_ns / _NANO)
            self._pending = since if self._pending is None else min(self._pending, since)

    def published(self, path: bytes, *, uploaded: bool) -> None:
        """A file is in bucket and index."""
        with self._lock:
            self._published += uploaded
            self._left.pop(path, None)

    def failed(self, path: bytes) -> None:
        """A file could not be published, or a directory not read."""
        with self._lock:
            self._failed += 1
            self._found_failed.add(path)
            self._leave(path, None)

    def left_over(self, path: bytes, state: FileState | None) -> None:
        """A change stays unpublished by this cycle."""
        with self._lock:
            self._leave(path, state.ctime_ns / _NANO if state else None)

    def finished(self, summary: Summary) -> None:
        """The cycle is over."""
        with self._lock:
            done = summary.closed and not summary.stopped
            if done and summary.hinted:
                # What failed may be a directory that cannot be read, which a look at its parent does not tell.
                stays = {
                    path: since
                    for path, since in self._left.items()
                    if path in self._stuck or path.rpartition(b"/")[0] not in self._hinted
                }
                self._pending, self._left = None, stays | self._found
                self._stuck |= self._found_failed
            elif done:
                self._looked = self._looked if self._begun is None else self._begun
                self._pending, self._left, self._stuck = None, self._found, self._found_failed
            elif self._pending is None:
                self._pending = self._looked
            self._begun, self._found = None, {}
            if summary.hinted:
                return
            self._deferred = summary.deferred
            # A hold of directories alone is one, too.
            held = max(summary.held, 1 if summary.hold_reason else 0)
            if summary.differences is not None:
                self._held_by_audit = held
            self._held = held

    def broken(self) -> None:
        """The cycle that was going on ended with an error."""
        with self._lock:
            if self._begun is not None:
                self._pending = self._looked if self._pending is None else min(self._pending, self._looked)
                self._begun, self._found = None, {}

    def paused(self) -> None:
        """Nothing is looked at until a person says so: what changes meanwhile ages."""
        with self._lock:
            self._pending = self._looked if self._pending is None else min(self._pending, self._looked)

    def take_news(self) -> str:
        """Give what there is to tell of the heartbeats themselves, once."""
        with self._lock:
            news, self._news = self._news, ""
            return news

    # ---- what the heartbeat asks

    def figures(self) -> Figures:
        """Say how the daemon does now."""
        with self._lock:
            now = self._now()
            sinces = [since for since in (self._pending, self._rest) if since is not None]
            sinces += [min(self._left.values())] if self._left else []
            if self._begun is not None and now - self._begun > LONG_CYCLE:
                sinces.append(self._begun)
            return Figures(
                published=self._published,
                failed=self._failed,
                deferred=self._deferred,
                held=max(self._held, self._held_by_audit),
                oldest_seconds=max(now - min(sinces), 0.0) if sinces else 0.0,
            )

    def delivered(self, figures: Figures) -> None:
        """What these figures count is told; the next ones count from there."""
        with self._lock:
            self._published -= figures.published
            self._failed -= figures.failed

    def tell(self, news: str) -> None:
        """Have the daemon say something when its next cycle begins."""
        with self._lock:
            self._news = news

    def _leave(self, path: bytes, changed: float | None) -> None:
        since = self._left.get(path)
        if since is None:
            since = self._since(changed)
        if path in self._found:
            return
        if len(self._found) < MOST_LEFT:
            self._found[path] = since
        else:
            self._rest = since if self._rest is None else min(self._rest, since)

    def _since(self, changed: float | None) -> float:
        """Give when what was changed at a time that may be unknown, or no time of this clock, was changed at latest."""
        return self._looked if changed is None else min(max(changed, self._looked), self._now())
