"""From the tree and the cache to the plan: walk, skip what has not changed, diff the rest, apply the brake."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final

from siteferry.cache import Cache
from siteferry.config import Brake
from siteferry.diff import (
    Adopts,
    Chosen,
    Forced,
    Gone,
    Naming,
    Settled,
    at_once,
    choose,
    diff,
    ended_directory,
)
from siteferry.names import join_path, place_of, printable
from siteferry.plan import BUCKET_DIFFERS, DELETIONS, EXCLUDED_NAME, HEADERS, Action, Change, Plan, Problem
from siteferry.scan import DirectoryScan, UnreadableDirectory, VanishedDirectory, walk
from siteferry.settle import absence_of_directory, absence_of_file
from siteferry.tree import FileState, Tree
from siteferry.verify import changed_directories
from siteferry_contract.keys import join, root_directory, split
from siteferry_contract.leaf import FileEntry

CUT_SHORT: Final = "its upload was cut short, as the FTP server's log says: upload it again, or touch it if it is whole"


@dataclass(slots=True)
class Comparison:
    """What came of a comparison besides the plan."""

    unfinished: set[str] = field(default_factory=set)
    """Directories that must be looked at again whatever this run does."""
    deleting: set[str] = field(default_factory=set)
    """Directories in which something is gone."""
    unreadable: list[Problem] = field(default_factory=list)
    closed: set[bytes] = field(default_factory=set)
    """Paths of directories that went or cannot be read."""
    hold_reason: str = ""
    """Why deletes are held; empty if none are."""
    approved: bool = False
    """A person's approval is used."""


class Comparer:
    """Compares one tree with one index."""

    def __init__(
        self,
        cache: Cache,
        naming: Naming,
        *,
        settled: Settled,
        gone: Gone = at_once,
        forced: Forced = lambda _: None,
        adopts: Adopts | None = None,
        hears: Callable[[str], None] | None = None,
    ) -> None:
        """Take what to judge by; `hears` is told the key of every file that is part of the site."""
        self._cache, self._naming = cache, naming
        self._settled, self._gone = settled, gone
        self._forced, self._adopts, self._hears = forced, adopts, hears
        self._absences: set[bytes] | None = None
        self._fragments: set[bytes] = set()

    def compare(self, tree: Tree, plan: Plan, hinted: Collection[bytes] | None = None) -> Comparison:
        """Scan the tree and fill the plan. Memory stays flat but for the directories that differ.

        What is known of every directory is verified, and what differs compared; without that, the whole tree is. With
        `hinted`, only those directories are, and what is new beneath them; all others stay as they are known.
        """
        result = Comparison()
        with self._cache.transaction():
            self._cache.snapshot.begin_walk()
            if not self._cache.snapshot.is_whole():
                self._walk(tree, b"", root_directory(self._naming.prefix), plan, result)
                return result
            changed = changed_directories(tree, self._cache.path) if hinted is None else sorted(hinted, key=place_of)
            for path in changed:
                # Beneath a directory that went, or cannot be read, there is nothing to look at.
                directory = self._cache.snapshot.directory_at(path)
                if directory is not None and path not in result.closed and not _is_beneath(path, result.closed):
                    self._walk(tree, path, directory, plan, result)
        return result

    def _walk(self, tree: Tree, path: bytes, key: str, plan: Plan, result: Comparison) -> None:
        chosen: dict[str, Chosen] = {}

        def select(scan: DirectoryScan) -> Sequence[tuple[bytes, str]]:
            # What has a row of its own is verified by itself.
            children = ((raw, join(scan.key, name)) for name, raw in chosen.pop(scan.key).subdirectories.items())
            return [
                (raw, key)
                for raw, key in children
                if self._cache.snapshot.directory_at(join_path(scan.path, raw)) != key
            ]

        for scan in walk(tree, path, key, select):
            if isinstance(scan, DirectoryScan):
                chosen[scan.key] = self._compare(scan, plan, result)
                continue
            result.closed.add(scan.path)
            if scan.path == path and path and isinstance(scan, VanishedDirectory):
                self._cache.snapshot.forget_beneath(path)
                # It may have gone after its parent was compared, and come back as it was named.
                result.unfinished.add(split(scan.key)[0])
                continue
            before = self._cache.snapshot.row(scan.key)
            self._cache.snapshot.see(scan.path, scan.key, device=before[1] if before else 0)
            if isinstance(scan, UnreadableDirectory):
                reason = f"the directory cannot be read ({scan.reason}): all beneath it stays"
                result.unreadable.append(Problem(scan.path, reason))

    def _compare(self, scan: DirectoryScan, plan: Plan, result: Comparison) -> Chosen:
        before = self._cache.snapshot.row(scan.key)
        hold = ""
        if not scan.path and not scan.names and self._cache.file_count():
            hold = "the root is empty, but files are published: is the file system mounted?"
        elif before and before[1] and before[1] != scan.device:
            place = printable(scan.path)
            hold = f"{place} is on another file system than when it was published: is everything mounted?"
        chosen = self._diff(scan, plan, result, hold)
        # While its deletes are held, or still wait, a directory stays known by the device that it was on.
        waits = scan.key in result.deleting or scan.key in result.unfinished
        device = before[1] if before and hold and waits else scan.device
        self._cache.snapshot.see(scan.path, scan.key, scan.digest, device, len(scan.names))
        return chosen

    def plan_headers(self, entries: Iterable[tuple[str, FileEntry]], plan: Plan) -> None:
        """Plan other headers for published objects (directory key, entry), of which the plan has nothing else to do.

        Whatever their files are by now, on disk or not: it is the objects that are served.
        """
        at, path = None, b""
        for directory, entry in entries:
            if directory != at:
                at, path = directory, self._path(directory)
            if not plan.has_effect(directory, entry.name):
                raw = entry.raw if entry.raw is not None else self._naming.raw_name(entry.name)
                state = FileState(0, entry.size, entry.mtime_ns, entry.ctime_ns)
                plan.add([Change(Action.HEADERS, HEADERS, directory, path, entry.name, raw, state, entry.crc64nvme)])

    def plan_strays(self, strays: Iterable[str], plan: Plan, comparison: Comparison) -> None:
        """Plan the deletes of keys that are in the bucket, but neither in the index nor any file's.

        Of a key that the tree has, though nothing is planned for it, the file is being written: its object stays.
        """
        if comparison.unreadable or comparison.hold_reason:
            return
        for key in strays:
            directory, name = split(key)
            path, raw = self._path(directory), self._naming.raw_name(name)
            # What is excluded by now may be on disk.
            reason = EXCLUDED_NAME if self._is_excluded(path, raw) else BUCKET_DIFFERS
            plan.add([Change(Action.DELETE, reason, directory, path, name, raw)])

    def _diff(self, scan: DirectoryScan, plan: Plan, result: Comparison, hold: str) -> Chosen:
        entries = self._cache.entries(scan.key)
        chosen = choose(scan, self._naming, lambda: entries)
        if self._hears:
            for name in (*chosen.files, *chosen.staying):
                self._hears(join(scan.key, name))
        known = self._cache.is_known(scan.key)
        found = diff(
            scan,
            chosen,
            entries,
            self._naming,
            known=known,
            settled=self._settled,
            gone=self._gone,
            forced=self._forced,
            adopts=self._adopts,
            renamed=known and self._naming.may_collide(scan.key) and self._path(scan.key) != scan.path,
        )
        self._forget_what_is_over(scan)
        cut_short = [Problem(path, CUT_SHORT) for path in found.deferred if self._cache.is_fragment(path)]
        self._cache.set_problems(scan.key, found.problems + cut_short)
        plan.deferred += len(found.deferred)
        if found.deferred:
            result.unfinished.add(scan.key)
            # A subdirectory that may come back, or whose place something else has meanwhile.
            result.closed.update(path for path in found.deferred if self._cache.snapshot.directory_at(path) is not None)
        if any(change.action in DELETIONS for change in found.changes):
            result.deleting.add(scan.key)
            result.hold_reason = hold or result.hold_reason
        plan.add(found.changes, hold=bool(hold))
        for change in found.changes:
            if change.action is Action.DROP_DIRECTORY:
                self._cache.snapshot.forget_beneath(change.full_path)
                result.closed.add(change.full_path)
        for dropped, reason in found.dropped.items():
            self._cache.forget_problems(dropped)
            for directory in self._cache.beneath(dropped):
                beneath = self._cache.entries(directory).values()
                ended = ended_directory(directory, self._path(directory), beneath, self._naming, reason)
                plan.add(ended, hold=bool(hold))
        return chosen

    def _forget_what_is_over(self, scan: DirectoryScan) -> None:
        """Forget that names were missing which are there again, and fragments that are not."""
        if self._absences is None:
            self._absences = self._cache.absences()
            self._fragments = self._cache.fragments()
        if not (self._absences or self._fragments):
            return
        files = {join_path(scan.path, raw) for raw, _ in scan.files()}
        back = {absence_of_file(path) for path in files}
        back |= {absence_of_directory(join_path(scan.path, raw)) for raw in scan.subdirectories()}
        for mark in self._absences & back:
            self._cache.forget_look(mark)
        self._absences -= back
        gone = [path for path in self._fragments - files if path.rpartition(b"/")[0] == scan.path]
        for path in gone:
            self._cache.forget_fragment(path)
            self._fragments.remove(path)

    def _is_excluded(self, directory: bytes, name: bytes) -> bool:
        at = b""
        for part in [*directory.split(b"/"), name] if directory else [name]:
            if self._naming.excludes.match(at, part):
                return True
            at = join_path(at, part)
        return False

    def _path(self, directory: str) -> bytes:
        """Give the path of a directory that the index knows, following raw names from the root down."""
        prefix = self._naming.prefix
        if directory == root_directory(prefix):
            return b""
        parts: list[bytes] = []
        at = root_directory(prefix)
        for name in directory.removeprefix(prefix).split("/"):
            entry = self._cache.entry(at, f"{name}/")
            raw = entry.raw if entry else None
            parts.append(raw if raw is not None else self._naming.raw_name(name))
            at = f"{at}/{name}" if at else name
        return b"/".join(parts)


@dataclass(frozen=True, slots=True)
class Braked:
    """What came of the brake."""

    hold_reason: str
    """Why deletes are held; empty if none are."""
    approved: bool = False
    """Deletes that would be held were let through by a person's word."""


def _is_beneath(path: bytes, tops: AbstractSet[bytes]) -> bool:
    while tops and path:
        path = path.rpartition(b"/")[0]
        if path in tops:
            return True
    return False


def brake_of_a_part(brake: Brake, *, holds: bool) -> Brake:
    """Give the brake for a look at a part of the tree, which cannot tell how much is gone in all.

    It lets no more go than may always go, and none while a look at the whole tree `holds` some: the rest waits for the
    next such look.
    """
    return replace(brake, most=0 if holds else min(brake.files, brake.most))


def apply_brake(
    plan: Plan, brake: Brake, published: int, approved: int | None, hold_reason: str, *, recent: int = 0
) -> Braked:
    """Hold a plan's deletes if there are too many of them, those of the last day (`recent`) included.

    `approved` is the number of deletes that a person let through; `hold_reason` is why some are held already.
    """
    totals = plan.totals
    deletes = totals.deletes + totals.held
    total, before = deletes + recent, published + recent
    few = not deletes or brake.lets(total, before)
    if few and not hold_reason:
        return Braked("")
    if approved is not None and deletes <= approved:
        plan.release_deletes()
        return Braked("", approved=True)
    if hold_reason:
        hold_reason = f"{hold_reason} If they are to go: `siteferry approve`"
    if few:
        return Braked(hold_reason)
    plan.hold_deletes()
    share = 100 * total / before if before else 100.0
    earlier = f", with {recent} deleted within a day" if recent else ""
    return Braked(
        hold_reason
        or f"{deletes} of {published} published files are gone{earlier} ({share:.0f} %): more than may be deleted"
        " without a person's word; look at `siteferry sync --dry-run`, then `siteferry approve`"
    )


def settings_fingerprint(naming: Naming, symlinks: str) -> str:
    """Give a text that changes with any setting that changes what a comparison finds."""
    rules = [[rule.source, rule.destination] for rule in naming.copy_rules]
    return json.dumps([naming.prefix, naming.encoding, naming.excludes.globs, rules, naming.most_bytes, symlinks])
