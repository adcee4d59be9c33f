"""`siteferry undo`: takes back in the FTP tree what a run published, or all since a time.

Nothing is lost by it: only a file that is on disk exactly as it is published is replaced or removed, so that the bucket
has all of it, and an undo can be undone.
"""

from dataclasses import dataclass, replace
from typing import Final

from siteferry.diff import Naming, why_changed
from siteferry.errors import UsageError
from siteferry.ports import Archive
from siteferry.restore.destination import Destination
from siteferry.restore.from_index import Published
from siteferry.restore.paths import PathOf, by_record
from siteferry.restore.plan import Do, RestorePlan
from siteferry.restore.planner import Found, Planner, Verdict
from siteferry.restore.restore import Restorer, Source, load_index
from siteferry.restore.rules import CHANGING, SAME, has_bytes
from siteferry.restore.scope import Scope
from siteferry.restore.times import shown
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry.runs import NEW, TOUCHED, Run, RunRecord
from siteferry.tree import FileState
from siteferry_contract.errors import ContractError

SKEW_SECONDS: Final = 1.0
"""By which this host's clock may differ from S3's, whose times have whole seconds besides."""
UNTOLD: Final = "it changed within seconds of the run before, so that what it was then cannot be told: it stays"
UNPUBLISHED: Final = "it changed after the last run, and is published nowhere: it stays"


@dataclass(frozen=True, slots=True)
class Undoing:
    """The rules of an undo."""

    archive: Archive
    naming: Naming
    index: Published
    clears_the_way: bool = False
    removes_extras: bool = True

    def file(self, wanted: Wanted, found: Found) -> Verdict:
        """Replace what is published as it is, unless it has the bytes already."""
        if self._is_published(found):
            return SAME if wanted.published else Verdict(Do.GET, "changed since")
        if found.status.st_size == wanted.size:
            same = has_bytes(found, wanted, self.archive)
            if same is not False:
                return SAME if same else Verdict(None, CHANGING)
        return Verdict(None, UNPUBLISHED)

    def unwanted(self, found: Found) -> Verdict:
        """Remove what is published as it is."""
        directory, _, name = found.path.rpartition(b"/")
        if not found.is_file or self.naming.excludes.match(directory, name):
            return SAME
        return Verdict(Do.DELETE, "new since") if self._is_published(found) else Verdict(None, UNPUBLISHED)

    def _is_published(self, found: Found) -> bool:
        """Tell whether a file is on disk as the index has it, so that its bytes are in the bucket."""
        try:
            key = self.naming.key(found.path)
        except ContractError:
            return False
        entry = self.index.file(key)
        if entry is None:
            return False
        raw = self.naming.raw_if_differs(entry.name, found.name)
        return why_changed(entry, raw, FileState.of(found.status)) is None


@dataclass(frozen=True, slots=True)
class Undo:
    """Plans one; what carries it out is a restore."""

    restorer: Restorer
    record: RunRecord

    def plan_since(self, time: float, scope: Scope, plan: RestorePlan) -> None:
        """Plan to bring back the tree as it was published at a time; raises SiteferryError."""
        index = load_index(self.restorer.parts)
        with WantedTree() as wanted:
            self.restorer.find(Source(as_of=time), scope, wanted, plan, self._path_of(index, time))
            self._compare(index, wanted, scope, plan)

    def plan_run(self, number: int, scope: Scope, plan: RestorePlan) -> None:
        """Plan to take back what a run changed, and no later one; raises SiteferryError."""
        run = self._find(number)
        changes = {path: what for path, what in self.record.changes(number) if what != TOUCHED and scope.has(path)}
        for path in list(changes):
            if later := self.record.changed_after(number, path):
                plan.add_problem(
                    path, f"run {later} changed it again: it stays; undo that one first, or --since a time"
                )
                del changes[path]
        if not changes:
            return
        index = load_index(self.restorer.parts)
        with WantedTree() as wanted:
            before = run.opened - SKEW_SECONDS
            source = Source(as_of=before, until=run.opened + SKEW_SECONDS)
            twice = self.restorer.find(
                source, replace(scope, only=frozenset(changes)), wanted, plan, self._path_of(index, before)
            )
            for path, what in list(changes.items()):
                then = wanted.file(path)
                if self._key(path) in twice or (what == NEW) != (then is None):
                    plan.add_problem(path, UNTOLD)
                    del changes[path]
                    if then:
                        wanted.remove(then)
            self._compare(index, wanted, replace(scope, only=frozenset(changes)), plan)

    def _path_of(self, index: Published, since: float) -> PathOf:
        return by_record(self.record, since, self.restorer.parts.naming, index.path)

    def _key(self, path: bytes) -> str:
        """Give the key of a path; "" if the settings of today give it none."""
        try:
            return self.restorer.parts.naming.key(path)
        except ContractError:
            return ""

    def _compare(self, index: Published, wanted: WantedTree, scope: Scope, plan: RestorePlan) -> None:
        parts = self.restorer.parts
        rules = Undoing(self.restorer.archive, parts.naming, index)
        with Destination(parts.config.root, make=False) as root:
            Planner(root, wanted, plan, rules, scope).plan(parts.services.progress)

    def _find(self, number: int) -> Run:
        run = self.record.run(number)
        if run is None:
            raise UsageError(
                f"this host has no record of run {number}",
                "`siteferry history` lists those it has; `siteferry undo --since TIME` needs no record",
            )
        if run.closed is None:
            raise UsageError(
                f"run {number} was cut short, so that not all it did may be recorded",
                f"`siteferry undo --since '{shown(run.opened)}'` takes back all since it began",
            )
        return run
