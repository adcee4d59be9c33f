"""Uploads on their way: room is made as it is needed, in each phase; what nobody can come around ends them all."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from siteferry import uploads as module
from siteferry.diff import Excludes, Naming
from siteferry.errors import AccessError, RefusedError
from siteferry.plan import Action, Change
from siteferry.publish import Body, Published
from siteferry.tree import FileState
from siteferry.uploads import Uploads
from siteferry_contract.leaf import FileEntry


class Desk:
    """Publishes nothing; fails as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def read(self, directory: int, change: Change) -> Body:
        """Give as many bytes as the change says."""
        assert change.state is not None
        return Body(b"x" * change.state.size, 0, {})

    def publish(self, directory: int, change: Change, raw: bytes | None, *, force: bool, body: Any) -> Published:
        """Take it, or fail."""
        if self.error:
            raise self.error
        return Published(FileEntry(change.name, 1, 1, 1, 1), uploaded=True)


class Later:
    """An executor whose work is done when it is asked for."""

    def __init__(self) -> None:
        self.begun: list[Future[Any]] = []
        self._work: list[Callable[[], Any]] = []

    def submit(self, work: Callable[[], Any], /) -> "Future[Any]":
        """Keep it until somebody waits for it."""
        future: Future[Any] = Waited(work)
        self.begun.append(future)
        return future

    @property
    def waiting(self) -> int:
        """How many are not done."""
        return sum(not future.done() for future in self.begun)


class Waited(Future):  # type: ignore[type-arg]
    """Done when its result is asked for."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work

    def result(self, timeout: float | None = None) -> Any:
        """Do it."""
        if not self.done():
            self.set_result(self._work())
        return super().result(timeout)


def make(executor: Any, desk: Desk, files: int = 10_000) -> Uploads:
    """Make uploads of a large run."""
    naming = Naming("", "utf-8", Excludes(()))
    return Uploads(desk, executor, naming, lambda _: None, workers=2, files=files)  # type: ignore[arg-type]


def changes(number: int, size: int) -> list[Change]:
    """Plan to put so many files."""
    state = FileState(1, size, 1, 1)
    return [Change(Action.PUT, "new", "", b"", str(n), str(n).encode(), state) for n in range(number)]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """Give an open directory."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_no_more_is_read_than_there_is_room_for(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many files are begun as fit; then the oldest are waited for. Each phase has all the room."""
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    monkeypatch.setattr(module, "wait", lambda futures: [future.result() for future in futures])
    executor = Later()
    uploads = make(executor, Desk())
    for _ in range(2):
        slices = list(uploads.begin(directory, changes(80, 5_000), lambda: False))
        assert sum(len(part.changes) for part in slices) == 80
        assert executor.waiting == 2, "two slices of eight files have 80,000 bytes, a third would have 120,000"
        uploads.end()


def test_large_files_hold_up_nobody(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no room before they are put, and no small one waits for them."""
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    executor = Later()
    large = changes(3, module.SMALL_BYTES + 1)
    list(make(executor, Desk()).begin(directory, [*large, *changes(80, 5_000)], lambda: False))
    assert [future.done() for future in executor.begun[:3]] == [False] * 3


@pytest.mark.parametrize(("error", "begun"), [(AccessError("expired"), False), (RefusedError("no"), True)])
def test_what_no_upload_can_come_around_ends_them_all(directory: int, error: Exception, begun: bool) -> None:
    """After an error that is not one file's own, no further file is begun."""
    desk = Desk()
    desk.error = error
    with ThreadPoolExecutor(1) as executor:
        uploads = make(executor, desk)
        (first,) = uploads.begin(directory, changes(1, 1), lambda: False)
        assert first.outcomes.result() == [error]
        assert bool(list(uploads.begin(directory, changes(1, 1), lambda: False))) is begun
        uploads.end()
