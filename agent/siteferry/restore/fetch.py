"""What a file is to have: read from the bucket, tried again if that may help, and held against what is known of it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from siteferry.errors import RefusedError, ThrottledError
from siteferry.ports import Archive, Clock, Content
from siteferry.restore.evidence import Digest
from siteferry.restore.from_bucket import mtime_of
from siteferry.restore.wanted import Wanted
from siteferry_contract.objects import GENERATED, GENERATED_REDIRECT, is_generated

TRIES: Final = 4
BACK_OFF_SECONDS: Final = 0.5

T = TypeVar("T")


COVERED: Final = (
    "a page or redirect that siteferry made is in its place, which lasts moments: give the same command again;"
    " if it stays, `siteferry audit` tells more, and --as-of an earlier time has the file"
)


class RedirectError(Exception):
    """The object is a directory's redirect, and only a listing, which tells no such thing, took it for a file's."""


class StoppedError(Exception):
    """A stop was asked for before all of a file was read."""


class Fetched(NamedTuple):
    """A file's bytes, all of them and as they should be."""

    data: bytes | memoryview
    mtime_ns: int | None


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Reads files; raises StoreError, SiteferryError, RedirectError and StoppedError."""

    archive: Archive
    clock: Clock
    stopping: Callable[[], bool]

    def fetch(self, wanted: Wanted) -> Fetched:
        """Read a small file."""
        return self.tried(functools.partial(self._fetched, wanted))

    def download(self, wanted: Wanted, write: Callable[[bytes | memoryview], None]) -> int | None:
        """Read a file bit by bit, whatever its size, and give its mtime_ns.

        It is written before all of it is known to be right: if this raises, it is not.
        """
        content = self._open(wanted)
        digest = Digest(wanted)
        for chunk in content.chunks:
            if self.stopping():
                raise StoppedError
            digest.update(chunk)
            write(chunk)
        self._check(digest)
        return _mtime(wanted, content)

    def tried(self, work: Callable[[], T]) -> T:
        """Do some work that reads, and again if it may work then."""
        for attempt in range(TRIES - 1):
            try:
                return work()
            except ThrottledError:
                if self.stopping():
                    raise
                self.clock.wait(BACK_OFF_SECONDS * 2**attempt)
        return work()

    def _fetched(self, wanted: Wanted) -> Fetched:
        content = self._open(wanted)
        first, *more = [*content.chunks] or [b""]
        data = b"".join((first, *more)) if more else first
        digest = Digest(wanted)
        digest.update(data)
        self._check(digest)
        return Fetched(data, _mtime(wanted, content))

    def _open(self, wanted: Wanted) -> Content:
        content = self.archive.get(wanted.key, wanted.size, wanted.version)
        if is_generated(content.metadata):
            # Who was told of a file by the index, or by the object itself, knows its mtime.
            if content.metadata[GENERATED] == GENERATED_REDIRECT and wanted.mtime_ns is None:
                raise RedirectError
            raise RefusedError(COVERED)
        if content.size != wanted.size:
            raise _not_as_known(f"it has {content.size} bytes, not {wanted.size}")
        return content

    def _check(self, digest: Digest) -> None:
        if digest.agrees(self.archive) is False:
            raise _not_as_known("it has other bytes")


def _mtime(wanted: Wanted, content: Content) -> int | None:
    return wanted.mtime_ns if wanted.mtime_ns is not None else mtime_of(content.metadata)


def _not_as_known(how: str) -> RefusedError:
    return RefusedError(
        f"the object is not as the index has it: {how}; if nobody publishes just now, `siteferry audit` tells more"
    )
