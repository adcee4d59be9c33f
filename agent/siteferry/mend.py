"""Runs that bring tree, index and bucket to agree again: recovery, audit, adoption (rules 4 and 9)."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from siteferry.accept import accept
from siteferry.adopt import Adoption
from siteferry.audit import AuditTotals, audit_scope, findings, look_again, totals
from siteferry.cache import Version
from siteferry.carry import Carrier
from siteferry.derived import Derived
from siteferry.disagree import Disagreements, Scope, both, of_unclosed_runs
from siteferry.errors import RootError, UsageError
from siteferry.head import Head
from siteferry.look import Extra, Look
from siteferry.outbox import Outbox
from siteferry.parts import Parts
from siteferry.plan import BUCKET_DIFFERS, Plan
from siteferry.plan_report import print_plan
from siteferry.report import Summary
from siteferry.run import Effects
from siteferry_contract.keys import join

FIRST_RUN: Final = 1


@dataclass(frozen=True, slots=True)
class Mender:
    """Mends one site. All but the looks need the lease."""

    parts: Parts
    look: Look
    carrier: Carrier

    def recover(self, head: Head) -> Summary:
        """Bring index and bucket to agree after runs that were not closed, and the tree with them."""
        self.parts.reporter.note("an earlier run was not finished: recovering")
        return self._mend(head, self._unclosed(head))

    def repair(self, head: Head, *, since: float | None, deep: bool) -> Summary:
        """Make an audit, and mend what differs."""
        self._tell_depth(since, deep=deep)
        scope = audit_scope(since=since, deep=deep)
        if head.open is not None:
            scope = both(scope, self._unclosed(head))
        return self._mend(head, scope, deep=deep)

    def audit(self, head: Head, *, since: float | None, deep: bool) -> AuditTotals:
        """Make an audit, and only tell what differs."""
        p = self.parts
        self._tell_depth(since, deep=deep)
        self.look.load_cache(head, keep=False)
        with Disagreements() as found, Derived(p.cache, p.descriptor, found) as derived:
            found.find(p.cache, p.services, p.descriptor, audit_scope(since=since, deep=deep))
            derived.find(p.services, deep=deep)
            if found.count() + derived.count():
                now = p.services.index.read_head() or head
                if (now.epoch, now.run, now.open) != (head.epoch, head.run, None):
                    self.look.load_cache(now, keep=False)
                look_again(p.cache, p.services, found, derived)
            for finding in findings(found, derived):
                p.reporter.differs(finding)
            return totals(p.cache, found, derived)

    def adopt(self, head: Head, fudge: float | None) -> Summary:
        """Publish the tree into a bucket that has files of it already. Deletes nothing.

        Without `fudge` the index was lost, and is made again.
        """
        p = self.parts
        self._check_nothing_is_published(head, rebuilds=fudge is None)
        with Adoption(fudge) as adoption:
            p.reporter.note(f"the bucket has {self._list(adoption)} objects")
            p.cache.forget_shaped()
            scope = self._unclosed(head) if head.open is not None else None
            summary = self._mend(head, scope, adoption=adoption)
            if left := adoption.without_a_file(p.cache, p.services):
                p.reporter.note(
                    f"{left} objects have no file: they stay; `siteferry audit` names them, and --repair deletes them"
                )
        return summary

    def look_at_adoption(self, head: Head, fudge: float | None, *, as_json: bool) -> Summary:
        """Show what an adoption would do."""
        p = self.parts
        self._check_nothing_is_published(head, rebuilds=fudge is None)
        self.look.load_cache(head, keep=False)
        summary = Summary()
        with Adoption(fudge) as adoption, p.open_tree() as tree, Plan() as plan:
            self._list(adoption)
            extra = Extra(adoption.forced, adopts=adoption.adopts)
            self.look.compare(tree, plan, head, extra, summary, look_only=True)
            print_plan(plan, p.cache.problems(), as_json=as_json, hold_reason=summary.hold_reason)
        return summary

    def _tell_depth(self, since: float | None, *, deep: bool) -> None:
        if since is None and not deep:
            self.parts.reporter.note("the first audit compares sizes only; --deep looks at every checksum as well")

    def _list(self, adoption: Adoption) -> int:
        """List the bucket for an adoption; raises RootError where an empty tree would leave it without a file."""
        p = self.parts
        count = adoption.list(p.services.objects, p.descriptor)
        with p.open_tree() as tree:
            if adoption.rebuilds and count and tree.is_empty():
                raise RootError(
                    f"root {p.config.root}: it is empty, but the bucket has {count} objects",
                    "is the file system mounted?",
                )
        return count

    def _check_nothing_is_published(self, head: Head, *, rebuilds: bool) -> None:
        # An adoption that was cut short left the first run open.
        if head.run and head.open != FIRST_RUN:
            what = "--rebuild is for one that was lost" if rebuilds else "adopt is for a bucket without one"
            raise UsageError(
                f"this site's index is in use already: {what}",
                "`siteferry audit` compares index and bucket, and --repair mends what differs",
            )
        if not (rebuilds or head.run) and self.parts.cache.has_used(self.parts.descriptor.table):
            raise UsageError(
                "this site's index is lost: adopt without --rebuild is for a bucket that another tool filled",
                "`siteferry adopt --rebuild` makes the index again",
            )

    def _unclosed(self, head: Head) -> Scope:
        return of_unclosed_runs(self.parts.cache, opened=head.opened or 0.0, first_open=head.open or FIRST_RUN)

    def _mend(
        self, head: Head, scope: Scope | None, *, deep: bool = False, adoption: Adoption | None = None
    ) -> Summary:
        p = self.parts
        summary = Summary(recovered=head.open is not None)
        self.look.load_cache(head, keep=False)
        with ExitStack() as stack:
            tree, plan = stack.enter_context(p.open_tree()), stack.enter_context(Plan())
            found = stack.enter_context(Disagreements())
            derived = stack.enter_context(Derived(p.cache, p.descriptor, found))
            if scope:
                found.find(p.cache, p.services, p.descriptor, scope)
            if scope and scope.derived:
                derived.find(p.services, deep=deep)
                for finding in findings(found, derived):
                    p.reporter.differs(finding)
                summary.differences = found.count() + derived.count()
            if adoption:
                for key, _ in found.strays():
                    found.resolve(key)
            extra = self._extra(head, found, adoption)
            comparison = self.look.compare(tree, plan, head, extra, summary)
            through = bool(scope and scope.derived)
            anew = through and self.look.other_derived(head)
            if plan.totals.empty and head.open is None and not (derived.count() or deep or anew):
                summary.left = found.count()
                p.cache.set_version(Version(head.epoch, head.run))
                p.cache.snapshot.end_walk(comparison.unfinished)
                return summary
            p.reporter.planned(plan.totals)
            effects = self.carrier.begin(tree, plan, comparison, summary, extra, found.resolve)
            if extra.rebuilds:
                effects.doubt_deletes()
            effects.carry_out(plan)
            if head.open is not None and not (effects.unknown or summary.stopped):
                self._accept(effects, found, summary)
            summary.left = left = found.count()
            if left:
                stays = ": the run stays open" if head.open is not None else ""
                p.reporter.note(f"{left} objects still differ from the index{stays}")
            closed = not (effects.unknown or summary.stopped or (left and head.open is not None))
            if closed:
                self._last_jobs(head, self.carrier.outbox(summary), derived, deep=deep, rebuilds=extra.rebuilds)
            adopted = adoption is not None and not extra.rebuilds
            self.carrier.end(effects, comparison, summary, closed=closed, derived=through, adopted=adopted)
        return summary

    def _accept(self, effects: Effects, found: Disagreements, summary: Summary) -> None:
        """Have the index take what could not be put again as the bucket has it, so that the run can be closed."""
        p = self.parts
        accepted = accept(effects.work, p.services, found.left(), p.services.clock.now())
        # Their files are to be compared again, and they may have been put under other header rules.
        effects.unfinished.update(directory for directory, _ in accepted)
        effects.owed |= accepted
        summary.adopted += len(accepted)
        if accepted:
            p.reporter.note(
                f"{len(accepted)} files that an unfinished run put cannot be put again now: the index takes them as the"
                " bucket has them"
            )

    def _extra(self, head: Head, found: Disagreements, adoption: Adoption | None) -> Extra:
        headers = self.look.changed_headers(head)

        def forced(key: str) -> str | None:
            if found.is_suspect(key):
                return BUCKET_DIFFERS
            return (headers(key) if headers else None) or (adoption.forced(key) if adoption else None)

        if adoption is None:
            return Extra(forced, found)
        return Extra(forced, found, adoption.adopts, rebuilds=adoption.rebuilds)

    def _last_jobs(self, head: Head, outbox: Outbox, derived: Derived, *, deep: bool, rebuilds: bool) -> None:
        """Send what has to follow the effects of a run that is going to be closed."""
        derived.mend(outbox, deep=deep)
        if head.applied:
            derived.copy_all(outbox, head.applied.new_copy_rules(self.parts.descriptor))
        if head.open is not None:
            self._jobs_again(outbox, head.open)
        elif rebuilds:
            # A run that the loss cut short may have put what it never invalidated.
            outbox.invalidate_everything()
            outbox.flush()

    def _jobs_again(self, outbox: Outbox, first_open: int) -> None:
        """Send the page and copy jobs of every leaf that an unclosed run committed, and invalidate the site."""
        for leaf in self.parts.cache.all_leaves():
            if leaf.run >= first_open:
                outbox.page(leaf.directory)
                outbox.redirect(leaf.directory)
                for name in leaf.files:
                    outbox.copy(join(leaf.directory, name))
                outbox.flush_full()
        outbox.flush()
        outbox.invalidate_everything()
        outbox.flush()
