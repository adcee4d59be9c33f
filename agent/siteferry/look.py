"""From the head and the tree to a plan: the index is at hand, what settings changed is known, the brake is on."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from siteferry.cache import Version
from siteferry.compare import Comparer, Comparison, apply_brake, brake_of_a_part, settings_fingerprint
from siteferry.config import Brake
from siteferry.diff import Adopts, Forced, Gone
from siteferry.disagree import Disagreements
from siteferry.head import Applied, Head
from siteferry.header_sets import rules_from_json
from siteferry.headers import Headers
from siteferry.locks import write_locked
from siteferry.parts import Parts
from siteferry.plan import HEADERS, Plan
from siteferry.report import Summary
from siteferry.scan import DirectoryScan
from siteferry.settle import LONGEST_ABSENCE, Settling, has_own_clock
from siteferry.tree import FileState, Tree
from siteferry_contract.keys import join
from siteferry_contract.leaf import Entry, FileEntry

LOOKS_SECONDS: Final = 86_400
"""For which a look at a file that is being written is remembered."""
MOST_UNSETTLED: Final = 1_000
"""Directories with files being written that are remembered from one look to the next."""


def _nothing_is_forced(_: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Extra:
    """What is to be planned besides what tree and index differ in."""

    forced: Forced = _nothing_is_forced
    disagreements: Disagreements | None = None
    adopts: Adopts | None = None
    rebuilds: bool = False
    """The index that was there is lost, and this one takes its place."""


class Look:
    """Looks at a site, and changes nothing in the cloud."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self.unsettled: dict[bytes, float] = {}
        """Directories in which the last look deferred files, and the seconds until the first of them is settled."""
        self._holds = False
        """The last look at the whole tree held deletes."""

    def load_cache(self, head: Head, *, keep: bool = True) -> None:
        """Have the index in the cache as of this head; without `keep`, read it again whatever the cache has."""
        p = self._p
        if p.cache.version() != Version(head.epoch, head.run) or not keep:
            leaves = p.cache.load(p.services.index.leaves())
            p.reporter.note(f"read the index: {leaves} leaves, {p.cache.file_count()} published files")
            if keep:
                p.cache.set_version(Version(head.epoch, head.run))
        p.cache.set_settings(settings_fingerprint(p.naming, p.config.symlinks))

    def changed_headers(self, head: Head) -> Forced | None:
        """Tell which keys get other headers than those that they were published with; None: no rule changed."""
        if head.applied is None or head.applied.header_rules == Applied.of(self._p.descriptor).header_rules:
            return None
        new = self._p.headers
        prefix = self._p.descriptor.prefix
        earlier = [Headers(prefix, rules, tags=tags) for rules, tags in map(rules_from_json, head.applied.header_rules)]
        return lambda key: HEADERS if any(old.settings(key) != new.settings(key) for old in earlier) else None

    def other_derived(self, head: Head) -> bool:
        """Tell whether copy rules, pages or redirects are others than what the Lambdas make was gone through with."""
        return head.applied is not None and head.applied.derived != Applied.of(self._p.descriptor).derived

    def other_layout(self, head: Head) -> bool:
        """Tell whether directory pages have another layout than when they were last made."""
        return head.applied is not None and head.applied.layout != Applied.of(self._p.descriptor).layout

    def settling(self, tree: Tree) -> Settling:
        """Judge whether files are still being written."""
        p = self._p
        return Settling(
            p.config.settle,
            p.services.clock.now,
            p.cache.first_look,
            own_clock=has_own_clock(tree.device),
            device=tree.device,
            locked=write_locked,
        )

    def _settled(self, settling: Settling) -> Callable[[bytes, FileState], bool]:
        """Judge, and remember what is to be looked at again."""
        cache = self._p.cache
        has_fragments = cache.has_fragments()

        def settled(path: bytes, state: FileState) -> bool:
            if has_fragments and cache.is_fragment(path, state.text()):
                return False  # until somebody writes it again
            if settling.settled(path, state):
                return True
            left = settling.left(path, state)
            self._wait_for(path.rpartition(b"/")[0], left if left > 0 else self._p.config.settle)
            self._p.reporter.left_over(path, state)
            return False

        return settled

    def _gone(self, settling: Settling) -> Gone:
        """Judge what is missing, likewise."""

        def gone(scan: DirectoryScan) -> Callable[[bytes, Entry, bool], bool]:
            is_gone = settling.gone(scan)

            def judge(path: bytes, entry: Entry, is_there: bool) -> bool:
                if is_gone(path, entry, is_there):
                    return True
                self._wait_for(scan.path, self._p.config.settle)
                self._p.reporter.left_over(path, None)
                return False

            return judge

        return gone

    def _wait_for(self, directory: bytes, seconds: float) -> None:
        if directory in self.unsettled or len(self.unsettled) < MOST_UNSETTLED:
            self.unsettled[directory] = min(seconds, self.unsettled.get(directory, seconds))

    def compare(
        self,
        tree: Tree,
        plan: Plan,
        head: Head,
        extra: Extra,
        summary: Summary,
        *,
        look_only: bool = False,
        hinted: Collection[bytes] | None = None,
    ) -> Comparison:
        """Fill the plan, and begin the summary; with `hinted`, look at those directories alone."""
        p = self._p
        settling = self.settling(tree)
        self.unsettled = {}
        comparer = Comparer(
            p.cache,
            p.naming,
            settled=self._settled(settling),
            gone=self._gone(settling),
            forced=extra.forced,
            adopts=extra.adopts,
            hears=extra.disagreements.choose if extra.disagreements else None,
        )
        comparison = comparer.compare(tree, plan, hinted)
        if not look_only:
            # A look that was forgotten too early is only made again.
            p.cache.forget_looks(p.services.clock.now() - max(LOOKS_SECONDS, 2 * LONGEST_ABSENCE * p.config.settle))
        if extra.disagreements:
            self._plan_strays(extra.disagreements, comparer, plan, comparison)
        if hinted is None:
            approved = p.state.approved_deletes(to_audit=extra.disagreements is not None)
            self._brake(plan, comparison, head, summary, approved, p.config.brake, look_only=look_only)
            self._holds = bool(summary.hold_reason)
        else:  # what a person approved was seen by a look at all of the tree
            brake = brake_of_a_part(p.config.brake, holds=self._holds)
            self._brake(plan, comparison, head, summary, None, brake, look_only=look_only)
        if other := self.changed_headers(head):
            comparer.plan_headers(self._with_other_headers(head, other), plan)
        for problem in comparison.unreadable if hinted is None else ():  # a full look says so, once a cycle
            summary.fail(problem.path, problem.reason)
            if not look_only:
                p.reporter.failed(problem.path, problem.reason)
        summary.problems = p.cache.problem_count()
        totals = plan.totals
        summary.planned = totals.files + totals.adopted + totals.deletes
        return comparison

    def _with_other_headers(self, head: Head, other: Forced) -> Iterator[tuple[str, FileEntry]]:
        """Give what is published under other rules, as directory key and entry; all of it, or what is left of it."""
        cache = self._p.cache
        left = cache.owed(self.header_sets(head))
        if left is not None:
            found = ((directory, cache.entry(directory, name)) for directory, name in left)
        else:
            found = ((leaf.directory, entry) for leaf in cache.all_leaves() for entry in leaf.entries)
        for directory, entry in found:
            if isinstance(entry, FileEntry) and other(join(directory, entry.name)):
                yield directory, entry

    def header_sets(self, head: Head) -> str:
        """Give the sets of header rules that objects may be published under, and the present one, as a text."""
        earlier = head.applied.header_rules if head.applied else ()
        return json.dumps(sorted({*earlier, *Applied.of(self._p.descriptor).header_rules}))

    def _plan_strays(self, found: Disagreements, comparer: Comparer, plan: Plan, comparison: Comparison) -> None:
        if self._p.config.delete:
            comparer.plan_strays(found.strays_without_a_file(), plan, comparison)
        else:
            for key, _ in found.strays():
                found.resolve(key)

    def _brake(
        self,
        plan: Plan,
        comparison: Comparison,
        head: Head,
        summary: Summary,
        approved: int | None,
        brake: Brake,
        *,
        look_only: bool,
    ) -> None:
        p = self._p
        if p.config.delete:
            braked = apply_brake(
                plan,
                brake,
                p.cache.file_count(),
                approved,
                comparison.hold_reason,
                recent=head.recent_deletes(p.services.clock.now()),
            )
            summary.hold_reason, comparison.approved = braked.hold_reason, braked.approved
            if approved is not None and not (braked.approved or braked.hold_reason or look_only):
                p.state.use_approval()  # what it was given for is over
        else:
            plan.hold_deletes(switched_off=True)
        totals = plan.totals
        summary.deferred, summary.held, summary.kept = totals.deferred, totals.held, totals.kept
        if summary.hold_reason or not p.config.delete:
            comparison.unfinished |= comparison.deleting


Agreed = Callable[[str], None]
"""Hears of every key on which index and bucket agree after a commit."""
