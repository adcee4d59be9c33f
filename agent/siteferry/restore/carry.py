"""Carries out a plan of a restore: removes, makes, downloads.

Small files are fetched by many threads and written by one (landing.py); a large one is one worker's from its first byte
to its name.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from siteferry.errors import DiskError, FileError, SiteferryError, StoreError
from siteferry.ports import Clock, Executor
from siteferry.restore.destination import Destination, Place, remove_directory, remove_file, set_time
from siteferry.restore.fetch import Fetched, Fetcher, RedirectError, StoppedError
from siteferry.restore.landing import Landing
from siteferry.restore.plan import Do, RestorePlan, Step
from siteferry.restore.report import RestoreReporter
from siteferry.restore.tally import HOPELESS, RestoreSummary, Tally

IN_SLICE: Final = 8
"""Small files that one worker fetches one after another: handing each over costs as much as a small download."""
SLICE_BYTES: Final = 256 * 1024
SMALL_BYTES: Final = 64 * 1024
MOST_SLICES: Final = 128
"""Under way at a time; each may hold a directory's descriptor."""

Outcome = Fetched | Exception | None
"""What came of a step; what is fetched is yet to be written, and otherwise None: it is done."""


@dataclass(slots=True)
class _Directory:
    """An open directory with work under way."""

    path: bytes
    place: Place | None
    """None: it cannot be opened."""
    uses: int = 0
    """Slices under way, and files that have no name yet."""
    last: bool = False
    """Nothing more comes."""


@dataclass(frozen=True, slots=True)
class _Slice:
    directory: _Directory
    steps: Sequence[Step]
    outcomes: "Future[list[Outcome]]"


@dataclass
class Carrier:
    """Carries out one plan."""

    destination: Destination
    fetcher: Fetcher
    executor: Executor
    clock: Clock
    reporter: RestoreReporter
    stopping: Callable[[], bool]
    workers: int
    _tally: Tally = field(init=False)
    _landing: Landing = field(init=False)
    _directory: _Directory | None = None
    """The one for which more may come."""

    def __post_init__(self) -> None:
        self._tally = Tally(self.reporter)
        self._landing = Landing(self.destination, self.clock, self._tally.take)

    def carry_out(self, plan: RestorePlan) -> RestoreSummary:
        """Do everything; a file that fails stops no other file, but every delete that can wait.

        Raises AccessError, DiskError and what else is beyond one file. What is done by then stays.
        """
        self._remove(plan.in_the_way())
        flying: deque[_Slice] = deque()
        try:
            for directory, place, steps in self._slices(plan.steps()):
                work = functools.partial(self._work, place, steps)
                directory.uses += 1
                flying.append(_Slice(directory, steps, self.executor.submit(work)))
                while len(flying) >= min(2 * self.workers, MOST_SLICES) or (flying and flying[0].outcomes.done()):
                    self._finish(flying.popleft())
            while flying:
                self._finish(flying.popleft())
            self._landing.finish()
            self._end_if_hopeless()
        finally:
            # After an error: nothing may still be written when this ends.
            self._end()
            for slice_ in flying:
                slice_.outcomes.cancel()
            for slice_ in flying:
                if not slice_.outcomes.cancelled():
                    slice_.outcomes.exception()
                self._close(slice_.directory)
            self._landing.abandon()
        self._sync_names()
        summary = self._tally.summary
        summary.owners_kept = self.destination.owners_kept
        if summary.failed:
            summary.not_deleted = sum(step.do is Do.DELETE for step in plan.deletions())
        elif not summary.stopped:
            self._remove(plan.deletions())
        return summary

    # ---- files

    def _slices(self, steps: Iterator[Step]) -> Iterator[tuple[_Directory, Place, list[Step]]]:
        """Cut the plan into what one worker does in one go; makes directories on the way."""
        waiting: list[Step] = []
        size = 0
        for step in steps:
            if self.stopping():
                self._tally.summary.stopped = True
                break
            if step.do is Do.MAKE:
                self._make(step)
                continue
            directory = self._directory
            if directory is None or step.wanted.directory != directory.path:
                if directory and directory.place and waiting:
                    yield directory, directory.place, waiting
                waiting, size = [], 0
                self._end()
                directory = self._directory = self._open(step.wanted.directory)
            if directory.place is None:
                self._tally.failed(step, "its directory cannot be opened")
                continue
            waiting.append(step)
            size += step.wanted.size
            if len(waiting) == IN_SLICE or size > SLICE_BYTES:
                yield directory, directory.place, waiting
                waiting, size = [], 0
        directory = self._directory
        if directory and directory.place and waiting and not self._tally.summary.stopped:
            yield directory, directory.place, waiting
        self._end()

    def _open(self, path: bytes) -> _Directory:
        try:
            return _Directory(path, self.destination.place(path))
        except OSError:
            return _Directory(path, None)

    def _end(self) -> None:
        if self._directory:
            self._directory.last = True
            self._close_if_done(self._directory)
            self._directory = None

    def _close(self, directory: _Directory) -> None:
        directory.uses -= 1
        self._close_if_done(directory)

    def _close_if_done(self, directory: _Directory) -> None:
        if directory.last and not directory.uses and directory.place:
            try:
                if not directory.place.together:
                    os.fsync(directory.place.descriptor)
            except OSError as error:
                self._tally.names_refused(directory.path, error)
            finally:
                os.close(directory.place.descriptor)
                directory.place = None

    def _finish(self, slice_: _Slice) -> None:
        try:
            for step, outcome in zip(slice_.steps, slice_.outcomes.result(), strict=True):
                if isinstance(outcome, Fetched):
                    self._end_if_hopeless()
                    directory = slice_.directory
                    assert directory.place
                    directory.uses += 1
                    self._landing.write(directory.place, step, outcome, functools.partial(self._close, directory))
                else:
                    self._tally.take(step, outcome)
        finally:
            self._close(slice_.directory)
        if self._landing.due:
            self._landing.finish()
        self._end_if_hopeless()

    def _sync_names(self) -> None:
        try:
            if self.destination.syncs:
                self.destination.sync()
        except OSError as error:
            self._tally.names_refused(b"", error)
            self._end_if_hopeless()

    # ---- what workers do

    def _work(self, place: Place, steps: Sequence[Step]) -> list[Outcome]:
        return [self._one(place, step) for step in steps]

    def _one(self, place: Place, step: Step) -> Outcome:
        wanted = step.wanted
        try:
            if step.do is Do.TIME:
                assert wanted.mtime_ns is not None
                set_time(place.descriptor, wanted.name, wanted.mtime_ns, step.found)
            elif wanted.size <= SMALL_BYTES and place.together:
                return self.fetcher.fetch(wanted)
            else:
                self.fetcher.tried(functools.partial(self._download, place, step))
        except (FileError, StoreError, OSError, SiteferryError, RedirectError, StoppedError) as error:
            return error
        return None

    def _download(self, place: Place, step: Step) -> None:
        with self.destination.new_file(place) as file:
            mtime_ns = self.fetcher.download(step.wanted, file.write)
            file.dress(step.wanted.name, mtime_ns, step.found)
            file.sync()
            file.appear(step.wanted.name, step.found)

    # ---- directories and deletions

    def _make(self, step: Step) -> None:
        try:
            self.destination.make(step.path)
        except OSError as error:
            self._tally.refused(step, "made", error)
            self._end_if_hopeless()

    def _remove(self, steps: Iterator[Step]) -> None:
        for step in steps:
            if self.stopping():
                self._tally.summary.stopped = True
                return
            try:
                with self.destination.directory(step.wanted.directory) as directory:
                    if step.do is Do.REMOVE:
                        remove_directory(directory, step.wanted.name)
                    else:
                        remove_file(directory, step.wanted.name, step.found)
                        self._tally.deleted(step)
            except FileError as error:
                self._tally.failed(step, str(error))
            except OSError as error:
                self._tally.refused(step, "removed", error)
                self._end_if_hopeless()

    def _end_if_hopeless(self) -> None:
        error = self._tally.hopeless
        if error:
            assert error.errno
            self._landing.finish()  # what is written may still get its name
            restored = self._tally.summary.restored
            raise DiskError(
                f"{self.destination.path}: {error.strerror}, after {restored:,} files were restored",
                f"{HOPELESS[error.errno]}; the same command goes on from here",
            )
