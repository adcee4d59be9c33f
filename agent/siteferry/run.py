"""A run's effects: upload, commit, check, send jobs (docs/design.md: a run, steps 4 to 6; rules 5 and 6).

The order of calls in here is the protocol. Nothing is sent for what is not committed, nothing is committed that is not
in the bucket, and what is not known is never taken for done.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from siteferry.commit import Edit, edit_directory, shows_on_page
from siteferry.errors import FileChangedError, FileError, OutcomeUnknownError, StoreError
from siteferry.links import NOT_THERE
from siteferry.plan import EXCLUDED, READ, UPLOADS, WITH_DIRECTORY, Action, Change, Phase, Plan
from siteferry.publish import Published, adopted, describe
from siteferry.recheck import Recheck
from siteferry.report import Summary
from siteferry.uploads import Outcome, Uploads
from siteferry.work import Batch, Chunk, Work
from siteferry_contract.keys import INDEX_NAME
from siteferry_contract.leaf import FileEntry, SubdirectoryEntry

BATCH_LEAVES: Final = 25
MOST_CHUNKS: Final = 64
"""Directories that are open for uploads at a time: each holds a descriptor."""


class Effects:
    """Carries out a plan."""

    def __init__(self, work: Work, summary: Summary) -> None:
        self._w, self._summary = work, summary
        self._batch = Batch()
        self._came_back: set[str] = set()
        """Directories that were planned as gone, but are there again."""
        self.unfinished: set[str] = set()
        """Directories with something left to do."""
        self.forced_left = False
        """Something that had to be put was not."""
        self.owed: set[tuple[str, str]] = set()
        """Objects that did not get their other headers: directory key and name."""
        self.unknown = False
        """Some outcome could not be settled: the head must stay open."""

    @property
    def work(self) -> Work:
        """What it works with."""
        return self._w

    def carry_out(self, plan: Plan) -> None:
        """Make every change; raises SiteferryError, and then the head stays open."""
        w = self._w
        uploads = Uploads(w.publisher, w.executor, w.naming, w.forced, workers=w.workers, files=plan.totals.files)
        for phase in Phase:
            self._carry_out(plan.chunks(phase), uploads)
            self._flush()
            self._w.outbox.flush()
            if self._summary.stopped:
                return

    def doubt_deletes(self) -> None:
        """Have every leaf that is there count as one that had a delete."""
        w = self._w
        left = w.cache.without_a_delete()
        for start in range(0, len(left), BATCH_LEAVES):
            leaves = (w.cache.leaf(*key) for key in left[start : start + BATCH_LEAVES])
            w.committer.commit([replace(leaf, run=w.run, had_delete=True) for leaf in leaves])

    def _carry_out(self, chunks: Iterable[Sequence[Change]], uploads: Uploads) -> None:
        flying: deque[Chunk] = deque()
        try:
            for changes in chunks:
                if self._w.stopping():
                    self._summary.stopped = True
                    break
                flying.append(chunk := self._open(changes))
                chunk.uploads.extend(uploads.begin(chunk.directory, chunk.puts, self._w.stopping))
                if sum(len(part.changes) for part in chunk.uploads) < len(chunk.puts):
                    self._summary.stopped = True
                    break
                while sum(len(chunk.puts) for chunk in flying) > uploads.ahead or len(flying) > MOST_CHUNKS:
                    self._finish(flying[0])
                    flying.popleft()
            while flying:
                self._finish(flying[0])
                flying.popleft()
        finally:
            # After an error: no upload may still be under way when the lease is given up.
            uploads.end()
            for chunk in flying:
                self._close(chunk)

    # ---- uploads

    def _open(self, changes: Sequence[Change]) -> Chunk:
        puts = [change for change in changes if change.action in UPLOADS]
        if not puts:
            return Chunk(changes)
        try:
            return Chunk(changes, puts, self._w.tree.open(puts[0].path))
        except OSError as error:
            for change in puts:
                if change.action is Action.HEADERS:
                    continue
                if error.errno in NOT_THERE:
                    self._defer(change)
                else:
                    self._fail(change, f"its directory cannot be opened: {error.strerror}")
            # For other headers of an object its directory is not needed.
            kept = [change for change in changes if change.action not in READ]
            return Chunk(kept, [change for change in kept if change.action is Action.HEADERS])

    def _close(self, chunk: Chunk) -> None:
        if chunk.directory >= 0:
            self._w.tree.close_directory(chunk.directory)
            chunk.directory = -1

    def _finish(self, chunk: Chunk) -> None:
        """Wait for a chunk's uploads, and edit its leaves."""
        edits = self._uploaded(chunk)
        self._close(chunk)
        if not chunk.changes:
            return
        others = [change for change in chunk.changes if change.action not in {*UPLOADS, Action.ADOPT}]
        ending = any(change.reason in WITH_DIRECTORY for change in others)
        directory = chunk.changes[0].directory
        if ending and self._is_back(others[0]):
            self._came_back.add(directory)
            self.unfinished.add(directory)
            self.forced_left = True  # what came back has the headers that it had
            return
        for change in others if ending else self._still_gone(others):
            if change.name:
                directory_action = change.action in (Action.ADD_DIRECTORY, Action.DROP_DIRECTORY)
                edits[f"{change.name}/" if directory_action else change.name] = (change, None)
        actions = {change.action for change in others}
        if edits or actions & {Action.CREATE, Action.GONE}:
            # Only with its last chunk a directory is gone: until then a run that ends early finds it again.
            gone = Action.GONE in actions or self._is_nowhere(directory, edits)
            self._edit(directory, edits, gone=gone, came_or_went=gone or Action.CREATE in actions)

    def _uploaded(self, chunk: Chunk) -> dict[str, tuple[Change, Published | None]]:
        """Wait for a chunk's uploads; gives what is to be entered in its leaves."""
        edits: dict[str, tuple[Change, Published | None]] = {}
        for part in chunk.uploads:
            for change, outcome in zip(part.changes, part.outcomes.result(), strict=True):
                published = self._settle(change, outcome)
                self._w.reporter.transferred(change)
                if published and published.headers_only and change.action is Action.HEADERS:
                    if published.uploaded or self._w.recovering:
                        self._w.outbox.follow_headers(change)
                    self._tell(change, published)
                elif published:
                    edits[change.name] = (change, published)
        for change in chunk.changes:
            if change.action is Action.ADOPT:
                raw = self._w.naming.raw_if_differs(change.name, change.raw)
                edits[change.name] = (change, adopted(change, raw))
        return edits

    def _is_back(self, change: Change) -> bool:
        return change.reason not in EXCLUDED and self._w.tree.is_directory(change.path)

    def _is_nowhere(self, directory: str, edits: dict[str, tuple[Change, Published | None]]) -> bool:
        """Tell whether only strays are edited, in a directory that the index does not know: no reason to make it."""
        only_strays = bool(edits) and all(change.action is Action.DELETE for change, _ in edits.values())
        return only_strays and not self._w.cache.is_known(directory)

    def _settle(self, change: Change, outcome: Outcome) -> Published | None:
        match outcome:
            case Published():
                return outcome
            case FileChangedError():
                self._defer(change)
            case FileError():
                self._fail(change, str(outcome))
            case StoreError():
                self.unknown = self.unknown or isinstance(outcome, OutcomeUnknownError)
                self._fail(change, describe(outcome))
            case _:
                raise outcome
        return None

    def _still_gone(self, changes: Sequence[Change]) -> list[Change]:
        """Look once more (lstat) at what the scan found gone."""
        kept = []
        for change in changes:
            if change.reason in EXCLUDED:
                there = False
            elif change.action is Action.DELETE:
                there = self._w.tree.is_regular_file(change.path, change.raw)
            elif change.action is Action.DROP_DIRECTORY:
                there = self._w.tree.is_directory(change.full_path) or self._came_back_in(change.key)
            else:
                there = False
            if there:
                self.unfinished.add(change.directory)
                self.forced_left = True
            else:
                kept.append(change)
        return kept

    def _came_back_in(self, directory: str) -> bool:
        return any(back == directory or back.startswith(f"{directory}/") for back in self._came_back)

    def _defer(self, change: Change) -> None:
        self._summary.deferred += 1
        self._leave(change)

    def _fail(self, change: Change, reason: str) -> None:
        self._summary.fail(change.full_path, reason)
        self._leave(change)
        self._w.reporter.failed(change.full_path, reason)

    def _leave(self, change: Change) -> None:
        self._w.reporter.left_over(change.full_path, change.state)
        if change.action is Action.HEADERS:
            self.owed.add((change.directory, change.name))
            return
        self.unfinished.add(change.directory)
        self.forced_left = self.forced_left or self._w.forced(change.key) is not None

    # ---- commits

    def _edit(
        self, directory: str, edits: dict[str, tuple[Change, Published | None]], *, gone: bool, came_or_went: bool
    ) -> None:
        if directory in self._batch.directories or len(self._batch.leaves) >= BATCH_LEAVES:
            self._flush()
        new = {name: Edit(self._entry(change, published)) for name, (change, published) in edits.items()}
        leaves, edited = edit_directory(self._w.cache, directory, new, self._w.run, gone=gone, rebuilt=self._w.rebuilt)
        self._batch.leaves += leaves
        self._batch.edited += [(directory, one, *edits[one.name]) for one in edited]
        self._batch.directories.add(directory)
        if came_or_went:
            self._batch.came_or_went.add(directory)

    def _entry(self, change: Change, published: Published | None) -> FileEntry | SubdirectoryEntry | None:
        if published:
            return published.entry
        if change.action is Action.ADD_DIRECTORY:
            return SubdirectoryEntry(change.name, self._w.naming.raw_if_differs(change.name, change.raw))
        return None

    def _flush(self) -> None:
        """Commit the batch, put its jobs in the outbox, and check its re-adds."""
        w = self._w
        batch, self._batch = self._batch, Batch()
        if not batch.directories:
            return
        w.committer.commit(batch.leaves)
        other_listing = set(batch.came_or_went)
        for directory, edited, change, published in batch.edited:
            uploaded = published is not None and published.uploaded
            w.outbox.follow(edited, change, uploaded=uploaded, forced=w.forced(change.key) is not None)
            if change.action is Action.DELETE or uploaded:
                w.agreed(change.key)
            if uploaded and w.naming.may_collide(change.name) and w.cache.is_known(change.key):
                w.outbox.redirect(change.key)  # a directory has this key too: its redirect may be cached
            if shows_on_page(edited):
                other_listing.add(directory)
            self._tell(change, published)
        for directory in sorted(other_listing):
            if not isinstance(w.cache.entry(directory, INDEX_NAME), FileEntry):
                w.outbox.page(directory)
        for directory in sorted(batch.came_or_went):
            w.outbox.redirect(directory)
        self._recheck(batch)
        w.outbox.flush_full()

    def _recheck(self, batch: Batch) -> None:
        re_adds = [
            (change, published)
            for _, edited, change, published in batch.edited
            if published and edited.had_delete and not (edited.born or isinstance(edited.old, FileEntry))
        ]
        if not re_adds:
            return
        w = self._w
        recheck = Recheck(w.tree, w.cache, w.committer, w.publisher, w.outbox, w.executor, w.naming, w.settled, w.run)
        for change, reason in recheck.check(re_adds):
            # Committed, but not in the bucket: only recovery may close this run.
            self.unknown = True
            self._fail(change, reason)

    def _tell(self, change: Change, published: Published | None) -> None:
        summary = self._summary
        if published:
            summary.uploaded += published.uploaded and not published.headers_only
            kept = change.action is Action.COMPARE and not (published.uploaded and not published.headers_only)
            summary.adopted += kept or change.action is Action.ADOPT
            summary.headers += published.headers_only and published.uploaded
            summary.unchanged += not published.uploaded and change.action is Action.PUT
            put = published.uploaded and not published.headers_only
            summary.uploaded_bytes += published.entry.size if put else 0
            if published.uploaded or not published.headers_only:
                self._w.reporter.published(change, uploaded=put)
        elif change.action is Action.DELETE:
            summary.deleted += 1
            self._w.reporter.deleted(change)
