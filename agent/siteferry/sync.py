"""One site's runs, from the head to the close (docs/design.md: a run)."""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from siteferry.audit import AuditTotals
from siteferry.cache import Cache
from siteferry.carry import Carrier
from siteferry.config import Config
from siteferry.derived import send_page_jobs
from siteferry.errors import StateError, UsageError
from siteferry.look import Extra, Look
from siteferry.mend import Mender
from siteferry.names import printable
from siteferry.outbox import Outbox
from siteferry.parts import Parts, Services
from siteferry.plan import Plan
from siteferry.plan_report import print_plan
from siteferry.report import Reporter, Summary
from siteferry.state import StateDirectory
from siteferry.tenancy import Tenancy
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import UnpublishableNameError

T = TypeVar("T")


class Site:
    """One site on this host. Lives for one run, or for as many as a daemon makes.

    What it does raises SiteferryError, and then nothing is lost: the next run recovers.
    """

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
        copy = Cache(cache or state.cache, progress=services.progress)
        self.parts = Parts(config, descriptor, services, state, copy, reporter, stopping)
        self.tenancy = Tenancy(
            services.index,
            services.clock,
            descriptor,
            reporter,
            services.renewal,
            owner=state.owner,
            seconds=config.lease,
            has_used=copy.has_used,
        )
        self._look = Look(self.parts)
        self._carrier = Carrier(self.parts, self.tenancy, self._look)
        self._mender = Mender(self.parts, self._look, self._carrier)

    def close(self) -> None:
        """Release the lease and close the cache."""
        try:
            self.tenancy.release()
        finally:
            self.parts.cache.close()

    @property
    def unsettled(self) -> Mapping[bytes, float]:
        """Directories in which the last look deferred files, and the seconds until the first of them is settled."""
        return self._look.unsettled

    def sync(self, hinted: Collection[bytes] | None = None) -> Summary:
        """Make one run; with `hinted`, over those directories alone, unless there is a reason to look at all of them.

        A run over a part says nothing of the rest: the summary tells which it was.
        """
        return self._with_cache(lambda: self._sync(hinted))

    def dry_run(self, *, as_json: bool) -> Summary:
        """Show what a run would do."""
        head = self.tenancy.look()
        if head.open is not None:
            self.parts.reporter.note(
                "an earlier run was not finished: a sync recovers it first, which may find more to do"
            )
        if self._look.other_derived(head):
            self.parts.reporter.note("copy rules, pages or redirects changed: a sync audits, which may find more to do")
        self._look.load_cache(head, keep=head.open is None)
        summary = Summary()
        with self.parts.open_tree() as tree, Plan() as plan:
            extra = Extra(forced) if (forced := self._look.changed_headers(head)) else Extra()
            self._look.compare(tree, plan, head, extra, summary, look_only=True)
            print_plan(plan, self.parts.cache.problems(), as_json=as_json, hold_reason=summary.hold_reason)
        return summary

    def audit(self, *, deep: bool) -> AuditTotals:
        """Compare index and bucket, and tell what differs; changes nothing, and may be made beside a daemon."""
        return self._mender.audit(self.tenancy.look(), since=self.parts.state.audited_at(), deep=deep)

    def repair(self, *, deep: bool) -> Summary:
        """Make an audit as a run that mends what differs."""
        begun = self.parts.services.clock.now()

        def repair() -> Summary:
            return self._mender.repair(self.tenancy.acquire(), since=self.parts.state.audited_at(), deep=deep)

        summary = self._with_cache(repair)
        if summary.closed and not summary.stopped:
            self.parts.state.set_audited(begun, complete=not summary.left)
        return summary

    def adopt(self, fudge: float | None) -> Summary:
        """Publish the tree into a bucket that has files of it already, as old as the file less `fudge` seconds.

        None: the index was lost; whatever its age, an object that has its file's bytes is the file's.
        """
        return self._with_cache(lambda: self._mender.adopt(self.tenancy.acquire(adopts=True), fudge))

    def look_at_adoption(self, fudge: float | None, *, as_json: bool) -> Summary:
        """Show what an adoption would do."""
        return self._mender.look_at_adoption(self.tenancy.look(adopts=True), fudge, as_json=as_json)

    def reindex(self, path: bytes) -> int:
        """Have the pages and redirects of a directory and all beneath it made again; gives their number."""
        p = self.parts
        if not (p.descriptor.directory_pages or p.descriptor.has_redirects):
            raise UsageError("this site has neither directory pages nor redirects", "infra/sites.toml turns them on")
        head = self.tenancy.look()
        self._look.load_cache(head)
        try:
            top = p.naming.directory_key(path)
        except UnpublishableNameError as error:
            raise UsageError(f"{printable(path)}: {error}") from error
        if not p.cache.is_known(top):
            raise UsageError(f"{printable(path)}: the index has no such directory", "give one that is published")
        outbox = Outbox(p.services.queues, p.descriptor, head.run)
        return send_page_jobs(outbox, p.cache, p.cache.beneath(top))

    def _sync(self, hinted: Collection[bytes] | None) -> Summary:
        head = self.tenancy.read()
        if head.open is not None:
            head = self.tenancy.acquire()
            if head.open is not None:
                return self._mender.recover(head)
        if self._look.other_derived(head):
            self.parts.reporter.note("copy rules, pages or redirects changed: going through all of them")
            return self._mender.repair(self.tenancy.acquire(), since=self.parts.state.audited_at(), deep=False)
        self._look.load_cache(head)
        forced, layout = self._look.changed_headers(head), self._look.other_layout(head)
        if forced or layout or not self.parts.cache.snapshot.is_whole():
            hinted = None
        summary = Summary(hinted=hinted is not None)
        with self.parts.open_tree() as tree, Plan() as plan:
            extra = Extra(forced) if forced else Extra()
            comparison = self._look.compare(tree, plan, head, extra, summary, hinted=hinted)
            if plan.totals.empty and not layout and forced is None:
                self.parts.cache.snapshot.end_walk(comparison.unfinished)
            else:
                self.parts.reporter.planned(plan.totals)
                now = self.tenancy.acquire()
                if (now.epoch, now.run, now.open) != (head.epoch, head.run, None):
                    return self._sync(hinted)  # another agent made a run meanwhile: the plan is out of date
                effects = self._carrier.begin(tree, plan, comparison, summary, extra)
                effects.carry_out(plan)
                if layout and not summary.stopped:
                    self.parts.reporter.note("directory pages have another layout: having all of them made again")
                    send_page_jobs(self._carrier.outbox(summary), self.parts.cache, self.parts.cache.directories())
                self._carrier.end(effects, comparison, summary, closed=not effects.unknown, layout=layout)
        return summary

    def _with_cache(self, run: Callable[[], T]) -> T:
        """Make a run; with a damaged cache, once more with a new one."""
        try:
            return run()
        except (sqlite3.DatabaseError, ContractError) as error:
            # The cache is a copy: it is made anew, and the run, if one was open, recovered.
            self.parts.reporter.note(f"the cache is damaged ({error}): making it anew")
        try:
            self.parts.cache.reset()
            return run()
        except (sqlite3.DatabaseError, ContractError) as error:
            raise StateError(
                f"state_dir {self.parts.config.state_dir}: {error}",
                "is the disk full, or are its files another user's?",
            ) from error
