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
from siteferry.run import Effects, Work
from siteferry.shaping import Shaping
from siteferry.tenancy import Tenancy
from siteferry.tree import Tree

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
        before = control.head.applied
        Shaping(p).withdraw(before)
        applied = Applied.of(p.descriptor).with_rules_of(before).with_derived_of(before).with_layout_of(before)
        summary.run = control.open_run(
            applied.with_tagged(before, p.descriptor, control.head.run + 1),
            deletes=plan.totals.deletes,
            forget_deletes=comparison.approved,
        )
        seconds = request_seconds(p.config.lease)
        work = Work(
            tree=tree,
            cache=p.cache,
            committer=Committer(p.services.index, p.cache, control, seconds),
            publisher=Publisher(
                objects, p.headers, control, p.services.clock, seconds, p.config.max_bandwidth * MEGABYTE
            ),
            outbox=self.outbox(summary),
            executor=p.services.executor,
            reporter=p.reporter,
            naming=p.naming,
            run=summary.run,
            workers=p.config.workers,
            stopping=p.stopping,
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
            return
        applied = Applied.of(p.descriptor)
        if adopted and p.descriptor.has_tags:
            applied = replace(
                applied, header_rules=(rules_to_json(p.descriptor.header_rules, tags=False), *applied.header_rules)
            )
        if effects.forced_left or summary.stopped or headers_left(comparison, summary):
            applied = applied.with_rules_of(control.head.applied)
        if not derived or summary.stopped:
            applied = applied.with_derived_of(control.head.applied)
        if not layout or summary.stopped:
            applied = applied.with_layout_of(control.head.applied)
        before = control.head.applied
        applied = applied.with_tagged(before, p.descriptor, control.head.run)
        control.close_run(applied)
        Shaping(p).update(before, applied)
        p.cache.set_version(Version(control.head.epoch, control.head.run))
        if not summary.stopped:
            p.cache.snapshot.end_walk(comparison.unfinished | effects.unfinished)
        if adopted and p.descriptor.has_tags:
            p.cache.snapshot.forget()  # the next run is to find every object without tags


def headers_left(comparison: Comparison, summary: Summary) -> bool:
    """Tell whether some object may still have the headers of earlier rules: its file was not there to be put."""
    not_there = comparison.unreadable or summary.hold_reason or summary.held or summary.kept
    return comparison.forced_left or bool(not_there)
