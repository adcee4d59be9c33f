"""One file's way into the bucket: read it as one state, put it, and know what came of it."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from siteferry.checksum import crc64nvme
from siteferry.disagree import difference
from siteferry.errors import (
    FileChangedError,
    FileError,
    FileUnreadableError,
    OutcomeUnknownError,
    RefusedError,
    SiteferryError,
    StoreError,
    ThrottledError,
)
from siteferry.headers import Headers, has_headers
from siteferry.lease import Control
from siteferry.links import Links
from siteferry.pace import Pace
from siteferry.plan import Change
from siteferry.ports import Clock, ObjectStore
from siteferry.tree import OpenFile, file_state
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import UPLOAD, is_generated

WHOLE_BYTES: Final = 8 * 1024 * 1024
"""Files up to this size are read whole and put in one request."""
MOST_COPIED: Final = 1024 * 1024 * 1024
"""Bytes of an object that is copied onto itself. S3 takes 5 GB, but perhaps not as fast as the lease asks for."""
TRIES: Final = 4
BACK_OFF_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Published:
    """A file that is in the bucket as `entry` says."""

    entry: FileEntry
    uploaded: bool
    """Or copied onto itself. False: the bucket had the same already."""
    token: str = ""
    """Of an upload in parts: the object's `siteferry-upload` metadata."""
    headers_only: bool = False
    """The object is what it was, with other headers: there is nothing to commit that is committed already."""


@dataclass(frozen=True, slots=True)
class Body:
    """A small file as it was read, and the headers that it is put with."""

    data: bytes
    crc: int
    """crc64nvme."""
    headers: dict[str, str]


class Publisher:
    """Publishes files. Safe to use from several threads."""

    def __init__(
        self,
        store: ObjectStore,
        headers: Headers,
        control: Control,
        clock: Clock,
        request_seconds: float,
        max_bandwidth: float = 0.0,
        progress: Callable[[], None] = lambda: None,
        links: Links | None = None,
    ) -> None:
        """Take what to publish with; `max_bandwidth` is in bytes a second, 0: no limit. `links` follows symlinks.

        `progress` is called for each file that is read, and for each chunk of a large one.
        """
        self._store, self._headers, self._control, self._clock = store, headers, control, clock
        self._request_seconds = request_seconds
        self._pace = Pace(clock, max_bandwidth)
        self._progress, self._links = progress, links

    def read(self, directory: int, change: Change) -> Body:
        """Read the file of a change whole, as one state; for small files. Raises FileError."""
        assert change.state is not None
        with self._open(directory, change) as file:
            data = file.read()
        self._progress()
        return Body(data, crc64nvme(data), self._headers.of(change.key, change.full_path, change.state.mtime_ns))

    def publish(
        self, directory: int, change: Change, raw: bytes | None, *, force: bool, body: Body | None = None
    ) -> Published:
        """Publish the file of a change from its open directory; `body` is what `read` gave, if it was read already.

        With the checksum of what is published and no `force`, nothing is put. A forced put counts only when S3 says so.
        Raises FileError, SiteferryError, RefusedError and ThrottledError (no effect), OutcomeUnknownError (settled by
        nothing that could be tried).
        """
        state = change.state
        assert state is not None
        expected = change.published if not force else None
        last: StoreError | None = None
        in_parts = state.size > WHOLE_BYTES
        token = secrets.token_hex(8) if in_parts else ""
        for attempt in range(TRIES):
            if last is not None:
                self._clock.wait(BACK_OFF_SECONDS * 2**attempt)
                body = None
            try:
                body = body or (None if in_parts else self.read(directory, change))
                try:
                    if body:
                        crc, uploaded = body.crc, self._put(change, body, expected)
                    else:
                        crc, uploaded = self._put_parts(directory, change, expected, token)
                except OutcomeUnknownError as error:
                    last = error
                    if force:
                        continue  # the bytes may be what was there before: they tell nothing of the headers
                    crc, uploaded = body.crc if body else self._checksum(directory, change), True
                    if not self._is_there(change, crc, token):
                        continue
                return Published(_entry(change, crc, raw), uploaded, token)
            except ThrottledError as error:
                self._pace.slow_down()
                last = last or error
            except (FileError, RefusedError):
                # What an earlier try may have done, this one's failure does not undo.
                if isinstance(last, OutcomeUnknownError):
                    raise last from None
                raise
        assert last is not None
        raise last

    def compare(self, directory: int, change: Change, raw: bytes | None, *, body: Body | None) -> Published:
        """Find the file of a change in the bucket, by its checksum; publish it if it is not there.

        If it is there with other headers than those of the present rules, it gets them. Of an object without a checksum
        of the whole nothing is known. Raises as `publish` does.
        """
        assert change.state is not None
        found = self._store.head(change.key)
        if found is not None and found.crc64nvme is not None:
            crc = body.crc if body else self._checksum(directory, change)
            entry = _entry(change, crc, raw)
            if not difference(found, entry, doubts=True):
                if has_headers(found, self._headers.of(change.key, change.full_path, change.state.mtime_ns)):
                    return Published(entry, uploaded=False)
                return self.publish_headers(directory, change._replace(published=crc), raw)
        return self.publish(directory, change, raw, force=False, body=body)

    def publish_headers(self, directory: int, change: Change, raw: bytes | None) -> Published:
        """Give a published object the headers of the present rules; put its file only if it cannot be copied.

        An object that has them already is left alone. Raises as `publish` does.
        """
        assert change.state is not None
        entry = _entry(change, change.published, raw)
        wanted = self._headers.of(change.key, change.full_path, change.state.mtime_ns)
        last: OutcomeUnknownError | ThrottledError | None = None
        for attempt in range(TRIES):
            if last is not None:
                self._clock.wait(BACK_OFF_SECONDS * 2**attempt)
            found = self._store.head(change.key)
            if found is None or difference(found, entry, doubts=False) or found.size > MOST_COPIED:
                break
            if has_headers(found, wanted):
                return Published(entry, uploaded=last is not None, headers_only=True)
            if UPLOAD in found.metadata:
                wanted[f"x-amz-meta-{UPLOAD}"] = found.metadata[UPLOAD]
            self._control.require(self._request_seconds)
            try:
                self._store.replace_headers(change.key, found, wanted)
            except RefusedError:
                break
            except ThrottledError as error:
                self._pace.slow_down()
                last = last or error
            except OutcomeUnknownError as error:
                last = error
            else:
                return Published(entry, uploaded=True, headers_only=True)
        else:
            assert last is not None
            raise last
        try:
            return self.publish(directory, _as_on_disk(directory, change, self._links), raw, force=True)
        except (FileError, RefusedError, ThrottledError):
            # As in `publish`: the copy may still come.
            if isinstance(last, OutcomeUnknownError):
                raise last from None
            raise

    def is_ours(self, key: str, published: Published) -> bool:
        """Tell whether the current object of a key is what was published."""
        found, entry = self._store.head(key), published.entry
        if found is None or found.size != entry.size or is_generated(found.metadata):
            return False
        if found.crc64nvme is None and published.token:
            return found.metadata.get(UPLOAD) == published.token
        return entry.crc64nvme is None or found.crc64nvme == entry.crc64nvme

    def _open(self, directory: int, change: Change) -> OpenFile:
        assert change.state is not None
        return OpenFile(directory, change.raw, change.state, self._links, change.path)

    def _put(self, change: Change, body: Body, expected: int | None) -> bool:
        """Put a file in one request, and tell whether it had to be."""
        if body.crc == expected:
            return False
        self._pace.wait(len(body.data))
        self._control.require(self._request_seconds)
        self._store.put(change.key, body.data, body.headers)
        return True

    def _put_parts(self, directory: int, change: Change, expected: int | None, token: str) -> tuple[int, bool]:
        """Put a large file while it is read; gives its checksum, and whether it had to be put."""
        assert change.state is not None
        if expected is not None and self._checksum(directory, change) == expected:
            return expected, False
        headers = self._headers.of(change.key, change.full_path, change.state.mtime_ns)
        headers[f"x-amz-meta-{UPLOAD}"] = token
        with self._open(directory, change) as file:
            running = _Running(file)
            self._store.put_chunks(change.key, self._fenced(running), change.state.size, headers)
        return running.crc, True

    def _fenced(self, chunks: "_Running") -> Iterator[bytes]:
        for chunk in chunks:
            self._pace.wait(len(chunk))
            self._control.require(self._request_seconds)
            yield chunk
        # What is left now: the last parts, and the completion.
        self._control.require(2 * self._request_seconds)

    def _checksum(self, directory: int, change: Change) -> int:
        """Read a large file for its checksum; raises FileError."""
        assert change.state is not None
        with self._open(directory, change) as file:
            running = _Running(file)
            for _ in running:
                self._progress()
        return running.crc

    def _is_there(self, change: Change, crc: int, token: str) -> bool:
        """Settle an unknown outcome: tell whether the object is there as this attempt put it."""
        try:
            return self.is_ours(change.key, Published(_entry(change, crc, None), uploaded=True, token=token))
        except SiteferryError:
            return False  # still unknown


class _Running:
    """The chunks of a file with the checksum of those that were taken."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self.crc = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._file.chunks(WHOLE_BYTES):
            self.crc = crc64nvme(chunk, self.crc)
            yield chunk


def adopted(change: Change, raw: bytes | None) -> Published:
    """Give what an adopted file counts as: its checksum is not known until it is next read."""
    return Published(_entry(change, None, raw), uploaded=False)


def _entry(change: Change, crc: int | None, raw: bytes | None) -> FileEntry:
    state = change.state
    assert state is not None
    return FileEntry(change.name, state.size, state.mtime_ns, state.ctime_ns, crc, raw)


def _as_on_disk(directory: int, change: Change, links: Links | None) -> Change:
    """Give a change with its file as it is now; raises FileError if that is not what is published."""
    what = "its object is not as the index has it, and its file"
    try:
        state = file_state(directory, change.raw, links, change.path)
    except OSError as error:
        raise FileUnreadableError(f"{what} cannot be read: {error.strerror}") from None
    if change.state is None or state is None or state[1:] != change.state[1:]:
        raise FileChangedError(f"{what} is another by now")
    return change._replace(state=state)


def describe(error: StoreError) -> str:
    """Say for people what came of a request."""
    if isinstance(error, RefusedError):
        return f"S3 refused it: {error}"
    if isinstance(error, ThrottledError):
        return f"S3 was too busy: {error}"
    return f"it is not known whether S3 has it: {error}"
