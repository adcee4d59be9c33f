"""What an object is served with: content type, header rules, mtime."""

import fnmatch
import mimetypes
import re
from collections.abc import Mapping, Sequence
from typing import Final

from siteferry.ports import ObjectInfo
from siteferry_contract import cache_tags
from siteferry_contract.descriptor import HeaderRule
from siteferry_contract.keys import Encoding, key_to_path
from siteferry_contract.objects import MAX_METADATA_BYTES, MTIME, PATH, UPLOAD, format_mtime, format_path

DEFAULT_TYPE: Final = "application/octet-stream"
METADATA: Final = "x-amz-meta-"
OWN: Final = frozenset({MTIME, UPLOAD, PATH})
"""User metadata that says nothing to viewers."""
_TOKEN_BYTES: Final = len(f"{METADATA}{UPLOAD}") + 16
"""Of the metadata that an upload in parts has besides."""

# What the web needs and Python's table lacks, has without a charset, or takes from the host's /etc/mime.types.
# Types: https://www.iana.org/assignments/media-types. Text is taken to be UTF-8 only where the format's own standard
# says so; for HTML and CSS the charset is left to the file (a header would override a latin-1 page's meta element).
CURATED: Final = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".csv": "text/csv",
    ".eot": "application/vnd.ms-fontobject",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".rss": "application/rss+xml",
    ".svg": "image/svg+xml",
    ".svgz": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".zip": "application/zip",
}

# The table built into Python, and not the host's files: two hosts publish alike.
_TYPES: Final = mimetypes.MimeTypes(filenames=())


def has_headers(found: ObjectInfo, wanted: Mapping[str, str]) -> bool:
    """Tell whether an object is served as wanted; what siteferry keeps with it for itself is not compared."""
    metadata = {f"{METADATA}{name}": value for name, value in found.metadata.items()}
    return _served({**found.headers, **metadata}) == _served(wanted)


def _served(headers: Mapping[str, str]) -> dict[str, str]:
    own = {f"{METADATA}{name}" for name in OWN}
    return {name: value for name, value in headers.items() if name not in own}


class Headers:
    """Gives the headers of each key."""

    def __init__(
        self, prefix: str, rules: Sequence[HeaderRule], *, encoding: Encoding = "latin-1", tags: bool = False
    ) -> None:
        """Make it of header rules; with `tags`, objects carry their cache tags as well."""
        self._prefix, self._encoding, self._tags = prefix, encoding, tags
        self._rules = [(rule, re.compile(fnmatch.translate(rule.match)).match) for rule in rules]

    def settings(self, key: str) -> dict[str, str]:
        """Give the lower-case headers that follow from the key alone."""
        name = key.removeprefix(self._prefix)
        headers = {"content-type": content_type(name)}
        if name.lower().endswith(".svgz"):
            headers["content-encoding"] = "gzip"
        if rule := self.rule(key):
            headers.update(rule.headers)
        if self._tags:
            headers[cache_tags.HEADER] = cache_tags.tags_of(key, self._prefix)
        return headers

    def rule(self, key: str) -> HeaderRule | None:
        """Give the rule that applies to a key: the first that matches; None: none does."""
        name = key.removeprefix(self._prefix)
        return next((rule for rule, match in self._rules if match(name)), None)

    def of(self, key: str, path: bytes, mtime_ns: int) -> dict[str, str]:
        """Give all headers that the object of a file is put with; `path` is the file's."""
        headers = {**self.settings(key), f"{METADATA}{MTIME}": format_mtime(mtime_ns)}
        if self._encoding == "auto" and key_to_path(key, prefix=self._prefix, encoding="auto") != path:
            with_path = {**headers, f"{METADATA}{PATH}": format_path(path)}
            # S3 would refuse more, and then the file were not published at all.
            if _metadata_bytes(with_path) + _TOKEN_BYTES <= MAX_METADATA_BYTES:
                return with_path
        return headers


def _metadata_bytes(headers: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in headers.items() if name.startswith(METADATA))


def content_type(name: str) -> str:
    """Give the content type of a file name."""
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    if not (stem and dot):
        return DEFAULT_TYPE
    curated = CURATED.get(f".{extension.lower()}")
    if curated:
        return curated
    # An encoding (x.tar.gz) is not a content-encoding here: the file is served as it is.
    return _TYPES.guess_type(f"x.{extension}")[0] or DEFAULT_TYPE
