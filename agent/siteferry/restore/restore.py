"""`siteferry restore`: a whole tree from the site, or an update of one."""

from dataclasses import dataclass

from siteferry.config import SKIP
from siteferry.errors import IndexDamagedError, UsageError
from siteferry.look import Look
from siteferry.parts import Parts
from siteferry.ports import Archive
from siteferry.restore.carry import Carrier
from siteferry.restore.fetch import Fetcher
from siteferry.restore.from_bucket import BucketReader
from siteferry.restore.from_index import Published, take_from_index
from siteferry.restore.paths import PathOf, by_key
from siteferry.restore.plan import RestorePlan
from siteferry.restore.planner import Planner, Rules, apply_brake
from siteferry.restore.report import RestoreReporter
from siteferry.restore.rules import Compare, Guarded, Update
from siteferry.restore.scope import Scope
from siteferry.restore.tally import RestoreSummary
from siteferry.restore.target import Target, check_apart
from siteferry.restore.times import check_kept, shown
from siteferry.restore.wanted import WantedTree


@dataclass(frozen=True, slots=True)
class Source:
    """What is restored: the site as the index has it, as the bucket has it, or as it was at a time."""

    from_bucket: bool = False
    as_of: float | None = None
    """Seconds since 1970."""
    until: float | None = None
    """A later time, until which it is asked what changed more than once."""

    @property
    def is_index(self) -> bool:
        """Whether it is the index."""
        return not self.from_bucket and self.as_of is None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for."""

    source: Source
    scope: Scope
    compare: Compare = "checksum"
    delete: bool = False
    approved: int | None = None
    """Deletes that a person let through."""
    overwrite: bool = False
    """In the published tree, what is published nowhere too."""


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores from one site; changes nothing in the cloud, and may work beside a daemon."""

    parts: Parts
    archive: Archive

    def plan(self, asked: Asked, target: Target, plan: RestorePlan) -> None:
        """Make the plan of a restore; raises SiteferryError, and then nothing was changed."""
        p = self.parts
        in_place = check_apart(target.path, p.config.root)
        if asked.compare == "mtime" and not asked.source.is_index:
            raise UsageError("--compare mtime: only the index has mtimes", "use --compare checksum, or size")
        with WantedTree() as wanted:
            self.find(asked.source, asked.scope, wanted, plan)
            if asked.scope.top and not wanted.count() and not wanted.is_directory(asked.scope.top):
                raise UsageError(
                    f"the site has nothing at --path {asked.scope.top.decode('utf-8', 'backslashreplace')}",
                    "name a file or directory relative to the site's root, as it is called on the FTP host",
                )
            update = Update(self.archive, p.naming, wanted, asked.compare, asked.delete)
            rules: Rules = update
            if in_place and not asked.overwrite:
                rules = Guarded(update, self._index(asked.source), p.config.symlinks != SKIP)
            Planner(target.there, wanted, plan, rules, asked.scope).plan(self.progress)
            approved, totals = asked.approved, plan.totals
            apply_brake(plan, p.config.brake, totals.there, approved, all_gone=not wanted.count())

    def progress(self) -> None:
        """Say that the planning goes on; raises KeyboardInterrupt if a stop is asked for, as nothing is done yet."""
        self.parts.services.progress()
        if self.parts.stopping():
            raise KeyboardInterrupt

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
        if not source.is_index:

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
                if scope.only is None and not wanted.count():
                    raise UsageError(
                        f"as of {shown(source.as_of)} the site had no file" + (" there" if scope.top else ""),
                        "`siteferry history` tells when there were runs; give a later time",
                    )
        else:
            load_index(p)
            take_from_index(p.cache, p.naming, scope, wanted)
        there = " there" if scope.top else ""
        if source.as_of is None:
            p.reporter.note(f"the site has {wanted.count():,} files{there}")
        elif scope.only is None:
            p.reporter.note(f"as of {shown(source.as_of)} the site had {wanted.count():,} files{there}")
        return changed_twice

    def carry_out(self, plan: RestorePlan, target: Target, reporter: RestoreReporter) -> RestoreSummary:
        """Do what was planned for the target, in it; raises SiteferryError."""
        p = self.parts
        clock = p.services.clock
        fetcher = Fetcher(self.archive, clock, p.stopping)
        carrier = Carrier(target.made(), fetcher, p.services.executor, clock, reporter, p.stopping, p.config.workers)
        return carrier.carry_out(plan)

    def _path_of(self, source: Source) -> PathOf:
        encoded = self.parts.naming.encoding == "auto"  # elsewhere a key tells its path
        index = self._index(source) if encoded else None
        return index.path if index else by_key(self.parts.naming)

    def _index(self, source: Source) -> Published | None:
        """Give the index, unless it is lost, or is to be done without."""
        if source.from_bucket:
            return None
        try:
            return load_index(self.parts)
        except IndexDamagedError:
            return None


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
