"""`siteferry undo`: takes back in the FTP tree what a run published, or all since a time.

Nothing is lost by it: only a file that is on disk exactly as it is published is replaced or removed, so that the bucket
has all of it, and an undo can be undone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from siteferry.config import SKIP
from siteferry.diff import Naming
from siteferry.errors import RootError, UsageError
from siteferry.ports import Archive
from siteferry.restore.from_index import Published
from siteferry.restore.paths import PathOf, by_record
from siteferry.restore.plan import Do, RestorePlan
from siteferry.restore.planner import Found, Planner, Verdict, apply_brake
from siteferry.restore.restore import Restorer, Source, load_index
from siteferry.restore.rules import CHANGING, SAME, has_bytes
from siteferry.restore.scope import Scope
from siteferry.restore.target import Target
from siteferry.restore.times import shown
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry.runs import CHANGED, NEW, TOUCHED, Run, RunRecord
from siteferry_contract.errors import ContractError

SKEW_SECONDS: Final = 1.0
"""By which this host's clock may differ from S3's, whose times have whole seconds besides."""
UNTOLD: Final = (
    "what it was before cannot be told, as it changed within seconds of another run, or this host's clock is not S3's:"
    " it stays; `siteferry history PATH` has its versions"
)
UNRECORDED: Final = (
    "S3 has no version of that time, and this host no record that it is new since: it stays; remove it if it is"
)
UNPUBLISHED: Final = "it changed after the last run, and is published nowhere: it stays"


@dataclass(frozen=True, slots=True)
class Undoing:
    """The rules of an undo."""

    archive: Archive
    naming: Naming
    index: Published
    is_new: Callable[[bytes], bool]
    """Tells whether it is known that a path is new since."""
    keeps_symlinks: bool
    clears_the_way: bool = True
    removes_extras: bool = True
    removes_empty_directories: bool = False

    def file(self, wanted: Wanted, found: Found) -> Verdict:
        """Replace what is published as it is, unless it has the bytes already."""
        if self.index.has(found.path, found.status):
            same = wanted.published and found.status.st_size == wanted.size
            return SAME if same else Verdict(Do.GET, "changed since")
        if found.status.st_size == wanted.size:
            same_bytes = has_bytes(found, wanted, self.archive)
            if same_bytes is not False:
                return SAME if same_bytes else Verdict(None, CHANGING)
        return Verdict(None, UNPUBLISHED)

    def unwanted(self, found: Found) -> Verdict:
        """Remove what is published as it is, and new by the record: S3 may have forgotten what was there before."""
        directory, _, name = found.path.rpartition(b"/")
        if not found.is_file or self.naming.excludes.match(directory, name):
            return SAME
        if not self.index.has(found.path, found.status):
            return Verdict(None, UNPUBLISHED)
        return Verdict(Do.DELETE, "new since") if self.is_new(found.path) else Verdict(None, UNRECORDED)

    def in_the_way(self, found: Found) -> Verdict:
        """Remove what is published as it is: something else was there."""
        is_published = found.is_file and self.index.has(found.path, found.status)
        return Verdict(Do.DELETE, "new since") if is_published else Verdict(None, UNPUBLISHED)


@dataclass(frozen=True, slots=True)
class Undo:
    """Plans one; what carries it out is a restore."""

    restorer: Restorer
    record: RunRecord
    approved: int | None = None
    """Deletes that a person let through."""

    def plan_since(self, time: float, scope: Scope, target: Target, plan: RestorePlan) -> None:
        """Plan to bring back the tree as it was published at a time; raises SiteferryError."""
        index = load_index(self.restorer.parts)
        with WantedTree() as wanted:
            self.restorer.find(Source(as_of=time), scope, wanted, plan, self._path_of(index, time))
            rules = self._rules(index, lambda path: self.record.is_new_since(path, time))
            self._compare(rules, wanted, scope, target, plan)
            self._brake(plan)

    def plan_run(self, number: int, scope: Scope, target: Target, plan: RestorePlan) -> None:
        """Plan to take back what a run changed, and no later one; raises SiteferryError."""
        run = self._find(number)
        changes = {path: what for path, what in self.record.changes(number) if what != TOUCHED and scope.has(path)}
        for path in list(changes):
            if later := self.record.changed_after(number, path):
                plan.add_problem(
                    path, f"run {later} changed it again: it stays; undo that one first, or --since a time"
                )
                del changes[path]
            elif not self._key(path):
                plan.add_problem(path, "it has no key under the settings of today: it stays")
                del changes[path]
        if not changes:
            return
        index = load_index(self.restorer.parts)
        with WantedTree() as wanted:
            before = run.opened - SKEW_SECONDS
            source, part = Source(as_of=before, until=run.opened + SKEW_SECONDS), only(scope, changes)
            twice = self.restorer.find(source, part, wanted, plan, self._path_of(index, before))
            for path, what in list(changes.items()):
                then = wanted.file(path)
                told = then is None if what == NEW else then is not None
                # What a run changed was something else before it: unless this host's clock is fast.
                if not told or self._key(path) in twice or (what == CHANGED and then and then.published):
                    plan.add_problem(path, UNTOLD)
                    del changes[path]
                    if then:
                        wanted.remove(then)
            rules = self._rules(index, lambda path: changes.get(path) == NEW)
            self._compare(rules, wanted, only(scope, changes), target, plan)
            self._brake(plan)

    def _path_of(self, index: Published, since: float) -> PathOf:
        return by_record(self.record, since, self.restorer.parts.naming, index.path)

    def _key(self, path: bytes) -> str:
        """Give the key of a path; "" if the settings of today give it none."""
        try:
            return self.restorer.parts.naming.key(path)
        except ContractError:
            return ""

    def _rules(self, index: Published, is_new: Callable[[bytes], bool]) -> Undoing:
        parts = self.restorer.parts
        return Undoing(self.restorer.archive, parts.naming, index, is_new, parts.config.symlinks != SKIP)

    def _compare(self, rules: Undoing, wanted: WantedTree, scope: Scope, target: Target, plan: RestorePlan) -> None:
        if target.there is None:
            raise RootError(f"{target.path} is not there", "`siteferry restore` brings a whole tree back")
        Planner(target.there, wanted, plan, rules, scope).plan(self.restorer.progress)

    def _brake(self, plan: RestorePlan) -> None:
        parts = self.restorer.parts
        apply_brake(plan, parts.config.brake, parts.cache.file_count(), self.approved, all_gone=False)

    def _find(self, number: int) -> Run:
        run = self.record.run(number)
        if run is None:
            raise UsageError(
                f"this host has no record of run {number}",
                "`siteferry history` lists those it has; `undo --since TIME` needs none for what changed or went",
            )
        if run.closed is None:
            raise UsageError(
                f"run {number} was cut short, so that not all it did may be recorded",
                f"`siteferry undo --since '{shown(run.opened)}'` takes back all since it began",
            )
        return run


def only(scope: Scope, paths: Iterable[bytes]) -> Scope:
    """Give the part of a scope that is some files."""
    return replace(scope, only=frozenset(paths))
