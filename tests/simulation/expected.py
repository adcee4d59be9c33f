"""What the tree asks for: files by key, directories, directory pages."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from siteferry.checksum import crc64nvme
from siteferry.diff import Excludes
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.keys import UnpublishableNameError, decode_name, encode_name, index_key, join, root_directory
from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry
from siteferry_lambdas.redirect import render_redirect
from siteferry_lambdas.rendering import render
from tests.simulation.disk import Disk
from tests.simulation.table import Table


@dataclass(slots=True)
class Expected:
    """What is to be published once all is quiet."""

    files: dict[str, tuple[bytes, FileEntry]] = field(default_factory=dict)
    """Key to bytes and entry."""
    directories: dict[str, list[Entry]] = field(default_factory=dict)
    """Directory key to entries. Raw names stand in all of them."""

    def pages(self, own: Descriptor) -> Iterator[tuple[str, bytes]]:
        """Give the pages of directories that have no index file of their own, and the redirects of all."""
        root = root_directory(own.prefix)
        for directory, entries in self.directories.items():
            if own.directory_pages and index_key(directory) not in self.files:
                yield (
                    index_key(directory),
                    render("" if directory == root else directory.removeprefix(own.prefix), entries),
                )
            if own.has_redirect(directory) and directory not in self.files:
                yield directory, render_redirect(directory.rpartition("/")[2])


def expect(disk: Disk, own: Descriptor, globs: Sequence[str], table: Table) -> Expected:
    """Look at the tree. Of names with the same key, the one that the index has counts."""
    found = Expected()
    _walk(disk, own, Excludes(globs), table, found, b"", root_directory(own.prefix))
    return found


def raw_name(entry: Entry, own: Descriptor) -> bytes:
    """Give the name on the host that an entry of the index stands for."""
    return entry.raw if entry.raw is not None else encode_name(entry.name, own.encoding)


def _walk(
    disk: Disk, own: Descriptor, excludes: Excludes, table: Table, found: Expected, path: bytes, key: str
) -> None:
    full = os.path.join(os.fsencode(disk.root), path)
    files: dict[str, list[bytes]] = {}
    directories: dict[str, list[bytes]] = {}
    for raw in sorted(os.listdir(full)):
        mode = os.lstat(os.path.join(full, raw)).st_mode
        names = files if stat.S_ISREG(mode) else directories if stat.S_ISDIR(mode) else None
        if names is None or excludes.match(path, raw):
            continue
        try:
            name = decode_name(raw, own.encoding)
        except UnpublishableNameError:
            continue
        within = join(key, name).removeprefix(own.prefix)
        if names is files or not is_reserved(f"{within}/", own.copy_rules):
            names.setdefault(name, []).append(raw)
    entries = table.entries(key)
    rows = found.directories[key] = []
    for name, raws in files.items():
        raw = _winner(raws, entries.get(name), own)
        at = os.path.join(full, raw)
        with open(at, "rb") as file:
            body = file.read()
        status = disk.status(os.lstat(at))
        entry = FileEntry(name, len(body), status.st_mtime_ns, status.st_ctime_ns, crc64nvme(body), raw)
        rows.append(entry)
        found.files[join(key, name)] = body, entry
    for name, raws in directories.items():
        raw = _winner(raws, entries.get(f"{name}/"), own)
        rows.append(SubdirectoryEntry(name, raw))
        _walk(disk, own, excludes, table, found, os.path.join(path, raw), join(key, name))


def _winner(raws: Sequence[bytes], entry: Entry | None, own: Descriptor) -> bytes:
    """Give the one that is published: the first stays; where none was, the least raw name is."""
    recorded = raw_name(entry, own) if entry else None
    return recorded if recorded in raws and recorded is not None else min(raws)
