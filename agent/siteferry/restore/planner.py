"""From what is wanted and what is there to a plan."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from siteferry.config import Brake
from siteferry.names import join_path
from siteferry.restore.destination import Destination
from siteferry.restore.entry import UNFINISHED, found_text
from siteferry.restore.plan import Do, RestorePlan, Step
from siteferry.restore.scope import Scope
from siteferry.restore.wanted import Wanted, WantedTree

NEW: Final = "new"
EXTRA: Final = "extra"
UNFINISHED_FILE: Final = "left by a restore that was cut short"

_KINDS: Final = {stat.S_IFLNK: "a symlink", stat.S_IFDIR: "a directory"}


@dataclass(frozen=True, slots=True)
class Found:
    """What is there under a name, which is no directory."""

    directory: int
    """Descriptor of the open directory."""
    path: bytes
    """Relative to the root."""
    status: os.stat_result

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def leads_to_file(self) -> bool:
        """Whether it is a symlink to a regular file."""
        try:
            return stat.S_ISREG(os.stat(self.name, dir_fd=self.directory).st_mode)
        except OSError:
            return False

    @property
    def name(self) -> bytes:
        """The last part of its path."""
        return self.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about a name."""

    do: Do | None
    """None: nothing."""
    reason: str = ""
    """Of nothing: why it is left, or "" if it is as it is to be."""


class Rules(Protocol):
    """What a restore makes of what it finds."""

    @property
    def clears_the_way(self) -> bool:
        """Whether what is in the way of a file or directory of the site may be removed at all."""
        ...

    @property
    def removes_extras(self) -> bool:
        """Whether there may be something to remove at all."""
        ...

    def file(self, wanted: Wanted, found: Found) -> Verdict:
        """Judge a regular file in the place of a wanted one."""
        ...

    def unwanted(self, found: Found) -> Verdict:
        """Judge what is there and not wanted."""
        ...

    @property
    def removes_empty_directories(self) -> bool:
        """Whether a directory that is not wanted goes though nothing in it is removed."""
        ...

    def in_the_way(self, found: Found) -> Verdict:
        """Judge what is no directory and is where something else is wanted, or is in a directory that is."""
        ...

    @property
    def keeps_symlinks(self) -> bool:
        """Whether a symlink to a file stays in the place of a wanted one: it is published as that."""
        ...


@dataclass(frozen=True, slots=True)
class _Level:
    """An open directory, and what of it was not found yet."""

    path: bytes
    descriptor: int
    files: dict[bytes, Wanted]
    subdirectories: set[bytes]
    in_the_way: bool


class Planner:
    """Compares a destination with what is wanted of it, and changes nothing."""

    def __init__(
        self, destination: Destination | None, wanted: WantedTree, plan: RestorePlan, rules: Rules, scope: Scope
    ) -> None:
        """`destination` is None if it is not there: as if it were empty."""
        self._destination, self._wanted, self._plan, self._rules, self._scope = destination, wanted, plan, rules, scope
        self._waiting: list[tuple[bytes, bool, bool]] = []
        """Directories to look at: path, whether it is there, whether all of it is in the way."""
        self._emptied: dict[bytes, bool] = {}
        """Directories that go if they are empty in the end, and whether something in them is removed."""

    def plan(self, progress: Callable[[], None] = lambda: None) -> None:
        """Make the plan; raises RootError, SiteferryError."""
        self._waiting = [(b"", self._destination is not None, False)]
        while self._waiting:
            path, there, in_the_way = self._waiting.pop()
            progress()
            if not there or self._destination is None:
                self._make(path)
                continue
            try:
                descriptor = self._destination.open(path)
            except OSError as error:
                self._plan.add_problem(path, _unreadable(error))
                continue
            try:
                self._look(path, descriptor, in_the_way=in_the_way)
            finally:
                os.close(descriptor)
        for path, emptied in self._emptied.items():
            if emptied:
                self._add(Do.REMOVE, EXTRA, path)

    def _look(self, path: bytes, descriptor: int, *, in_the_way: bool) -> None:
        try:
            entries = _entries(descriptor)
        except OSError as error:
            self._plan.add_problem(path, _unreadable(error))
            return
        files = {} if in_the_way else self._wanted.files(path)
        subdirectories = set() if in_the_way else set(self._wanted.subdirectories(path))
        self._compare(_Level(path, descriptor, files, subdirectories, in_the_way), entries)

    def _make(self, path: bytes) -> None:
        """Plan a directory that is not there, with all that is to be in it."""
        if path:
            self._add(Do.MAKE, NEW, path)
        for wanted in self._wanted.files(path).values():
            self._plan.add(Step(Do.GET, NEW, wanted))
        self._later(path, self._wanted.subdirectories(path), there=False)

    def _compare(self, level: _Level, entries: "list[tuple[bytes, os.stat_result]]") -> None:
        for name, status in entries:
            if stat.S_ISDIR(status.st_mode):
                self._directory_found(level, name, status)
            else:
                self._found(level, name, Found(level.descriptor, join_path(level.path, name), status))
        for wanted in level.files.values():
            self._plan.add(Step(Do.GET, NEW, wanted))
        self._later(level.path, level.subdirectories, there=False)

    def _directory_found(self, level: "_Level", name: bytes, status: os.stat_result) -> None:
        path = join_path(level.path, name)
        if name in level.subdirectories:
            level.subdirectories.discard(name)
            self._later(level.path, [name], there=True)
        elif name not in level.files:
            self._extra_directory(path, status, in_the_way=level.in_the_way)
        elif self._rules.clears_the_way:
            self._extra_directory(path, status, in_the_way=True)
        else:
            self._plan.add_problem(path, "a directory is in the place of a file")
            level.files.pop(name)

    def _found(self, level: "_Level", name: bytes, found: Found) -> None:
        self._plan.totals.there += found.is_file
        if name in level.files and found.is_file:
            self._judge(level.files.pop(name), found)
        elif name not in level.files and name not in level.subdirectories:
            self._extra(found, in_the_way=level.in_the_way)
        elif name in level.files and self._rules.keeps_symlinks and found.leads_to_file:
            level.files.pop(name)
            self._plan.totals.same += 1
        else:
            place = "a file" if name in level.files else "a directory"
            if not self._clear(found, f"{_kind(found.status)} is in the place of {place}"):
                level.files.pop(name, None)
                level.subdirectories.discard(name)

    def _clear(self, found: Found, what: str) -> bool:
        """Plan to remove what is in the way, so that it is as if it were not there; tell whether it may be."""
        verdict = self._rules.in_the_way(found) if self._scope.clears(found.path) else Verdict(None)
        if verdict.do:
            self._delete(found, verdict.reason, in_the_way=True)
        else:
            self._plan.add_problem(found.path, f"{what}: {verdict.reason}" if verdict.reason else what)
        return verdict.do is not None

    def _judge(self, wanted: Wanted, found: Found) -> None:
        verdict = self._rules.file(wanted, found)
        if verdict.do:
            self._plan.add(Step(verdict.do, verdict.reason, wanted, found_text(found.status)))
        elif verdict.reason:
            self._plan.add_problem(found.path, verdict.reason)
        else:
            self._plan.totals.same += 1

    def _extra(self, found: Found, *, in_the_way: bool) -> None:
        if UNFINISHED.fullmatch(found.name):
            self._delete(found, UNFINISHED_FILE, in_the_way=in_the_way)
        elif in_the_way:
            self._clear(found, "it is in a directory that is in the place of a file")
        elif self._rules.removes_extras and self._scope.has(found.path):
            verdict = self._rules.unwanted(found)
            if verdict.do:
                self._delete(found, verdict.reason, in_the_way=False)
            elif verdict.reason:
                self._plan.add_problem(found.path, verdict.reason)
            else:
                self._plan.totals.kept += 1

    def _extra_directory(self, path: bytes, status: os.stat_result, *, in_the_way: bool) -> None:
        if not in_the_way and UNFINISHED.fullmatch(path.rpartition(b"/")[2]):
            self._add(Do.REMOVE, UNFINISHED_FILE, path)  # if it is empty, as what a restore leaves is
            return
        if not in_the_way and not (self._rules.removes_extras and self._scope.leads_to(path)):
            return
        if self._destination and status.st_dev != self._destination.device:
            self._plan.add_problem(path, "another file system is mounted there: it stays")
            return
        if in_the_way:
            self._add(Do.REMOVE, EXTRA, path, in_the_way=True)
        elif self._scope.has_directory(path):
            self._emptied[path] = self._rules.removes_empty_directories
        self._waiting.append((path, True, in_the_way))

    def _delete(self, found: Found, reason: str, *, in_the_way: bool) -> None:
        directory, _, name = found.path.rpartition(b"/")
        wanted = Wanted(directory, name, "", found.status.st_size, None, None)
        self._plan.add(Step(Do.DELETE, reason, wanted, found_text(found.status), in_the_way))
        while self._emptied.get(directory) is False:
            self._emptied[directory] = True
            directory = directory.rpartition(b"/")[0]

    def _add(self, do: Do, reason: str, path: bytes, *, in_the_way: bool = False) -> None:
        directory, _, name = path.rpartition(b"/")
        self._plan.add(Step(do, reason, Wanted(directory, name, "", 0, None, None), in_the_way=in_the_way))

    def _later(self, path: bytes, names: "list[bytes] | set[bytes]", *, there: bool) -> None:
        self._waiting += [(join_path(path, name), there, False) for name in sorted(names, reverse=True)]


def apply_brake(plan: RestorePlan, brake: Brake, there: int, approved: int | None, *, all_gone: bool) -> None:
    """Hold a plan's deletes if there are too many of so many files, as those of a site are.

    A person let `approved` go. `all_gone`: nothing is to be there, which is rather a mistake than a wish.
    """
    deletes = plan.totals.deletes - plan.totals.reasons.get(UNFINISHED_FILE, 0)
    if not deletes or (not all_gone and brake.lets(deletes, there)):
        return
    if approved is not None and deletes <= approved:
        return
    what = "and no file is to be there" if all_gone else f"of {there:,}"
    plan.hold_deletes(
        f"{deletes} files are to be deleted, {what}: more than may be without a person's word;"
        f" look at the plan, then add --approve {deletes}"
    )


def _entries(directory: int) -> list[tuple[bytes, os.stat_result]]:
    """Give all that is in a directory, without what goes while it is looked at; raises OSError."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found.append((os.fsencode(entry.name), entry.stat(follow_symlinks=False)))
    return found


def _kind(status: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(status.st_mode), "a file" if stat.S_ISREG(status.st_mode) else "no file")


def _unreadable(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "it is no directory, and what belongs into it is not restored"
    return f"cannot be read ({error.strerror}): all beneath it is left as it is"
