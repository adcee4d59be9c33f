"""Carries out a plan of a restore: removes, makes, downloads."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from siteferry.errors import FileError, RefusedError, SiteferryError, StoreError, ThrottledError
from siteferry.names import join_path
from siteferry.ports import Archive, Clock, Executor
from siteferry.restore.destination import Destination, remove_directory, remove_file, set_time
from siteferry.restore.evidence import Digest
from siteferry.restore.from_bucket import mtime_of
from siteferry.restore.plan import Do, RestorePlan, Step
from siteferry.restore.report import RestoreReporter
from siteferry_contract.objects import is_generated

TRIES: Final = 4
BACK_OFF_SECONDS: Final = 0.5
IN_SLICE: Final = 8
"""Small files that one worker downloads one after another: handing each over costs as much as a small download."""
SMALL_BYTES: Final = 256 * 1024
MOST_SLICES: Final = 128
"""Under way at a time; each may hold a directory's descriptor."""

Outcome = Exception | None


@dataclass(slots=True)
class RestoreSummary:
    """What came of it."""

    restored: int = 0
    restored_bytes: int = 0
    times: int = 0
    deleted: int = 0
    failed: int = 0
    skipped: int = 0
    """Objects that turned out to be generated."""
    stopped: bool = False


@dataclass(slots=True)
class _Directory:
    """An open directory with downloads under way."""

    path: bytes
    descriptor: int
    slices: int = 0
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
    archive: Archive
    executor: Executor
    clock: Clock
    reporter: RestoreReporter
    stopping: Callable[[], bool]
    workers: int
    summary: RestoreSummary = field(default_factory=RestoreSummary)

    def carry_out(self, plan: RestorePlan) -> RestoreSummary:
        """Do everything; a file that fails stops no other. Raises AccessError and what else is beyond one file."""
        self._remove(plan.in_the_way())
        flying: deque[_Slice] = deque()
        try:
            for directory, steps in self._slices(plan.steps()):
                work = functools.partial(self._work, directory.descriptor, steps)
                directory.slices += 1
                flying.append(_Slice(directory, steps, self.executor.submit(work)))
                while len(flying) >= min(2 * self.workers, MOST_SLICES) or (flying and flying[0].outcomes.done()):
                    self._finish(flying.popleft())
            while flying:
                self._finish(flying.popleft())
        finally:
            # After an error: nothing may still be written when this ends.
            for slice_ in flying:
                slice_.outcomes.cancel()
            for slice_ in flying:
                if not slice_.outcomes.cancelled():
                    slice_.outcomes.exception()
                self._close(slice_.directory, failed=True)
        if not self.summary.stopped:
            self._remove(plan.deletions())
        return self.summary

    # ---- files

    def _slices(self, steps: Iterator[Step]) -> Iterator[tuple[_Directory, list[Step]]]:
        """Cut the plan into what one worker does in one go; makes directories on the way."""
        directory: _Directory | None = None
        waiting: list[Step] = []
        for step in steps:
            if self.stopping():
                self.summary.stopped = True
                break
            if step.do is Do.MAKE:
                self._make(step)
                continue
            if directory is None or step.wanted.directory != directory.path:
                if directory and waiting:
                    yield directory, waiting
                waiting = []
                self._end(directory)
                directory = self._open(step.wanted.directory)
            if directory.descriptor < 0:
                self._fail(step, "its directory cannot be opened")
                continue
            waiting.append(step)
            if len(waiting) == IN_SLICE or step.wanted.size > SMALL_BYTES:
                yield directory, waiting
                waiting = []
        if directory and waiting and not self.summary.stopped:
            yield directory, waiting
        self._end(directory)

    def _open(self, path: bytes) -> _Directory:
        try:
            return _Directory(path, self.destination.open(path))
        except OSError:
            return _Directory(path, -1)

    def _end(self, directory: _Directory | None) -> None:
        if directory:
            directory.last = True
            self._close_if_done(directory)

    def _close(self, directory: _Directory, *, failed: bool = False) -> None:
        directory.slices -= 1
        directory.last = directory.last or failed
        self._close_if_done(directory)

    def _close_if_done(self, directory: _Directory) -> None:
        if directory.last and not directory.slices and directory.descriptor >= 0:
            os.fsync(directory.descriptor)
            os.close(directory.descriptor)
            directory.descriptor = -1

    def _finish(self, slice_: _Slice) -> None:
        try:
            outcomes = slice_.outcomes.result()
        finally:
            self._close(slice_.directory)
        for step, outcome in zip(slice_.steps, outcomes, strict=True):
            if isinstance(outcome, _GeneratedError):
                self.summary.skipped += 1
            elif outcome is None:
                self.summary.restored += step.do is Do.GET
                self.summary.restored_bytes += step.wanted.size if step.do is Do.GET else 0
                self.summary.times += step.do is Do.TIME
                self.reporter.done(step)
            elif isinstance(outcome, (FileError, StoreError, OSError)):
                self._fail(step, _describe(outcome))
            else:
                raise outcome

    def _work(self, directory: int, steps: Sequence[Step]) -> list[Outcome]:
        return [self._one(directory, step) for step in steps]

    def _one(self, directory: int, step: Step) -> Outcome:
        try:
            if step.do is Do.TIME:
                assert step.wanted.mtime_ns is not None
                set_time(directory, step.wanted.name, step.wanted.mtime_ns, step.found)
            else:
                self._get(directory, step)
        except (FileError, StoreError, OSError, SiteferryError, _GeneratedError) as error:
            return error
        return None

    def _get(self, directory: int, step: Step) -> None:
        for attempt in range(TRIES):
            try:
                self._download(directory, step)
            except ThrottledError:
                if attempt == TRIES - 1 or self.stopping():
                    raise
                self.clock.wait(BACK_OFF_SECONDS * 2**attempt)
            else:
                return

    def _download(self, directory: int, step: Step) -> None:
        wanted = step.wanted
        content = self.archive.get(wanted.key, wanted.size, wanted.version)
        if is_generated(content.metadata):
            raise _GeneratedError
        if content.size != wanted.size:
            raise _not_as_known(f"it has {content.size} bytes, not {wanted.size}")
        digest = Digest(wanted)
        with self.destination.new_file(directory) as file:
            for chunk in content.chunks:
                digest.update(chunk)
                file.write(chunk)
            if digest.agrees(self.archive) is False:
                raise _not_as_known("it has other bytes")
            mtime_ns = wanted.mtime_ns if wanted.mtime_ns is not None else mtime_of(content.metadata)
            file.place(wanted.name, mtime_ns, step.found)

    # ---- directories and deletions

    def _make(self, step: Step) -> None:
        try:
            self.destination.make(step.path)
        except OSError as error:
            self._fail(step, f"cannot be made: {error.strerror}")

    def _remove(self, steps: Iterator[Step]) -> None:
        for step in steps:
            if self.stopping():
                self.summary.stopped = True
                return
            try:
                with self.destination.directory(step.wanted.directory) as directory:
                    if step.do is Do.REMOVE:
                        remove_directory(directory, step.wanted.name)
                    else:
                        remove_file(directory, step.wanted.name, step.found)
                        self.summary.deleted += 1
                        self.reporter.done(step)
            except FileError as error:
                self._fail(step, str(error))
            except OSError as error:
                self._fail(step, f"cannot be removed: {error.strerror}")

    def _fail(self, step: Step, reason: str) -> None:
        self.summary.failed += 1
        self.reporter.failed(join_path(step.wanted.directory, step.wanted.name), reason)


class _GeneratedError(Exception):
    """The object is no file's: a Lambda made it."""


def _not_as_known(how: str) -> RefusedError:
    return RefusedError(
        f"the object is not as the index has it: {how}; if nobody publishes just now, `siteferry audit` tells more"
    )


def _describe(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be written: {error.strerror}"
    return str(error)
