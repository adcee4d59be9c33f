"""What must hold at every moment: nothing is deleted that is there, or too much unasked; one agent holds the site."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from siteferry.diff import Excludes
from siteferry.head import Head
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import path_to_key
from tests.simulation.disk import Disk
from tests.simulation.schedule import Schedule
from tests.simulation.scheduler import Scheduler
from tests.simulation.settings import EXCLUDES, PERCENT


@dataclass(slots=True)
class Watch:
    """Looks at every commit."""

    scheduler: Scheduler
    disk: Disk
    schedule: Schedule
    violated: Callable[[str], None]
    count_files: Callable[[], int]
    """Counts those in the index."""
    approved: bool = False
    """Somebody approved deletes; from then on their number is not judged."""
    deleted: int = 0
    in_run: int = 0
    published: int = 0
    """Files in the index when the run began."""
    beaten: float = 0.0
    """When the head was last written."""
    added: set[str] = field(default_factory=set)
    """In the run: if such a file is gone again at once, that is no delete that anybody would miss."""

    def hear_of_an_approval(self) -> None:
        """Judge no number any more."""
        self.approved = True

    def hear_of_a_loss(self) -> None:
        """Count anew: with the index what the brake counts is lost."""
        self.deleted = 0

    def written(self, before: Head, after: Head) -> None:
        """Hear of a write of the head."""
        if after.epoch != before.epoch or after.run < before.run:
            self.violated(f"HEAD: it goes back from run {before.run} to run {after.run}")
        held, now = before.lease, self.scheduler.now
        if held and after.lease and after.lease.token != held.token:
            if after.open != before.open:
                self.violated(f"HEAD: whoever takes the lease over makes of open run {before.open} {after.open}")
            own = after.lease.owner == held.owner and before.open is None
            if not own and now - self.beaten < held.seconds:
                self.violated(f"LEASE: taken from {held.owner}, which renewed it {now - self.beaten:.0f} s before")
        self.beaten = now
        if after.run != before.run:
            self.published, self.in_run = self.count_files(), 0
            self.added.clear()

    def committed(self, before: Mapping[str, object], after: Mapping[str, object]) -> None:
        """Hear of the files in the index before and after a commit."""
        self.added |= after.keys() - before.keys()
        gone = before.keys() - after.keys()
        if not gone:
            return
        self.deleted += len(gone - self.added)
        self.in_run += len(gone - self.added)
        site = self.published + self.deleted - self.in_run
        if not self.approved and self.deleted > self.schedule.brake and 100 * self.deleted > PERCENT * site:
            self.violated(f"BRAKE: {self.deleted} of {site} files were deleted without a person's word")
        process = self.scheduler.process
        if process and self.disk.encoding != "auto" and not (self.disk.unmounted and self.approved):
            for path, since in self.disk.since.items():
                if since < process.born and self._key(path) in gone and not self._excluded(path):
                    self.violated(f"DELETED ALIVE: {path!r} has been there all the while")

    def _key(self, path: bytes) -> str:
        try:
            return path_to_key(path, prefix=self.disk.prefix, encoding=self.disk.encoding)
        except ContractError:
            return ""

    def _excluded(self, path: bytes) -> bool:
        within = self._key(path).removeprefix(self.disk.prefix)
        if any(is_reserved(within, rules) for rules in self.schedule.copy_rules):
            return True
        parts = path.split(b"/")
        return any(
            Excludes(EXCLUDES[number]).match(b"/".join(parts[:n]), parts[n])
            for number in {0, *(number for _, number in self.schedule.excludes)}
            for n in range(len(parts))
        )
