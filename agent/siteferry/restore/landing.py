"""Small files that are written and have no name yet: they wait for the disk together.

One thread writes them: a file is a handful of short system calls, around each of which a thread gives up the
interpreter and has to get it back. The threads that download hardly ever want it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from siteferry.errors import FileError
from siteferry.ports import Clock
from siteferry.restore.destination import Destination, Place, sync_together
from siteferry.restore.fetch import Fetched
from siteferry.restore.new_file import NewFile
from siteferry.restore.plan import Step

MOST: Final = 128
"""Files that wait, each with a descriptor, and at worst its directory's."""
SECONDS: Final = 1.0
"""After which they wait for no others."""


class _Waiting(NamedTuple):
    step: Step
    file: NewFile
    release: Callable[[], None]


@dataclass
class Landing:
    """Writes files, and gives them their names."""

    destination: Destination
    clock: Clock
    ended: Callable[[Step, Exception | None], None]
    """Hears of each file once what came of it is known; None: it is there."""
    _waiting: list[_Waiting] = field(default_factory=list)
    _since: float = 0.0
    """When the first of them was written."""

    def write(self, place: Place, step: Step, fetched: Fetched, release: Callable[[], None]) -> None:
        """Write a file in a directory that stays open until it is released."""
        try:
            file = self.destination.new_file(place)
        except OSError as error:
            release()
            self.ended(step, error)
            return
        try:
            file.write(fetched.data)
            file.dress(step.wanted.name, fetched.mtime_ns, step.found)
        except (FileError, OSError) as error:
            file.close()
            release()
            self.ended(step, error)
            return
        if not self._waiting:
            self._since = self.clock.elapsed()
        self._waiting.append(_Waiting(step, file, release))

    @property
    def due(self) -> bool:
        """Whether those that wait have waited enough."""
        waiting = self._waiting
        return len(waiting) >= MOST or (bool(waiting) and self.clock.elapsed() - self._since >= SECONDS)

    def finish(self) -> None:
        """Have those that wait on disk, and give them their names."""
        waiting, outcomes = self._waiting, list[tuple[Step, Exception | None]]()
        if not waiting:
            return
        synced = sync_together(self.destination, [one.file for one in waiting])
        for one, error in zip(waiting, synced, strict=True):
            outcomes.append((one.step, error or _appeared(one)))
            one.file.close()
            one.release()
        self._waiting = []
        for step, outcome in outcomes:
            self.ended(step, outcome)

    def abandon(self) -> None:
        """Take back those that wait."""
        for one in self._waiting:
            one.file.close()
            one.release()
        self._waiting = []


def _appeared(one: _Waiting) -> Exception | None:
    try:
        one.file.appear(one.step.wanted.name, one.step.found)
    except (FileError, OSError) as error:
        return error
    return None
