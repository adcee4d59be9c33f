"""Entries, and the leaf codec.

A leaf is one DynamoDB item: a contiguous, sorted run of the entries of one directory, as compressed columns.
The codec is versioned; `decode` refuses what it does not know and never guesses.

Blob, version 1: the byte 1, then zlib of

    u32 count · u32 length of names · names (UTF-8, sorted by code point, joined by NUL; a subdirectory ends in "/")
    u32 number of raw names · for each: u32 position, u32 length, bytes    (only where raw differs from the name)
    u32 number of unknown checksums · for each: u32 position
    8 bytes x count: mtime_ns · ctime_ns · size (int64) · crc64nvme (u64)  (0 for subdirectories)

All numbers are little-endian. Of a column the first bytes of all its numbers come first, then all second bytes, and so
on: neighbours are alike in their upper bytes, so this makes a leaf smaller, and four times as fast to compress.
"""

import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, repeat
from operator import lt
from typing import Final, Literal, NamedTuple

from siteferry_contract.errors import ContractError
from siteferry_contract.versions import WRITTEN, check_version

MAX_ENTRIES: Final = 2048
MAX_BLOB_BYTES: Final = 256 * 1024
"""Compressed. A DynamoDB item may have 400 KB; writes are billed by the KB, so small leaves keep a change cheap."""

_COMPRESSION: Final = 1
"""zlib's level: higher ones gain four percent, and take twice the time."""
_MAX_DECODED_BYTES: Final = 64 * 1024 * 1024
_BYTES_AN_ENTRY: Final = 40
"""Four columns of eight bytes, what separates names, and the position of an unknown checksum, rounded up."""


class FileEntry(NamedTuple):
    """One published file, as the index records it. A tuple, because a large directory has thousands to decode."""

    name: str
    size: int
    """Bytes."""
    mtime_ns: int
    ctime_ns: int
    crc64nvme: int | None
    """None: unknown, until the file is next read."""
    raw: bytes | None = None
    """The name on the host, where it differs from the encoded name."""


class SubdirectoryEntry(NamedTuple):
    """One subdirectory. It never makes a file's key live."""

    name: str
    """Without a slash."""
    raw: bytes | None = None


Entry = FileEntry | SubdirectoryEntry
_NO_FILE: Final = FileEntry("", 0, 0, 0, 0)
_file_entry: Final = partial(tuple.__new__, FileEntry)
"""What `FileEntry._make` does, without a Python function for each of a large leaf's thousands."""


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

    def entry(self, name: str) -> Entry | None:
        """Give the entry with a sort name, or None."""
        position = bisect_left(self.entries, name, key=sort_name)
        found = self.entries[position] if position < len(self.entries) else None
        return found if found is not None and sort_name(found) == name else None

    def file(self, name: str) -> FileEntry | None:
        """Give the entry that makes `name` live, or None: the name is dead."""
        found = self.entry(name)
        return found if isinstance(found, FileEntry) else None

    @property
    def files(self) -> dict[str, FileEntry]:
        """The file entries by name."""
        return {entry.name: entry for entry in self.entries if isinstance(entry, FileEntry)}


def sort_name(entry: Entry) -> str:
    """Give the name under which a leaf keeps an entry: a subdirectory ends in a slash, which no file name can."""
    return entry.name if isinstance(entry, FileEntry) else f"{entry.name}/"


def by_sort_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Give entries by the names under which a leaf keeps them."""
    return {entry.name if isinstance(entry, FileEntry) else f"{entry.name}/": entry for entry in entries}


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Encode sorted entries to a blob; raises ContractError if they are not sorted or not unique."""
    names = [sort_name(entry) for entry in entries]
    if not all(map(lt, names, names[1:])):
        one, other = next((one, other) for one, other in pairwise(names) if one >= other)
        raise ContractError(f"entries of a leaf must be sorted and unique: {one!r} before {other!r}")
    joined = "\0".join(names).encode()
    raws = [(position, entry.raw) for position, entry in enumerate(entries) if entry.raw is not None]
    files = [entry if isinstance(entry, FileEntry) else _NO_FILE for entry in entries]
    _, sizes, mtimes, ctimes, crcs, _ = zip(*files, strict=True) if files else ((),) * len(_NO_FILE)
    unknown = [n for n, crc in enumerate(crcs) if crc is None] if None in crcs else []
    payload = b"".join(
        (
            struct.pack("<II", len(names), len(joined)),
            joined,
            struct.pack("<I", len(raws)),
            *(struct.pack("<II", position, len(raw)) + raw for position, raw in raws),
            struct.pack(f"<I{len(unknown)}I", len(unknown), *unknown),
            _column_bytes("q", mtimes),
            _column_bytes("q", ctimes),
            _column_bytes("q", sizes),
            _column_bytes("Q", [crc or 0 for crc in crcs] if unknown else crcs),
        )
    )
    return bytes((WRITTEN["leaf"],)) + zlib.compress(payload, _COMPRESSION)


def decode_entries(blob: bytes) -> tuple[Entry, ...]:
    """Decode a blob; raises ContractError that says what was seen."""
    if not blob:
        raise ContractError("leaf blob has no bytes")
    check_version("leaf", blob[0])
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
    """Sort entries as a leaf keeps them; of those with one name the last is kept."""
    return tuple(entry for _, entry in sorted(by_sort_name(entries).items()))


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
    mtimes, ctimes, sizes = (_column("q", payload, at + 8 * count * n, count) for n in range(3))
    crcs = _column("Q", payload, at + 24 * count, count)
    entries: list[Entry] = list(map(_file_entry, zip(names, sizes, mtimes, ctimes, crcs, repeat(None))))
    for n in unknown:
        entries[n] = FileEntry(names[n], sizes[n], mtimes[n], ctimes[n], None)
    for n, original in raw.items():
        entries[n] = entries[n]._replace(raw=original)
    if "/" in joined:  # only subdirectories have one, at the end
        for n, name in enumerate(names):
            if name.endswith("/"):
                entries[n] = SubdirectoryEntry(name[:-1], entries[n].raw)
    return tuple(entries)


def _decompress(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    payload = decompressor.decompress(data, _MAX_DECODED_BYTES)
    if not decompressor.eof or decompressor.unused_data:
        raise ContractError("leaf blob is cut short, too large, or has bytes after its end")
    return payload


def _column_bytes(kind: Literal["q", "Q"], values: Sequence[int]) -> bytes:
    column = array(kind, values)
    if sys.byteorder == "big":
        column.byteswap()
    data = column.tobytes()
    return b"".join([data[n::8] for n in range(8)])


def _column(kind: Literal["q", "Q"], payload: bytes, at: int, count: int) -> "array[int]":
    data = bytearray(8 * count)
    for n in range(8):
        data[n::8] = payload[at + n * count : at + (n + 1) * count]
    column = array(kind)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
