"""From the tree and the cache to the plan: walk, skip what has not changed, diff the rest, apply the brake."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from siteferry.cache import Cache
from siteferry.config import Brake
from siteferry.diff import (
    Chosen,
    DirectoryDiff,
    Forced,
    Naming,
    Settled,
    choose,
    diff,
    gone_directory,
    select_subdirectories,
)
from siteferry.names import printable
from siteferry.plan import DELETIONS, Action, Plan, Problem
from siteferry.scan import DirectoryScan, UnreadableDirectory, walk
from siteferry.tree import Tree
from siteferry_contract.keys import key_to_path, root_directory
from siteferry_contract.leaf import Entry


@dataclass(slots=True)
class Comparison:
    """What came of a comparison besides the plan."""

    digests: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    """Directory key to (digest, device): to be recorded if all changes of the directory are made."""
    unfinished: set[str] = field(default_factory=set)
    """Directories that must be looked at again whatever this run does."""
    deleting: set[str] = field(default_factory=set)
    """Directories in which something is gone."""
    unreadable: list[Problem] = field(default_factory=list)
    hold_reason: str = ""
    """Why deletes are held; empty if none are."""


class Comparer:
    """Compares one tree with one index."""

    def __init__(
        self,
        cache: Cache,
        naming: Naming,
        *,
        settled: Settled,
        forced: Forced = lambda _: None,
        force_all: bool = False,
    ) -> None:
        self._cache, self._naming = cache, naming
        self._settled, self._forced, self._force_all = settled, forced, force_all

    def compare(self, tree: Tree, plan: Plan) -> Comparison:
        """Scan the tree and fill the plan. Memory stays flat but for the directories that differ."""
        result = Comparison()
        chosen: dict[str, Chosen] = {}

        def select(scan: DirectoryScan) -> Sequence[tuple[bytes, str]]:
            found = chosen.pop(scan.key, None)
            names = (
                found.subdirectories
                if found
                else select_subdirectories(scan, self._naming, lambda: self._cache.entries(scan.key), [])
            )
            return [(raw, f"{scan.key}/{name}" if scan.key else name) for name, raw in names.items()]

        for scan in walk(tree, root_directory(self._naming.prefix), select):
            if isinstance(scan, UnreadableDirectory):
                problem = Problem(scan.path, f"the directory cannot be read ({scan.reason}): all beneath it stays")
                result.unreadable.append(problem)
                continue
            before = self._cache.digest(scan.key)
            digest = scan.digest()
            if before and before[0] == digest and not self._force_all:
                continue
            if not scan.path and not scan.names and self._cache.file_count():
                result.hold_reason = "the root is empty, but files are published: is the file system mounted?"
                result.unfinished.add(scan.key)
                continue
            chosen[scan.key] = self._diff(scan, plan, result, moved=bool(before and before[1] != scan.device))
            if scan.key not in result.unfinished:
                result.digests[scan.key] = (digest, scan.device)
        return result

    def _diff(self, scan: DirectoryScan, plan: Plan, result: Comparison, *, moved: bool) -> Chosen:
        entries = self._cache.entries(scan.key)
        chosen = choose(scan, self._naming, lambda: entries)
        found = diff(
            scan,
            chosen,
            entries,
            self._naming,
            known=self._cache.is_known(scan.key),
            settled=self._settled,
            forced=self._forced,
        )
        self._cache.set_problems(scan.key, found.problems)
        plan.totals.deferred += len(found.deferred)
        if found.deferred:
            result.unfinished.add(scan.key)
        if moved and any(change.action in (Action.DELETE, Action.DROP_DIRECTORY) for change in found.changes):
            self._hold(scan, found, plan, result)
            return chosen
        if any(change.action in DELETIONS for change in found.changes):
            result.deleting.add(scan.key)
        plan.add(found.changes)
        for dropped in found.dropped:
            self._plan_gone(dropped, plan)
        return chosen

    def _hold(self, scan: DirectoryScan, found: DirectoryDiff, plan: Plan, result: Comparison) -> None:
        """Hold what another file system in a directory's place seems to have deleted."""
        kept = [c for c in found.changes if c.action not in (Action.DELETE, Action.DROP_DIRECTORY)]
        plan.add(kept)
        beneath = sum(
            len([e for e in self._cache.entries(d) if not e.endswith("/")])
            for dropped in found.dropped
            for d in self._cache.beneath(dropped)
        )
        plan.totals.held += beneath + sum(change.action is Action.DELETE for change in found.changes)
        result.hold_reason = (
            f"{printable(scan.path)} is on another file system than when it was published: is everything mounted?"
        )
        result.unfinished.add(scan.key)

    def _plan_gone(self, dropped: str, plan: Plan) -> None:
        for directory in self._cache.beneath(dropped):
            entries: list[Entry] = list(self._cache.entries(directory).values())
            plan.add(gone_directory(directory, self._path(directory), entries, self._naming.encoding))

    def _path(self, directory: str) -> bytes:
        """Give the path of a directory that the index knows, following raw names from the root down."""
        prefix, encoding = self._naming.prefix, self._naming.encoding
        if directory == root_directory(prefix):
            return b""
        parts: list[bytes] = []
        at = root_directory(prefix)
        for name in directory.removeprefix(prefix).split("/"):
            entry = self._cache.entry(at, f"{name}/")
            raw = entry.raw if entry else None
            parts.append(raw if raw is not None else key_to_path(name, prefix="", encoding=encoding))
            at = f"{at}/{name}" if at else name
        return b"/".join(parts)


def apply_brake(plan: Plan, brake: Brake, published: int, approved: int | None, *, allowed: bool) -> str:
    """Hold a plan's deletes if there are too many of them; gives the reason, or "".

    `approved` is the number of deletes that a person let through; `allowed` is the setting `delete`.
    """
    deletes = plan.totals.deletes
    if not allowed:
        plan.hold_deletes()
        return "deletes are switched off (`delete = false` or --no-delete)" if deletes else ""
    share = 100 * deletes / published if published else 0.0
    too_many = deletes > brake.most or (deletes > brake.files and share > brake.percent)
    if not too_many or (approved is not None and deletes <= approved):
        return ""
    plan.hold_deletes()
    return (
        f"{deletes} of {published} published files are gone ({share:.0f} %): more than may be deleted without"
        " a person's word; look at `siteferry sync --dry-run`, then `siteferry approve`"
    )


def settings_fingerprint(naming: Naming) -> str:
    """Give a text that changes with any setting that changes what a comparison finds."""
    rules = [[rule.source, rule.destination] for rule in naming.copy_rules]
    return json.dumps([naming.prefix, naming.encoding, naming.excludes.globs, rules])
