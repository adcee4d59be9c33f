"""Hints: which directories to look at before the next full cycle, because something seems to have changed there.

They come from what FTP users do and are believed in nothing. Each is the path of a directory that the snapshot knows,
their number is bounded, and all that one can bring about is a look.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from siteferry.cache import Cache
from siteferry.config import Config
from siteferry.follow import Follower
from siteferry.fragments import mark
from siteferry.ftp_log import Logged, parse
from siteferry.watches import Watches
from siteferry.whereabouts import directories

MOST_DIRECTORIES: Final = 1_000
"""That wait to be looked at. Where more changed, a full cycle is made earlier."""
RESOLVE_SECONDS: Final = 0.25
"""For which paths of a log are looked up between two waits: users may make long ones that resemble many."""
MOST_CUT_SHORT: Final = 10_000
"""Uploads that wait to be looked up."""


@dataclass(slots=True)
class Heard:
    """What a source said since it was last asked."""

    at_once: set[bytes] = field(default_factory=set)
    """Directories in which something came or went."""
    written: set[bytes] = field(default_factory=set)
    """Directories in which a file was written, which must settle first."""
    missed: bool = False
    """There was more than it can tell."""

    def add(self, path: bytes, *, written: bool) -> None:
        """Add a directory, if there is room for it."""
        if len(self.at_once) + len(self.written) < MOST_DIRECTORIES:
            (self.written if written else self.at_once).add(path)
        elif path not in self.at_once and path not in self.written:
            self.missed = True


class Source(Protocol):
    """Gives hints."""

    def refresh(self) -> None:
        """Other directories may be known since the last look."""
        ...

    def poll(self) -> Heard:
        """Give what happened since it was last asked; never blocks."""
        ...

    def is_behind(self) -> bool:
        """Tell whether there is more that it should be asked for before the tree is looked at."""
        ...


class LogSource:
    """The log of an FTP server."""

    def __init__(self, path: Path, root: Path, cache: Cache) -> None:
        self._follower, self._root, self._cache = Follower(path), root, cache
        self._cut_short: dict[tuple[bytes, bytes], Logged] = {}
        """By user and path, until the file is found."""
        # As it is configured, and as it is without symlinks: servers write the one or the other.
        self._roots = sorted({bytes(root), bytes(root.resolve())} - {b"/"})

    def close(self) -> None:
        """Close the log."""
        self._follower.close()

    def refresh(self) -> None:
        """Do nothing: each line is matched with what is known by then."""

    def poll(self) -> Heard:
        """Read what was written to the log."""
        heard = Heard()
        logged = [change for line in self._follower.lines() for change in parse(line)]
        ends = time.monotonic() + RESOLVE_SECONDS

        def late() -> bool:
            return time.monotonic() > ends

        self._mark(logged, late)
        for change in set(logged):
            if late():
                heard.missed = True
                break
            for path in directories(change, self._roots, self._cache.snapshot, late):
                heard.add(path, written=change.written)
        heard.missed, self._follower.skipped = heard.missed or self._follower.skipped, False
        return heard

    def is_behind(self) -> bool:
        """Tell whether there is more to read, or a fragment to find."""
        return self._follower.is_behind() or (bool(self._cut_short) and self._knows_the_tree())

    def _mark(self, logged: Iterable[Logged], late: Callable[[], bool]) -> None:
        """Find the fragments of uploads that were cut short and not made again since."""
        for change in logged:
            self._cut_short.pop((change.user, change.path), None)
            if change.cut_short is not None and len(self._cut_short) < MOST_CUT_SHORT:
                self._cut_short[change.user, change.path] = change
        if self._cut_short and self._knows_the_tree():
            left = mark(self._cut_short.values(), self._root, self._roots, self._cache, late)
            self._cut_short = {(change.user, change.path): change for change in left}

    def _knows_the_tree(self) -> bool:
        return self._cache.snapshot.directory_at(b"") is not None


class TreeSource:
    """The kernel, which watches every directory of a tree that has few enough of them."""

    def __init__(self, config: Config, cache: Cache, note: Callable[[str], None]) -> None:
        self._watches = Watches(config.root, cache, config.hints.inotify_directories, note)

    def close(self) -> None:
        """End all watches."""
        self._watches.close()

    def refresh(self) -> None:
        """Watch the directories that are known by now."""
        self._watches.refresh()

    def poll(self) -> Heard:
        """Take the events that wait."""
        heard = Heard()
        for change in self._watches.changes():
            if change is None:
                heard.missed = True
            else:
                heard.add(change.path, written=change.written)
        return heard

    def is_behind(self) -> bool:
        """No: all that waits was taken."""
        return False


@contextmanager
def open_sources(config: Config, cache: Cache, note: Callable[[str], None]) -> Iterator[list[Source]]:
    """Open what the configuration names; none of it needs to exist."""
    with ExitStack() as stack:
        sources: list[Source] = []
        for path in config.hints.logs:
            log = LogSource(path, config.root, cache)
            stack.callback(log.close)
            sources.append(log)
        if config.hints.inotify:
            tree = TreeSource(config, cache, note)
            stack.callback(tree.close)
            sources.append(tree)
        yield sources


class Agenda:
    """Which directories are to be looked at, and when, by some clock."""

    def __init__(self) -> None:
        self._due: dict[bytes, float] = {}
        self.overflowed = False
        """There was no room for more."""

    def add(self, path: bytes, due: float) -> None:
        """Have a directory looked at, at the earliest of the times that are given."""
        if path in self._due:
            self._due[path] = min(self._due[path], due)
        elif len(self._due) < MOST_DIRECTORIES:
            self._due[path] = due
        else:
            self.overflowed = True

    def next(self) -> float:
        """Give when the first is due."""
        return min(self._due.values(), default=float("inf"))

    def take(self, now: float) -> list[bytes]:
        """Take out those that are due."""
        due = [path for path, at in self._due.items() if at <= now]
        for path in due:
            del self._due[path]
        return due

    def clear(self) -> None:
        """Forget all: everything was looked at."""
        self._due.clear()
        self.overflowed = False
