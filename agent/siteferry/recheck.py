"""Rule 5: what was added where a delete once was is read back after the commit.

A late delete job may have hit the object between its upload and the commit of its entry. From the commit on, handlers
see the key as live and take their deletes back; before it, only this check can notice.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from siteferry.cache import Cache
from siteferry.commit import Committer, Edit, edit_directory, shows_on_page
from siteferry.diff import Naming, Settled
from siteferry.errors import FileError, StoreError, UnavailableError
from siteferry.outbox import Outbox
from siteferry.plan import Change
from siteferry.ports import Executor
from siteferry.publish import Published, Publisher
from siteferry.tree import Tree, file_state

ROUNDS: Final = 8
"""For one key, before the run is left open for recovery."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """Reads re-adds back, and uploads them again until they are there."""

    tree: Tree
    cache: Cache
    committer: Committer
    publisher: Publisher
    outbox: Outbox
    executor: Executor
    naming: Naming
    settled: Settled
    run: int

    def check(self, re_adds: Sequence[tuple[Change, Published]]) -> Iterator[tuple[Change, str]]:
        """Check committed re-adds; gives those that are not in the bucket and cannot be put there now, and why."""
        left = list(re_adds)
        for _ in range(ROUNDS):
            looks = [
                (change, self.executor.submit(functools.partial(self.publisher.is_ours, change.key, published)))
                for change, published in left
            ]
            missing = [change for change, ours in looks if not ours.result()]
            if not missing:
                return
            left = []
            for change in missing:
                try:
                    left += self._again(change)
                except (FileError, StoreError) as error:
                    yield change, str(error)
        raise UnavailableError(
            f"{len(left)} re-added files are not in the bucket as committed, even after {ROUNDS} uploads",
            "the run is left open and the next one recovers; if it comes again, something else deletes in the bucket",
        )

    def _again(self, change: Change) -> list[tuple[Change, Published]]:
        """Upload a file again and commit it, or commit its delete if it is gone meanwhile."""
        published: Published | None = None
        raw = self.naming.raw_if_differs(change.name, change.raw)
        try:
            with self.tree.directory(change.path) as directory:
                state = file_state(directory, change.raw, self.tree.links, change.path)
                if state is not None:
                    if not self.settled(change.full_path, state):
                        raise FileError("it is being written again, and its upload was hit by an earlier delete")
                    change = change._replace(state=state)
                    published = self.publisher.publish(directory, change, raw, force=True)
        except OSError as error:
            if self.tree.is_regular_file(change.path, change.raw):
                raise FileError(f"cannot be read: {error.strerror}") from None
        edit = Edit(published.entry if published else None)
        leaves, edited = edit_directory(self.cache, change.directory, {change.name: edit}, self.run)
        self.committer.commit(leaves)
        for one in edited:
            self.outbox.follow(one, change, uploaded=published is not None, forced=True)
            if shows_on_page(one):
                self.outbox.page(change.directory)
        return [(change, published)] if published else []
