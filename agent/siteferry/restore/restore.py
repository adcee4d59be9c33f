"""`siteferry restore`: a whole tree from the site, or an update of one."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from siteferry.errors import IndexDamagedError, UsageError
from siteferry.look import Look
from siteferry.parts import Parts
from siteferry.ports import Archive
from siteferry.restore.carry import Carrier, RestoreSummary
from siteferry.restore.destination import Destination
from siteferry.restore.fetch import Fetcher
from siteferry.restore.from_bucket import BucketReader
from siteferry.restore.from_index import Published, take_from_index
from siteferry.restore.paths import PathOf, by_key
from siteferry.restore.plan import RestorePlan
from siteferry.restore.planner import Planner, Rules, apply_brake
from siteferry.restore.report import RestoreReporter
from siteferry.restore.rules import Compare, Update
from siteferry.restore.scope import Scope
from siteferry.restore.times import check_kept
from siteferry.restore.wanted import WantedTree


@dataclass(frozen=True, slots=True)
class Source:
    """What is restored: the site as the index has it, as the bucket has it, or as it was at a time."""

    from_bucket: bool = False
    as_of: float | None = None
    """Seconds since 1970."""
    until: float | None = None
    """A later time, until which it is asked what changed more than once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for."""

    destination: Path
    source: Source
    scope: Scope
    compare: Compare = "checksum"
    delete: bool = False
    approved: int | None = None
    """Deletes that a person let through."""


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores from one site; changes nothing in the cloud, and may work beside a daemon."""

    parts: Parts
    archive: Archive

    def plan(self, asked: Asked, plan: RestorePlan) -> None:
        """Make the plan of a restore; raises SiteferryError, and then nothing was changed."""
        p = self.parts
        naming = p.naming
        rules = Update(self.archive, naming, asked.compare, asked.delete)
        with WantedTree() as wanted:
            self.find(asked.source, asked.scope, wanted, plan)
            if asked.scope.top and not wanted.count() and not wanted.is_directory(asked.scope.top):
                raise UsageError(
                    f"the site has nothing at --path {asked.scope.top.decode('utf-8', 'backslashreplace')}",
                    "name a file or directory relative to the site's root, as it is called on the FTP host",
                )
            self.compare(wanted, asked.destination, rules, asked.scope, plan)
            apply_brake(plan, p.config.brake, wanted.count(), asked.approved)

    def find(
        self,
        source: Source,
        scope: Scope,
        wanted: WantedTree,
        plan: RestorePlan,
        path_of: PathOf | None = None,
    ) -> set[str]:
        """Find out what there is to be; gives the keys that changed more than once from `as_of` to `until`.

        `path_of` gives the path of a key whose object says none; else it is the index's, if it is to be had.
        """
        p = self.parts
        changed_twice: set[str] = set()
        if source.from_bucket or source.as_of is not None:

            def problem(key: str, reason: str) -> None:
                plan.add_problem(key.encode(), reason)

            reader = BucketReader(
                self.archive, p.services.executor, p.naming, scope, problem, path_of or self._path_of(source)
            )
            if source.as_of is None:
                reader.take(wanted)
            else:
                check_kept(source.as_of, p.services.clock.now(), p.descriptor.retention_days)
                changed_twice = reader.take_as_of(source.as_of, wanted, source.until)
        else:
            load_index(p)
            take_from_index(p.cache, p.naming, scope, wanted)
        p.reporter.note(f"the site has {wanted.count():,} files" + (" there" if scope.top else ""))
        return changed_twice

    def _path_of(self, source: Source) -> PathOf:
        if not source.from_bucket and self.parts.naming.encoding == "auto":  # elsewhere a key tells its path
            with suppress(IndexDamagedError):
                return load_index(self.parts).path
        return by_key(self.parts.naming)

    def compare(self, wanted: WantedTree, destination: Path, rules: Rules, scope: Scope, plan: RestorePlan) -> None:
        """Compare a destination with it; one that is not there is as if it were empty."""
        progress = self.parts.services.progress
        if not os.path.lexists(destination):
            Planner(None, wanted, plan, rules, scope).plan(progress)
            return
        with Destination(destination, make=False) as opened:
            Planner(opened, wanted, plan, rules, scope).plan(progress)

    def carry_out(self, plan: RestorePlan, destination: Path, reporter: RestoreReporter) -> RestoreSummary:
        """Do what was planned."""
        p = self.parts
        with Destination(destination, make=True) as opened:
            clock = p.services.clock
            fetcher = Fetcher(self.archive, clock, p.stopping)
            carrier = Carrier(opened, fetcher, p.services.executor, clock, reporter, p.stopping, p.config.workers)
            return carrier.carry_out(plan)


def load_index(parts: Parts) -> Published:
    """Have the index in the cache; raises IndexDamagedError if there is none."""
    head = parts.services.index.read_head()
    if head is None or not head.run:
        raise IndexDamagedError(
            f"table {parts.descriptor.table} has no index: nothing was ever published, or it is lost",
            "`restore --from-bucket` does without it; `siteferry adopt --rebuild` makes it again from bucket and tree",
        )
    if head.open is not None:
        parts.reporter.note(
            "a run is going on, or was not finished: what it published last may be restored as it was before"
        )
    Look(parts).load_cache(head, keep=head.open is None)
    return Published(parts.cache, parts.naming)
