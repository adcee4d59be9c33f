"""What siteferry writes beside an object's bytes, and how it is read back."""

import base64
from collections.abc import Mapping
from typing import Final

from siteferry_contract.errors import ContractError

MTIME: Final = "mtime"
"""User metadata: seconds since 1970 with nanoseconds, as rclone writes it (https://rclone.org/s3/#modification-times)."""

UPLOAD: Final = "siteferry-upload"
"""User metadata of an object that was uploaded in parts: a random token, by which its uploader knows it again where
S3 has no checksum of the whole."""

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
