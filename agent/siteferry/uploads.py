"""Files on their way to the bucket: small ones are read by one thread, and put by many.

Reading a small file is a handful of short system calls, around each of which a thread gives up the interpreter and has
to get it back. With one reader the others hardly ever want it: a first sync takes two fifths less CPU time.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final

from siteferry.diff import Forced, Naming
from siteferry.errors import FileError, StoreError
from siteferry.plan import Action, Change
from siteferry.ports import Executor
from siteferry.publish import Body, Published, Publisher

SMALL_BYTES: Final = 64 * 1024
MOST_BYTES: Final = 8 * 1024 * 1024
"""Read, and not yet put."""
MOST_IN_SLICE: Final = 8
"""Small files that one worker puts one after another, because handing each over costs as much as a small upload."""
SLICES_PER_WORKER: Final = 4
"""That a run has at least, if files are to be uploaded in slices: otherwise workers would be idle."""

Outcome = Published | Exception
"""What came of one upload."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one worker does in one go."""

    changes: Sequence[Change]
    outcomes: "Future[list[Outcome]]"


@dataclass(frozen=True, slots=True)
class _Upload:
    change: Change
    raw: bytes | None
    force: bool
    body: Body | None = None
    """Of a small file."""
    error: Exception | None = None
    """Why it could not be read."""


class Uploads:
    """The uploads of a run. Whatever happens, `end` must be called before the lease is given up."""

    def __init__(
        self, publisher: Publisher, executor: Executor, naming: Naming, forced: Forced, *, workers: int, files: int
    ) -> None:
        """Make it for a run of so many uploads, `workers` of which are made at a time."""
        self._publisher, self._executor, self._naming, self._forced = publisher, executor, naming, forced
        self._in_slice = max(1, min(files // (SLICES_PER_WORKER * workers), MOST_IN_SLICE))
        self._begun: list[Future[list[Outcome]]] = []
        self._holding: deque[tuple[Future[list[Outcome]], int]] = deque()
        """Those that hold the bytes of small files, with their number."""
        self._bytes = 0
        self._hopeless = False
        """Something is wrong that no other upload can come around, such as a lost lease."""
        self.ahead = SLICES_PER_WORKER * workers * self._in_slice
        """Files that are worth beginning before others are finished."""

    def begin(self, directory: int, changes: Sequence[Change], stopping: Callable[[], bool]) -> Iterator[Slice]:
        """Begin to upload files of an open directory, which stays open until they are uploaded; fewer when stopping."""
        for part in self._slices(changes):
            if self._hopeless or stopping():
                return
            uploads = [self._prepare(directory, change) for change in part]
            size = sum(len(upload.body.data) for upload in uploads if upload.body)
            self._make_room(size)
            outcomes = self._executor.submit(functools.partial(self._upload, directory, uploads))
            self._begun.append(outcomes)
            if size:  # a large file, which holds up nobody, is read while it is put
                self._holding.append((outcomes, size))
                self._bytes += size
            yield Slice(part, outcomes)

    def end(self) -> None:
        """Take back what was not begun, and wait for the rest."""
        wait([outcomes for outcomes in self._begun if not outcomes.cancel()])
        self._begun.clear()
        self._holding.clear()
        self._bytes = 0

    # ----

    def _slices(self, changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
        small: list[Change] = []
        for change in changes:
            if _is_small(change) or change.action is Action.HEADERS:
                small.append(change)
            else:
                yield [change]
        for start in range(0, len(small), self._in_slice):
            yield small[start : start + self._in_slice]

    def _prepare(self, directory: int, change: Change) -> _Upload:
        raw = self._naming.raw_if_differs(change.name, change.raw)
        force = self._forced(change.key) is not None
        if not _is_small(change) or change.action is Action.HEADERS:
            return _Upload(change, raw, force)
        try:
            return _Upload(change, raw, force, self._publisher.read(directory, change))
        except Exception as error:  # noqa: BLE001  judged where the run is kept, one by one
            return _Upload(change, raw, force, error=error)

    def _make_room(self, size: int) -> None:
        while self._holding and (self._bytes + size > MOST_BYTES or self._holding[0][0].done()):
            outcomes, held = self._holding.popleft()
            outcomes.result()
            self._bytes -= held
        if len(self._begun) > 2 * len(self._holding) + MOST_IN_SLICE:
            self._begun = [outcomes for outcomes in self._begun if not outcomes.done()]

    def _upload(self, directory: int, uploads: Sequence[_Upload]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for upload in uploads:
            try:
                if upload.error:
                    raise upload.error
                outcomes.append(self._one(directory, upload))
            except (FileError, StoreError) as error:
                outcomes.append(error)
            except Exception as error:  # noqa: BLE001  as above
                outcomes.append(error)
                self._hopeless = True
        return outcomes

    def _one(self, directory: int, upload: _Upload) -> Published:
        change, raw = upload.change, upload.raw
        if change.action is Action.COMPARE:
            return self._publisher.compare(directory, change, raw, body=upload.body)
        if change.action is Action.HEADERS:
            return self._publisher.publish_headers(directory, change, raw)
        return self._publisher.publish(directory, change, raw, force=upload.force, body=upload.body)


def _is_small(change: Change) -> bool:
    return change.state is not None and change.state.size <= SMALL_BYTES
