"""Entries, and the leaf codec.

A leaf is one DynamoDB item: a contiguous, sorted run of the entries of one directory, as compressed columns.
The codec is versioned; `decode` refuses what it does not know and never guesses.

Blob, version 1: the byte 1, then zlib of

    u32 count · u32 length of names · names (UTF-8, sorted by code point, joined by NUL; a subdirectory ends in "/")
    u32 number of raw names · for each: u32 position, u32 length, bytes    (only where raw differs from the name)
    u32 number of unknown checksums · for each: u32 position
    int64 x count: mtime_ns · ctime_ns · size · crc64nvme                  (all little-endian; 0 for subdirectories)
"""

import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from siteferry_contract.errors import ContractError

MAX_ENTRIES: Final = 2048
MAX_BLOB_BYTES: Final = 256 * 1024
"""Compressed. A DynamoDB item may have 400 KB; writes are billed by the KB, so small leaves keep a change cheap."""

_VERSION: Final = 1
_MAX_DECODED_BYTES: Final = 64 * 1024 * 1024
_BYTES_AN_ENTRY: Final = 40
"""Four columns of eight bytes, what separates names, and the position of an unknown checksum, rounded up."""
_U64: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One published file, as the index records it."""

    name: str
    size: int
    """Bytes."""
    mtime_ns: int
    ctime_ns: int
    crc64nvme: int | None
    """None: unknown, until the file is next read."""
    raw: bytes | None = None
    """The name on the host, where it differs from the encoded name."""


@dataclass(frozen=True, slots=True)
class SubdirectoryEntry:
    """One subdirectory. It never makes a file's key live."""

    name: str
    """Without a slash."""
    raw: bytes | None = None


Entry = FileEntry | SubdirectoryEntry


@dataclass(frozen=True, slots=True)
class Leaf:
    """One index item."""

    directory: str
    """Directory key."""
    bound: str
    """Lower bound of the sort names in this leaf; "" for a directory's first leaf."""
    run: int
    """The run that last committed this leaf."""
    had_delete: bool
    """Some name under this leaf was once deleted. Never cleared."""
    gone: bool
    """The directory no longer exists on the host."""
    entries: tuple[Entry, ...]
    """Sorted by `sort_name`."""
    _blob: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def blob(self) -> bytes:
        """The entries, encoded; once, since an agent needs it for the size, the cache and the index."""
        if self._blob is None:
            object.__setattr__(self, "_blob", encode_entries(self.entries))
        assert self._blob is not None
        return self._blob

    def file(self, name: str) -> FileEntry | None:
        """Give the entry that makes `name` live, or None: the name is dead."""
        for entry in self.entries:
            if entry.name == name and isinstance(entry, FileEntry):
                return entry
        return None

    @property
    def files(self) -> dict[str, FileEntry]:
        """The file entries by name."""
        return {entry.name: entry for entry in self.entries if isinstance(entry, FileEntry)}


def sort_name(entry: Entry) -> str:
    """Give the name under which a leaf keeps an entry: a subdirectory ends in a slash, which no file name can."""
    return entry.name if isinstance(entry, FileEntry) else f"{entry.name}/"


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Encode sorted entries to a blob; raises ContractError if they are not sorted or not unique."""
    names = [sort_name(entry) for entry in entries]
    for one, other in pairwise(names):
        if one >= other:
            raise ContractError(f"entries of a leaf must be sorted and unique: {one!r} before {other!r}")
    joined = "\0".join(names).encode()
    raw = b"".join(
        struct.pack("<II", position, len(entry.raw)) + entry.raw
        for position, entry in enumerate(entries)
        if entry.raw is not None
    )
    raws = sum(entry.raw is not None for entry in entries)
    unknown = [n for n, e in enumerate(entries) if isinstance(e, FileEntry) and e.crc64nvme is None]
    files = [entry if isinstance(entry, FileEntry) else None for entry in entries]
    columns = (
        [entry.mtime_ns if entry else 0 for entry in files],
        [entry.ctime_ns if entry else 0 for entry in files],
        [entry.size if entry else 0 for entry in files],
        [_signed(entry.crc64nvme or 0) if entry else 0 for entry in files],
    )
    payload = b"".join(
        (
            struct.pack("<II", len(names), len(joined)),
            joined,
            struct.pack("<I", raws),
            raw,
            struct.pack(f"<I{len(unknown)}I", len(unknown), *unknown),
            *(_column_bytes(column) for column in columns),
        )
    )
    return bytes((_VERSION,)) + zlib.compress(payload)


def decode_entries(blob: bytes) -> tuple[Entry, ...]:
    """Decode a blob; raises ContractError that says what was seen."""
    if not blob or blob[0] != _VERSION:
        seen = f"version {blob[0]}" if blob else "no bytes"
        raise ContractError(f"leaf blob has {seen}, expected version {_VERSION}: upgrade siteferry on this side")
    try:
        return _decode_payload(_decompress(blob[1:]))
    except (struct.error, zlib.error, UnicodeDecodeError, ValueError, IndexError) as error:
        if isinstance(error, ContractError):
            raise
        raise ContractError(f"leaf blob of {len(blob)} bytes is damaged: {error}") from error


def split_entries(entries: Sequence[Entry]) -> list[tuple[Entry, ...]]:
    """Cut sorted entries so that every part fits in a leaf; at least one part, which may be empty."""
    if len(entries) <= 1 or (len(entries) <= MAX_ENTRIES and _fits(entries)):
        return [tuple(entries)]
    middle = len(entries) // 2
    return [*split_entries(entries[:middle]), *split_entries(entries[middle:])]


def _fits(entries: Sequence[Entry]) -> bool:
    # Compression, which takes most of the time of an encoding, seldom has to be tried.
    names = sum(4 * len(entry.name) + (len(entry.raw) + 8 if entry.raw else 0) for entry in entries)
    return names + _BYTES_AN_ENTRY * len(entries) <= MAX_BLOB_BYTES or len(encode_entries(entries)) <= MAX_BLOB_BYTES


def sorted_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Sort entries as a leaf keeps them."""
    return tuple(sorted(entries, key=sort_name))


def _decode_payload(payload: bytes) -> tuple[Entry, ...]:
    count, length = struct.unpack_from("<II", payload)
    at = 8
    joined = payload[at : at + length].decode()
    at += length
    names = joined.split("\0") if count else []
    if len(names) != count:
        raise ContractError(f"leaf blob names {len(names)} entries but counts {count}")
    (raws,) = struct.unpack_from("<I", payload, at)
    at += 4
    raw: dict[int, bytes] = {}
    for _ in range(raws):
        position, size = struct.unpack_from("<II", payload, at)
        at += 8
        raw[position] = payload[at : at + size]
        at += size
    (unknowns,) = struct.unpack_from("<I", payload, at)
    unknown = frozenset(struct.unpack_from(f"<{unknowns}I", payload, at + 4))
    at += 4 + 4 * unknowns
    if len(payload) - at != 32 * count:
        raise ContractError(f"leaf blob has {len(payload) - at} bytes of columns for {count} entries")
    mtimes, ctimes, sizes, crcs = (_column(payload[at + 8 * count * n : at + 8 * count * (n + 1)]) for n in range(4))
    return tuple(
        SubdirectoryEntry(name[:-1], raw.get(n))
        if name.endswith("/")
        else FileEntry(name, sizes[n], mtimes[n], ctimes[n], None if n in unknown else crcs[n] % _U64, raw.get(n))
        for n, name in enumerate(names)
    )


def _decompress(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    payload = decompressor.decompress(data, _MAX_DECODED_BYTES)
    if not decompressor.eof or decompressor.unused_data:
        raise ContractError("leaf blob is cut short, too large, or has bytes after its end")
    return payload


def _signed(value: int) -> int:
    return value - _U64 if value >= _U64 // 2 else value


def _column_bytes(values: Sequence[int]) -> bytes:
    column = array("q", values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _column(data: bytes) -> "array[int]":
    column = array("q")
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
