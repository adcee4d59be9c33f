"""One site's runs, from the head to the close (docs/design.md: a run)."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siteferry.cache import Cache, Version
from siteferry.commit import Committer
from siteferry.compare import Comparer, Comparison, apply_brake, settings_fingerprint
from siteferry.config import Config
from siteferry.diff import Excludes, Forced, Naming
from siteferry.errors import StateError
from siteferry.head import Applied, Head
from siteferry.headers import Headers
from siteferry.lease import Renewal
from siteferry.outbox import Outbox
from siteferry.plan import RECOVERED, Plan
from siteferry.ports import Clock, Executor, IndexStore, JobQueues, ObjectStore
from siteferry.publish import Publisher
from siteferry.recover import Disagreements
from siteferry.report import Reporter, Summary, print_plan
from siteferry.run import Effects, Work
from siteferry.settle import Settling, has_own_clock
from siteferry.state import StateDirectory
from siteferry.tenancy import MakeRenewal, Tenancy
from siteferry.tree import Tree
from siteferry_contract.descriptor import Descriptor, HeaderRule
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import join

LOOKS_SECONDS: Final = 86_400
"""For which a look at a file that is being written is remembered."""
REQUESTS_PER_LEASE: Final = 4
"""A request may take at most this part of a lease, all its retries included (rule 7). Two may follow one another
without a look at the lease (a last part and the completion), and a renewal is up to a quarter of a lease old."""


def request_seconds(lease: float) -> float:
    """Give the total time-out of a request under a lease."""
    return lease / REQUESTS_PER_LEASE


@dataclass(frozen=True, slots=True)
class Services:
    """What a site's runs need of the world."""

    index: IndexStore
    objects: ObjectStore
    queues: JobQueues
    clock: Clock
    executor: Executor
    renewal: MakeRenewal = Renewal


class Site:
    """One site on this host. Lives for one run, or for as many as a daemon makes."""

    def __init__(
        self,
        config: Config,
        descriptor: Descriptor,
        services: Services,
        state: StateDirectory,
        reporter: Reporter,
        stopping: Callable[[], bool] = lambda: False,
        cache: Path | None = None,
    ) -> None:
        """Make it; `cache` is where the cache is, if not in the state directory."""
        self._config, self._descriptor, self._s = config, descriptor, services
        self._state, self._reporter, self._stopping = state, reporter, stopping
        self._cache = Cache(cache or state.cache)
        self.tenancy = Tenancy(
            services.index,
            services.clock,
            descriptor,
            reporter,
            services.renewal,
            owner=state.owner,
            seconds=config.lease,
        )

    def close(self) -> None:
        """Release the lease and close the cache."""
        try:
            self.tenancy.release()
        finally:
            self._cache.close()

    def sync(self) -> Summary:
        """Make one run; raises SiteferryError, and then nothing is lost: the next run recovers."""
        try:
            return self._sync()
        except (sqlite3.DatabaseError, ContractError) as error:
            # The cache is a copy: it is made anew, and the run, if one was open, recovered.
            self._reporter.note(f"the cache is damaged ({error}): making it anew")
        try:
            self._cache.reset()
            return self._sync()
        except (sqlite3.DatabaseError, ContractError) as error:
            raise StateError(
                f"state_dir {self._config.state_dir}: {error}", "is the disk full, or are its files another user's?"
            ) from error

    def _sync(self) -> Summary:
        head = self.tenancy.read()
        if head.open is not None:
            return self._recover()
        self._load_cache(head)
        summary = Summary()
        with Tree(self._config.root) as tree, Plan() as plan:
            forced = self._changed_headers(head)
            comparison = self._compare(tree, plan, head, forced, summary)
            if plan.totals.empty and (forced is None or self._headers_left(comparison)):
                self._cache.set_digests(self._finished(comparison, set()))
            else:
                self._reporter.planned(plan.totals)
                now = self.tenancy.acquire()
                if (now.epoch, now.run, now.open) != (head.epoch, head.run, None):
                    return self._sync()  # another agent made a run meanwhile: the plan is out of date
                self._carry_out(tree, plan, comparison, summary, forced)
        return summary

    def dry_run(self, *, as_json: bool) -> Summary:
        """Show what a run would do."""
        head = self.tenancy.look()
        if head.open is not None:
            self._reporter.note("an earlier run was not finished: a sync recovers it first, which may find more to do")
        self._load_cache(head, keep=head.open is None)
        summary = Summary()
        with Tree(self._config.root) as tree, Plan() as plan:
            self._compare(tree, plan, head, self._changed_headers(head), summary, look_only=True)
            print_plan(plan, self._cache.problems(), as_json=as_json, hold_reason=summary.hold_reason)
        return summary

    # ---- cache and settings

    def _load_cache(self, head: Head, *, keep: bool = True) -> None:
        if self._cache.version() != Version(head.epoch, head.run) or not keep:
            leaves = self._cache.load(self._s.index.leaves())
            self._reporter.note(f"read the index: {leaves} leaves, {self._cache.file_count()} published files")
            if keep:
                self._cache.set_version(Version(head.epoch, head.run))
        self._cache.set_settings(settings_fingerprint(self._naming(), *Applied.of(self._descriptor).header_rules))

    def _naming(self) -> Naming:
        d = self._descriptor
        return Naming(d.prefix, d.encoding, Excludes(self._config.exclude), d.copy_rules)

    def _headers(self) -> Headers:
        return Headers(self._descriptor.prefix, self._descriptor.header_rules)

    def _changed_headers(self, head: Head) -> Forced | None:
        """Tell which keys get other headers than those that they were published with."""
        if head.applied is None or head.applied.header_rules == Applied.of(self._descriptor).header_rules:
            return None
        new = self._headers()
        earlier = [
            Headers(self._descriptor.prefix, [HeaderRule(match, headers) for match, headers in json.loads(rules)])
            for rules in head.applied.header_rules
        ]
        return lambda key: "headers" if any(old.settings(key) != new.settings(key) for old in earlier) else None

    # ---- compare

    def _compare(
        self,
        tree: Tree,
        plan: Plan,
        head: Head,
        forced: Forced | None,
        summary: Summary,
        disagreements: Disagreements | None = None,
        *,
        look_only: bool = False,
    ) -> Comparison:
        comparer = Comparer(
            self._cache,
            self._naming(),
            settled=self._settling(tree).settled,
            forced=forced or (lambda _: None),
        )
        comparison = comparer.compare(tree, plan)
        if not look_only:
            # A look that was forgotten too early is only made again.
            self._cache.forget_looks(self._s.clock.now() - max(LOOKS_SECONDS, 2 * self._config.settle))
        if disagreements and self._config.delete:
            comparer.plan_strays(disagreements.strays(), tree, plan, comparison)
        elif disagreements:
            for stray in disagreements.strays():
                disagreements.resolve(stray)
        if self._config.delete:
            braked = apply_brake(
                plan,
                self._config.brake,
                self._cache.file_count(),
                self._state.approved_deletes(),
                comparison.hold_reason,
                recent=head.recent_deletes(self._s.clock.now()),
            )
            summary.hold_reason, comparison.approved = braked.hold_reason, braked.approved
            if not (braked.approved or braked.hold_reason or look_only):
                self._state.use_approval()  # what it was given for is over
        else:
            plan.hold_deletes()
            plan.totals.kept, plan.totals.held = plan.totals.held, 0
        summary.deferred, summary.held, summary.kept = plan.totals.deferred, plan.totals.held, plan.totals.kept
        if summary.hold_reason or not self._config.delete:
            comparison.unfinished |= comparison.deleting
        for problem in comparison.unreadable:
            summary.fail(problem.path, problem.reason)
            if not look_only:
                self._reporter.failed(problem.path, problem.reason)
        summary.problems = self._cache.problem_count()
        summary.planned = plan.totals.puts + plan.totals.deletes
        return comparison

    def _settling(self, tree: Tree) -> Settling:
        return Settling(
            self._config.settle, self._s.clock.now, self._cache.first_look, own_clock=has_own_clock(tree.device)
        )

    @staticmethod
    def _finished(comparison: Comparison, unfinished: set[str]) -> list[tuple[str, bytes, int]]:
        skip = comparison.unfinished | unfinished
        return [(key, *row) for key, row in comparison.digests.items() if key not in skip]

    # ---- effects

    def _carry_out(
        self, tree: Tree, plan: Plan, comparison: Comparison, summary: Summary, forced: Forced | None
    ) -> None:
        effects = self._begin(tree, plan, comparison, summary, forced or (lambda _: None))
        effects.carry_out(plan)
        self._end(effects, comparison, summary, closed=not effects.unknown)

    def _begin(
        self,
        tree: Tree,
        plan: Plan,
        comparison: Comparison,
        summary: Summary,
        forced: Forced,
        agreed: Callable[[str], None] = lambda _: None,
    ) -> Effects:
        control = self.tenancy.control
        self._cache.set_version(None)
        summary.run = control.open_run(
            Applied.of(self._descriptor).with_rules_of(control.head.applied),
            deletes=plan.totals.deletes,
            forget_deletes=comparison.approved,
        )
        seconds = request_seconds(self._config.lease)
        work = Work(
            tree=tree,
            cache=self._cache,
            committer=Committer(self._s.index, self._cache, control, seconds),
            publisher=Publisher(self._s.objects, self._headers(), control, self._s.clock, seconds),
            outbox=Outbox(self._s.queues, self._descriptor, summary.run),
            executor=self._s.executor,
            reporter=self._reporter,
            naming=self._naming(),
            run=summary.run,
            ahead=4 * self._config.workers,
            stopping=self._stopping,
            settled=self._settling(tree).settled,
            forced=forced,
            agreed=agreed,
        )
        return Effects(work, summary)

    def _end(self, effects: Effects, comparison: Comparison, summary: Summary, *, closed: bool) -> None:
        control = self.tenancy.control
        summary.closed = closed
        if comparison.approved and not summary.stopped:
            self._state.use_approval()
        if not closed:
            return
        applied = Applied.of(self._descriptor)
        if effects.forced_left or summary.stopped or self._headers_left(comparison):
            applied = applied.with_rules_of(control.head.applied)
        control.close_run(applied)
        self._cache.set_version(Version(control.head.epoch, control.head.run))
        if not summary.stopped:
            self._cache.set_digests(self._finished(comparison, effects.unfinished))

    @staticmethod
    def _headers_left(comparison: Comparison) -> bool:
        return comparison.forced_left or bool(comparison.unreadable)

    # ---- recovery

    def _recover(self) -> Summary:
        """Bring index and bucket to agree again after a run that was not closed, and the tree with them."""
        head = self.tenancy.acquire()
        if head.open is None:
            return self._sync()  # another agent closed it meanwhile
        self._reporter.note("an earlier run was not finished: recovering")
        summary = Summary(recovered=True)
        self._load_cache(head, keep=False)
        first_open = head.open
        with Tree(self._config.root) as tree, Plan() as plan, Disagreements() as found:
            found.find(self._cache, self._s, self._descriptor, opened=head.opened or 0.0, first_open=first_open)
            headers = self._changed_headers(head)

            def forced(key: str) -> str | None:
                return RECOVERED if found.is_suspect(key) else headers(key) if headers else None

            comparison = self._compare(tree, plan, head, forced, summary, found)
            self._reporter.planned(plan.totals)
            effects = self._begin(tree, plan, comparison, summary, forced, found.resolve)
            effects.carry_out(plan)
            left = found.count()
            if left:
                self._reporter.note(f"{left} objects still differ from the index: the run stays open")
            closed = not (effects.unknown or left or summary.stopped)
            if closed:
                self._jobs_again(Outbox(self._s.queues, self._descriptor, summary.run or 0), first_open)
            self._end(effects, comparison, summary, closed=closed)
        return summary

    def _jobs_again(self, outbox: Outbox, first_open: int) -> None:
        """Send the page and copy jobs of every leaf that an unclosed run committed, and invalidate the site."""
        for leaf, end in self._cache.all_leaves():
            if leaf.run >= first_open:
                outbox.page(leaf.directory)
                for name in leaf.files:
                    if end is None or name < end:
                        outbox.copy(join(leaf.directory, name))
                outbox.flush_full()
        outbox.flush()
        outbox.invalidate_everything()
        outbox.flush()
