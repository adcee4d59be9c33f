"""What siteferry writes beside an object's bytes, and how it is read back."""

import base64
from collections.abc import Mapping
from typing import Final

from siteferry_contract.errors import ContractError, shown

MTIME: Final = "mtime"
"""User metadata: seconds since 1970 with nanoseconds, as rclone writes it (https://rclone.org/s3/#modification-times)."""

UPLOAD: Final = "siteferry-upload"
"""User metadata of an object that was uploaded in parts: a random token, by which its uploader knows it again where
S3 has no checksum of the whole."""

PATH: Final = "siteferry-path"
"""User metadata of an object from whose key its file's path cannot be told: base64 of the raw path, relative to the
root. With the encoding `auto` a latin-1 name has such a key. The index knows the raw names as well; this is for whoever
has no index, or an older version of an object. Left out where it would not fit in `MAX_METADATA_BYTES`."""

MAX_METADATA_BYTES: Final = 2048
"""Of user metadata, names and values: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html."""

GENERATED: Final = "siteferry-generated"
"""User metadata that marks an object as made by a Lambda, not by a user; its value says what it is."""

GENERATED_PAGE: Final = "directory-page"
GENERATED_REDIRECT: Final = "directory-redirect"

_NANO: Final = 10**9
_U64: Final = 1 << 64


def format_mtime(mtime_ns: int) -> str:
    """Give the `mtime` metadata of a file."""
    sign, rest = ("-", -mtime_ns) if mtime_ns < 0 else ("", mtime_ns)
    seconds, nanos = divmod(rest, _NANO)
    return f"{sign}{seconds}.{nanos:09d}" if nanos else f"{sign}{seconds}"


def parse_mtime(text: str) -> int:
    """Give mtime_ns of `mtime` metadata; raises ContractError."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    seconds, _, fraction = digits.partition(".")
    digits_seen = seconds + fraction
    if not (digits_seen.isascii() and digits_seen.isdigit() and seconds) or len(digits_seen) > 30:  # noqa: PLR2004
        raise ContractError(f"mtime metadata {text!r} is not a number of seconds")
    return sign * (int(seconds) * _NANO + int(fraction.ljust(9, "0")[:9] or "0"))


def format_path(path: bytes) -> str:
    """Give the `siteferry-path` metadata of a file with this raw path."""
    return base64.b64encode(path).decode("ascii")


def parse_path(text: str) -> bytes:
    """Give the raw path of `siteferry-path` metadata; raises ContractError for what no file beneath a root can have."""
    try:
        path = base64.b64decode(text, validate=True)
    except ValueError:
        raise ContractError(f"path metadata {shown(text)} is not base64") from None
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise ContractError(f"path metadata {shown(text)} is {shown(path)}, which is no path beneath a root")
    return path


def is_generated(metadata: Mapping[str, str]) -> bool:
    """Tell from an object's user metadata whether a Lambda made it."""
    return GENERATED in metadata


def format_crc64nvme(value: int) -> str:
    """Give the checksum as S3 shows it: base64 of eight bytes, most significant first."""
    return base64.b64encode((value % _U64).to_bytes(8, "big")).decode("ascii")


def parse_crc64nvme(text: str) -> int:
    """Give the checksum of an `x-amz-checksum-crc64nvme` header; raises ContractError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 8:  # noqa: PLR2004
        raise ContractError(f"checksum {text!r} is not the base64 of eight bytes")
    return int.from_bytes(raw, "big")
