"""From a plan to a closed run: open it, make its effects, close it (docs/design.md: a run, steps 3 to 7)."""

from dataclasses import dataclass, replace
from typing import Final

from siteferry.cache import Version
from siteferry.commit import Committer
from siteferry.compare import Comparison
from siteferry.head import Applied
from siteferry.header_sets import rules_to_json
from siteferry.look import Agreed, Extra, Look
from siteferry.outbox import Outbox
from siteferry.parts import Parts
from siteferry.plan import Plan
from siteferry.publish import Publisher
from siteferry.report import Summary
from siteferry.run import Effects
from siteferry.shaping import Shaping
from siteferry.tenancy import Tenancy
from siteferry.tree import Tree
from siteferry.work import Work

MEGABYTE: Final = 1_000_000
REQUESTS_PER_LEASE: Final = 4
"""A request may take at most this part of a lease, all its retries included (rule 7). Two may follow one another
without a look at the lease (a last part and the completion), and a renewal is up to a quarter of a lease old."""


def request_seconds(lease: float) -> float:
    """Give the total time-out of a request under a lease."""
    return lease / REQUESTS_PER_LEASE


@dataclass(frozen=True, slots=True)
class Carrier:
    """Carries plans out."""

    parts: Parts
    tenancy: Tenancy
    look: Look

    def begin(
        self,
        tree: Tree,
        plan: Plan,
        comparison: Comparison,
        summary: Summary,
        extra: Extra,
        agreed: Agreed = lambda _: None,
    ) -> Effects:
        """Open the run."""
        p, control = self.parts, self.tenancy.control
        objects = p.services.objects  # before anything is opened: it may not be reachable
        p.cache.set_version(None)
        before, recovering = control.head.applied, control.head.open is not None
        Shaping(p).withdraw(before)
        applied = self._applied(adopted=extra.adopts is not None and not extra.rebuilds).with_rules_of(before)
        applied = applied.with_derived_of(before).with_layout_of(before)
        summary.run = control.open_run(
            applied.with_tagged(before, p.descriptor, control.head.run + 1),
            deletes=plan.totals.deletes,
            forget_deletes=comparison.approved,
            rebuilds=extra.rebuilds,
        )
        p.cache.set_table(p.descriptor.table)
        p.reporter.opened(summary.run)
        seconds = request_seconds(p.config.lease)
        work = Work(
            tree=tree,
            cache=p.cache,
            committer=Committer(p.services.index, p.cache, control, seconds),
            publisher=Publisher(
                objects,
                p.headers,
                control,
                p.services.clock,
                seconds,
                p.config.max_bandwidth * MEGABYTE,
                p.services.progress,
                tree.links,
            ),
            outbox=self.outbox(summary),
            executor=p.services.executor,
            reporter=p.reporter,
            naming=p.naming,
            run=summary.run,
            workers=p.config.workers,
            stopping=p.stopping,
            rebuilt=control.head.rebuilt,
            recovering=recovering,
            settled=self.look.settling(tree).settled,
            forced=extra.forced,
            agreed=agreed,
        )
        return Effects(work, summary)

    def outbox(self, summary: Summary) -> Outbox:
        """Give an outbox for the jobs of the run."""
        return Outbox(self.parts.services.queues, self.parts.descriptor, summary.run or 0)

    def end(
        self,
        effects: Effects,
        comparison: Comparison,
        summary: Summary,
        *,
        closed: bool,
        derived: bool = False,
        layout: bool = False,
        adopted: bool = False,
    ) -> None:
        """Close the run, or leave it open for recovery.

        `derived`: it went through what the Lambdas make, too; `layout`: it sent a page job for every directory;
        `adopted`: there may be objects that it did not put, which carry no cache tags.
        """
        p, control = self.parts, self.tenancy.control
        summary.closed = closed
        if comparison.approved and not summary.stopped:
            p.state.use_approval()
        if not closed:
            p.reporter.closed(control.head.run)
            return
        applied = self._applied(adopted=adopted)
        unknown = effects.forced_left or summary.stopped
        if unknown or effects.owed:
            applied = applied.with_rules_of(control.head.applied)
        owed = None if unknown or not effects.owed else self.look.header_sets(control.head)
        p.cache.set_owed(owed, sorted(effects.owed))
        if not derived or summary.stopped:
            applied = applied.with_derived_of(control.head.applied)
        if not layout or summary.stopped:
            applied = applied.with_layout_of(control.head.applied)
        before = control.head.applied
        applied = applied.with_tagged(before, p.descriptor, control.head.run)
        control.close_run(applied)
        p.reporter.closed(control.head.run)
        Shaping(p).update(applied)
        p.cache.set_version(Version(control.head.epoch, control.head.run))
        if not summary.stopped:
            p.cache.snapshot.end_walk(comparison.unfinished | effects.unfinished)

    def _applied(self, *, adopted: bool) -> Applied:
        """Give what is applied of the descriptor; what is adopted has no cache tags."""
        own = self.parts.descriptor
        applied = Applied.of(own)
        if not (adopted and own.has_tags):
            return applied
        return replace(applied, header_rules=(rules_to_json(own.header_rules, tags=False), *applied.header_rules))
