"""A versioned bucket in memory: delete markers, conditions, removal by version id, paged listings."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from siteferry.checksum import crc64nvme


class PreconditionFailedError(Exception):
    """412, or 404 of a copy's source."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key."""

    id: str
    body: bytes | None
    """None: a delete marker."""
    headers: Mapping[str, str]
    metadata: Mapping[str, str]
    modified: float
    etag: str = ""
    crc64nvme: int | None = None
    """As S3 shows it: only of what was put with it, and of its copies."""


@dataclass(slots=True)
class Bucket:
    """The bucket. Every method is one atomic effect."""

    now: Callable[[], float]
    versions: dict[str, list[Version]] = field(default_factory=dict)
    changed: Callable[[str, Version | None], None] = lambda _key, _current: None
    """Hears of the current version of a key whenever that changes."""
    author: Callable[[], str] = lambda: ""
    """Names the process that asks."""
    authors: dict[str, str] = field(default_factory=dict)
    """Process by version id."""
    touched: dict[str, set[str]] = field(default_factory=dict)
    """Keys by the process that changed them."""
    _ids: int = 0

    def top(self, key: str) -> Version | None:
        """Give the current version, which may be a marker."""
        versions = self.versions.get(key)
        return versions[-1] if versions else None

    def current(self, key: str) -> Version | None:
        """Give the object that a reader gets."""
        top = self.top(key)
        return top if top and top.body is not None else None

    def objects(self) -> dict[str, Version]:
        """Give all that a reader may get."""
        return {key: current for key in self.versions if (current := self.current(key))}

    def put(
        self,
        key: str,
        body: bytes,
        headers: Mapping[str, str],
        metadata: Mapping[str, str],
        *,
        checksum: int | None = None,
        parts: int = 0,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> None:
        """Put an object, perhaps in parts or with its CRC-64/NVME; raises PreconditionFailedError.

        A client that says nothing of checksums sends a CRC-32, and S3 then keeps that one alone:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
        """
        current = self.current(key)
        if if_none_match and current is not None:
            raise PreconditionFailedError(key)
        if if_match is not None and (current is None or current.etag != if_match):
            raise PreconditionFailedError(key)
        assert len(key.encode()) <= 1024
        etag = f'"{_md5(body)}-{parts}"' if parts else f'"{_md5(body)}"'
        self._add(key, body, dict(headers), dict(metadata), etag, checksum)

    def put_marker(self, key: str) -> None:
        """Put a delete marker, whatever is there."""
        self._add(key, None, {}, {}, "", None)

    def remove_version(self, key: str, version_id: str) -> None:
        """Remove a version for good; one that is gone is no error."""
        self.versions[key] = [version for version in self.versions.get(key, []) if version.id != version_id]
        self.touched.setdefault(self.author(), set()).add(key)
        self.changed(key, self.current(key))

    def read_for_copy(self, key: str, if_match: str) -> Version:
        """Give the source of a copy; raises PreconditionFailedError."""
        current = self.current(key)
        if current is None or current.etag != if_match:
            raise PreconditionFailedError(key)
        return current

    def write_copy(self, source: Version, key: str) -> None:
        """Put a copy with all that the source has, as one part.

        Of a source whose checksum is one of its parts', S3 computes that of the whole for the copy:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
        """
        assert source.body is not None
        in_parts = "-" in source.etag
        checksum = crc64nvme(source.body) if in_parts and source.crc64nvme is None else source.crc64nvme
        etag = f'"{_md5(source.body)}"' if in_parts else source.etag
        self._add(key, source.body, source.headers, source.metadata, etag, checksum)

    def page(self, prefix: str, after: str, size: int) -> list[tuple[str, Version]]:
        """Give a page of the listing: current objects in the order of their keys' UTF-8 bytes."""
        keys = sorted((key for key in self.versions if key.startswith(prefix) and self.current(key)), key=str.encode)
        found = [key for key in keys if key.encode() > after.encode()][:size]
        return [(key, self.versions[key][-1]) for key in found]

    def _add(
        self,
        key: str,
        body: bytes | None,
        headers: Mapping[str, str],
        metadata: Mapping[str, str],
        etag: str,
        crc: int | None,
    ) -> None:
        self._ids += 1
        new = Version(f"v{self._ids}", body, headers, metadata, self.now(), etag, crc)
        self.versions.setdefault(key, []).append(new)
        self.authors[new.id] = self.author()
        self.touched.setdefault(self.author(), set()).add(key)
        self.changed(key, self.current(key))


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
