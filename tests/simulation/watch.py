"""What must hold at every moment: nothing is deleted that is there, nor too much without a person's word."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from siteferry.diff import Excludes
from siteferry_contract.copy_rules import CopyRule, is_reserved
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import path_to_key
from tests.simulation.disk import Disk
from tests.simulation.scheduler import Scheduler
from tests.simulation.settings import EXCLUDES, PERCENT


@dataclass(slots=True)
class Watch:
    """Looks at every commit."""

    scheduler: Scheduler
    disk: Disk
    brake: int
    """Files that may be deleted within a day without a person's word."""
    violated: Callable[[str], None]
    excludes: Collection[int]
    """Which of `EXCLUDES` are in use at any time."""
    copy_rules: Collection[Sequence[CopyRule]]
    """All that are deployed at any time."""
    approved: bool = False
    """Somebody approved deletes; from then on their number is not judged."""
    deleted: int = 0
    in_run: int = 0
    published: int = 0
    """Files in the index when the run began."""
    added: set[str] = field(default_factory=set)
    """In the run: if such a file is gone again at once, that is no delete that anybody would miss."""

    def hear_of_an_approval(self) -> None:
        """Judge no number any more."""
        self.approved = True

    def opened(self, files: int) -> None:
        """Hear that a run is opened."""
        self.published, self.in_run = files, 0
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
        if not self.approved and self.deleted > self.brake and 100 * self.deleted > PERCENT * site:
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
        if any(is_reserved(within, rules) for rules in self.copy_rules):
            return True
        parts = path.split(b"/")
        return any(
            Excludes(EXCLUDES[number]).match(b"/".join(parts[:n]), parts[n])
            for number in self.excludes
            for n in range(len(parts))
        )
