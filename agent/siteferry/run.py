"""A run's effects: upload, commit, check, send jobs (DESIGN: section 5, steps 4 to 6; rules 5 and 6).

The order of calls in here is the protocol. Nothing is sent for what is not committed, nothing is committed that is not
in the bucket, and what is not known is never taken for done.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from siteferry.cache import Cache
from siteferry.commit import Committer, Edit, Edited, edit_directory, shows_on_page
from siteferry.errors import (
    FileChangedError,
    FileError,
    OutcomeUnknownError,
    RefusedError,
    StoreError,
    UnavailableError,
)
from siteferry.outbox import Outbox
from siteferry.plan import GONE_WITH_DIRECTORY, RECOVERED, Action, Change, Phase, Plan, is_index
from siteferry.publish import Published, Publisher, describe
from siteferry.report import Reporter, Summary
from siteferry.tree import FileState, Tree, is_regular_file
from siteferry_contract.keys import INDEX_NAME, Encoding, encode_name
from siteferry_contract.leaf import FileEntry, Leaf, SubdirectoryEntry

T = TypeVar("T")

MAX_CHECKS: Final = 8
"""Rounds of rule 5 for one key, before the run is left open for recovery."""
BATCH_LEAVES: Final = 25


class Executor(Protocol):
    """Runs uploads, some at a time."""

    def submit(self, work: Callable[[], T], /) -> "Future[T]":
        """Begin some work."""
        ...


@dataclass(slots=True)
class _Chunk:
    """Changes of one directory on their way."""

    changes: Sequence[Change]
    uploads: "list[tuple[Change, Future[Published]]]"
    close: Callable[[], object]


@dataclass(slots=True)
class _Batch:
    """Edited leaves that are committed together."""

    leaves: list[Leaf] = field(default_factory=list)
    edited: "list[tuple[str, Edited, Change, Published | None]]" = field(default_factory=list)
    """With the directory key."""
    directories: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """What a run works with."""

    tree: Tree
    cache: Cache
    committer: Committer
    publisher: Publisher
    outbox: Outbox
    executor: Executor
    reporter: Reporter
    encoding: Encoding
    run: int
    ahead: int
    """Uploads that are begun before the oldest chunk is waited for."""
    stopping: Callable[[], bool]


class Effects:
    """Carries out a plan."""

    def __init__(
        self,
        work: Work,
        summary: Summary,
        forced: Callable[[str], str | None],
        settled: Callable[[str], None],
    ) -> None:
        """Make it; `settled` hears of every key on which index and bucket agree after a commit."""
        self._w, self._summary, self._forced, self._settled = work, summary, forced, settled
        self._batch = _Batch()
        self.unfinished: set[str] = set()
        """Directories with something left to do."""
        self.unknown = False
        """Some outcome could not be settled: the head must stay open."""

    def carry_out(self, plan: Plan) -> None:
        """Make every change; raises SiteferryError, and then the head stays open."""
        for phase in Phase:
            flying: deque[_Chunk] = deque()
            try:
                for changes in plan.chunks(phase):
                    if self._w.stopping():
                        self._summary.stopped = True
                        break
                    flying.append(self._begin(changes))
                    while sum(len(chunk.uploads) for chunk in flying) > self._w.ahead or len(flying) > self._w.ahead:
                        self._finish(flying[0])
                        flying.popleft()
                while flying:
                    self._finish(flying[0])
                    flying.popleft()
            finally:
                # After an error: no upload may still be under way when the lease is given up.
                uploads = [future for chunk in flying for _, future in chunk.uploads]
                for future in uploads:
                    future.cancel()
                wait(uploads)
                for chunk in flying:
                    chunk.close()
            self._flush()
            self._w.outbox.flush()
            if self._summary.stopped:
                return

    # ---- uploads

    def _begin(self, changes: Sequence[Change]) -> _Chunk:
        puts = [change for change in changes if change.action is Action.PUT]
        if not puts:
            return _Chunk(changes, [], lambda: None)
        opened = self._w.tree.directory(puts[0].path)
        try:
            descriptor = opened.__enter__()
        except OSError:
            for change in puts:
                self._defer(change)
            return _Chunk([c for c in changes if c.action is not Action.PUT], [], lambda: None)
        uploads = [(change, self._w.executor.submit(self._uploader(descriptor, change))) for change in puts]
        return _Chunk(changes, uploads, functools.partial(opened.__exit__, None, None, None))

    def _uploader(self, descriptor: int, change: Change) -> Callable[[], Published]:
        old = self._w.cache.entry(change.directory, change.name)
        file = old if isinstance(old, FileEntry) else None
        force = self._forced(change.key) is not None
        raw = self._raw(change)
        return lambda: self._w.publisher.publish(descriptor, change, raw, file, force=force)

    def _raw(self, change: Change) -> bytes | None:
        try:
            return None if encode_name(change.name, self._w.encoding) == change.raw else change.raw
        except UnicodeEncodeError:
            return change.raw

    def _finish(self, chunk: _Chunk) -> None:
        """Wait for a chunk's uploads, and edit its leaves."""
        edits: dict[str, tuple[Change, Published | None]] = {}
        for change, future in chunk.uploads:
            published = self._settle(change, future.result)
            if published:
                edits[change.name] = (change, published)
        chunk.close()
        others = [change for change in chunk.changes if change.action is not Action.PUT]
        directory = chunk.changes[0].directory
        gone = any(change.reason == GONE_WITH_DIRECTORY for change in others)
        if gone and self._w.tree.is_directory(others[0].path):
            # It came back since the scan: the next run looks at it anew.
            self.unfinished.add(others[0].directory)
            return
        for change in self._still_gone(others, gone=gone):
            name = f"{change.name}/" if change.action in _DIRECTORY_ACTIONS else change.name
            if change.name:
                edits[name] = (change, None)
        if edits or gone or any(change.action is Action.CREATE for change in others):
            # What is recovered in a directory that the index does not know is no reason to make that directory.
            nowhere = all(change.reason == RECOVERED for change, _ in edits.values()) and bool(edits)
            self._edit(directory, edits, gone=gone or (nowhere and not self._w.cache.is_known(directory)))

    def _settle(self, change: Change, result: Callable[[], Published]) -> Published | None:
        try:
            published = result()
        except FileChangedError:
            self._defer(change)
            return None
        except FileError as error:
            self._fail(change, str(error))
            return None
        except StoreError as error:
            self.unknown = self.unknown or isinstance(error, OutcomeUnknownError)
            self._fail(change, describe(error))
            return None
        return published

    def _still_gone(self, changes: Sequence[Change], *, gone: bool) -> list[Change]:
        """Look once more (lstat) at what the scan found gone; a directory's end was looked at already."""
        deletes = [change for change in changes if change.action in _DELETES]
        if not deletes or gone:
            return list(changes)
        kept = [change for change in changes if change.action not in _DELETES]
        try:
            with self._w.tree.directory(deletes[0].path) as descriptor:
                for change in deletes:
                    if change.action is Action.DELETE and is_regular_file(descriptor, change.raw):
                        there = True
                    elif change.action is Action.DROP_DIRECTORY:
                        there = self._w.tree.is_directory(change.full_path)
                    else:
                        there = False
                    if there:
                        self.unfinished.add(change.directory)
                    else:
                        kept.append(change)
        except OSError:
            if not self._w.tree.is_directory(deletes[0].path):
                return list(changes)
            self.unfinished.add(deletes[0].directory)
        return kept

    def _defer(self, change: Change) -> None:
        self._summary.deferred += 1
        self.unfinished.add(change.directory)

    def _fail(self, change: Change, reason: str) -> None:
        self._summary.fail(change.full_path, reason)
        self._w.reporter.failed(change.full_path, reason)
        self.unfinished.add(change.directory)

    # ---- commits

    def _edit(self, directory: str, edits: dict[str, tuple[Change, Published | None]], *, gone: bool) -> None:
        if directory in self._batch.directories or len(self._batch.leaves) >= BATCH_LEAVES:
            self._flush()
        new = {name: Edit(self._entry(change, published)) for name, (change, published) in edits.items()}
        leaves, edited = edit_directory(self._w.cache, directory, new, self._w.run, gone=gone)
        self._batch.leaves += leaves
        self._batch.edited += [(directory, one, *edits[one.name]) for one in edited]
        self._batch.directories[directory] = None

    def _entry(self, change: Change, published: Published | None) -> FileEntry | SubdirectoryEntry | None:
        if published:
            return published.entry
        if change.action is Action.ADD_DIRECTORY:
            return SubdirectoryEntry(change.name, self._raw(change))
        return None

    def _flush(self) -> None:
        """Commit the batch, check its re-adds, and put its jobs in the outbox."""
        batch, self._batch = self._batch, _Batch()
        if not batch.directories:
            return
        self._w.committer.commit(batch.leaves)
        for directory, edited, change, published in batch.edited:
            self._jobs(directory, edited, change, published)
            if change.action is Action.DELETE or (published and published.uploaded):
                self._settled(change.key)
            self._tell(change, published)
        shown = {directory for directory, edited, _, _ in batch.edited if shows_on_page(edited)}
        bare = batch.directories.keys() - {directory for directory, *_ in batch.edited}
        for directory in batch.directories:
            if (directory in shown or directory in bare) and not self._has_own_index(directory):
                self._w.outbox.page(directory)
        self._check_re_adds(batch)
        self._w.outbox.flush_full()

    def _jobs(self, directory: str, edited: Edited, change: Change, published: Published | None) -> None:
        if edited.name.endswith("/"):
            return
        outbox, key = self._w.outbox, change.key
        if edited.new is None:
            outbox.delete(key)
        elif published and published.uploaded:
            outbox.copy(key)
            if isinstance(edited.old, FileEntry) or edited.had_delete or self._forced(key):
                outbox.invalidate(key)
        else:
            return
        if is_index(edited.name):
            outbox.page(directory)

    def _has_own_index(self, directory: str) -> bool:
        return isinstance(self._w.cache.entry(directory, INDEX_NAME), FileEntry)

    def _tell(self, change: Change, published: Published | None) -> None:
        summary = self._summary
        if published:
            summary.uploaded += published.uploaded
            summary.unchanged += not published.uploaded
            summary.uploaded_bytes += published.entry.size if published.uploaded else 0
            self._w.reporter.published(change, uploaded=published.uploaded)
        elif change.action is Action.DELETE:
            summary.deleted += 1
            self._w.reporter.deleted(change)

    # ---- rule 5

    def _check_re_adds(self, batch: _Batch) -> None:
        """Read back what was added where a delete once was: a late delete job may have hit it before the commit."""
        suspects = [
            (change, published.entry)
            for _, edited, change, published in batch.edited
            if published and edited.had_delete and not isinstance(edited.old, FileEntry)
        ]
        for _ in range(MAX_CHECKS):
            heads = [
                (change, self._w.executor.submit(functools.partial(self._w.publisher.is_ours, change.key, entry)))
                for change, entry in suspects
            ]
            bad = [change for change, ours in heads if not ours.result()]
            if not bad:
                return
            suspects = [again for change in bad if (again := self._again(change))]
        raise UnavailableError(
            f"{len(suspects)} re-added files are not in the bucket as committed, even after {MAX_CHECKS} uploads",
            "the run is left open and the next one recovers; if it comes again, something else deletes in the bucket",
        )

    def _again(self, change: Change) -> tuple[Change, FileEntry] | None:
        """Upload a re-added file again, or commit its delete if it is gone meanwhile."""
        now = self._look(change)
        published = None
        if now is not None:
            opened = self._w.tree.directory(now.path)
            try:
                with opened as descriptor:
                    published = self._w.publisher.publish(descriptor, now, self._raw(now), None, force=True)
            except (FileError, StoreError, OSError) as error:
                # Committed, but not in the bucket: only recovery may close this run.
                self.unknown = True
                reason = describe(error) if isinstance(error, RefusedError) else str(error)
                self._fail(change, reason)
                return None
        edit = {change.name: Edit(published.entry if published else None)}
        leaves, edited = edit_directory(self._w.cache, change.directory, edit, self._w.run)
        self._w.committer.commit(leaves)
        for one in edited:
            self._jobs(change.directory, one, change, published)
            if shows_on_page(one):
                self._w.outbox.page(change.directory)
        return (now, published.entry) if now and published else None

    def _look(self, change: Change) -> Change | None:
        try:
            with self._w.tree.directory(change.path) as descriptor:
                if not is_regular_file(descriptor, change.raw):
                    return None
                state = FileState.of(os.stat(change.raw, dir_fd=descriptor, follow_symlinks=False))
        except OSError:
            return None
        return Change(change.action, change.reason, change.directory, change.path, change.name, change.raw, state)


_DIRECTORY_ACTIONS: Final = frozenset({Action.ADD_DIRECTORY, Action.DROP_DIRECTORY})
_DELETES: Final = frozenset({Action.DELETE, Action.DROP_DIRECTORY})
