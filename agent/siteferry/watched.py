"""The ports to AWS, as they are, but each answer counts as progress.

Not so those about the head: the lease is renewed in the background, also while the run that it is for hangs.
"""
# ruff: noqa: D102 - the ports say what each method does

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from siteferry.head import Head
from siteferry.ports import IndexStore, JobQueues, ListedObject, ObjectInfo, ObjectStore
from siteferry_contract.job import Job
from siteferry_contract.leaf import Leaf
from siteferry_contract.shape import Shape

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WatchedIndex:
    """Implements `IndexStore`."""

    store: IndexStore
    progress: Callable[[], None]

    def read_head(self) -> Head | None:
        return self.store.read_head()

    def create_head(self, head: Head) -> None:
        self.store.create_head(head)

    def replace_head(self, old: Head, new: Head) -> bool:
        return self.store.replace_head(old, new)

    def commit(self, leaves: Sequence[Leaf], lease_token: str) -> bool:
        done = self.store.commit(leaves, lease_token)
        self.progress()
        return done

    def write_shape(self, shape: Shape) -> None:
        self.store.write_shape(shape)
        self.progress()

    def leaves(self, after: int | None = None) -> Iterator[Leaf]:
        return each(self.store.leaves(after), self.progress)


@dataclass(frozen=True, slots=True)
class WatchedObjects:
    """Implements `ObjectStore`."""

    store: ObjectStore
    progress: Callable[[], None]

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.store.put(key, body, headers)
        self.progress()

    def put_chunks(self, key: str, chunks: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        # A chunk is asked for when there is room for it: those before it are on their way.
        self.store.put_chunks(key, each(chunks, self.progress), size, headers)
        self.progress()

    def replace_headers(self, key: str, seen: ObjectInfo, headers: Mapping[str, str]) -> None:
        self.store.replace_headers(key, seen, headers)
        self.progress()

    def head(self, key: str) -> ObjectInfo | None:
        found = self.store.head(key)
        self.progress()
        return found

    def list(self, prefix: str) -> Iterator[ListedObject]:
        return each(self.store.list(prefix), self.progress)


@dataclass(frozen=True, slots=True)
class WatchedQueues:
    """Implements `JobQueues`."""

    queues: JobQueues
    progress: Callable[[], None]

    def send(self, jobs: Sequence[Job]) -> None:
        self.queues.send(jobs)
        self.progress()


def each(found: Iterable[T], progress: Callable[[], None]) -> Iterator[T]:
    """Give what is found, and count each as progress."""
    for one in found:
        progress()
        yield one
