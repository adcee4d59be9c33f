"""What a restore makes of the files that are there already."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from siteferry.diff import Naming
from siteferry.errors import FileError
from siteferry.ports import Archive
from siteferry.restore.evidence import Digest
from siteferry.restore.plan import Do
from siteferry.restore.planner import EXTRA, Found, Verdict
from siteferry.restore.wanted import Wanted
from siteferry.tree import FileState, OpenFile
from siteferry_contract.errors import ContractError

Compare = Literal["checksum", "size", "mtime"]
COMPARES: Final[tuple[Compare, ...]] = get_args(Compare)

CHUNK_BYTES: Final = 1024 * 1024
SAME: Final = Verdict(None)
CHANGING: Final = "it cannot be read, or is being written: left as it is"


@dataclass(frozen=True, slots=True)
class Update:
    """The rules of a restore: the destination gets to be as the site is."""

    archive: Archive
    naming: Naming
    compare: Compare
    deletes: bool

    @property
    def clears_the_way(self) -> bool:
        """Only with leave to delete."""
        return self.deletes

    @property
    def removes_extras(self) -> bool:
        """Only with leave to delete."""
        return self.deletes

    def file(self, wanted: Wanted, found: Found) -> Verdict:
        """Judge by size, then by checksum or mtime."""
        if found.status.st_size != wanted.size:
            return Verdict(Do.GET, "size")
        if self.compare == "size":
            return SAME
        mtime_ns = wanted.mtime_ns
        same_time = mtime_ns is None or found.status.st_mtime_ns == mtime_ns
        if self.compare == "mtime":
            return SAME if same_time else Verdict(Do.GET, "mtime")
        same = has_bytes(found, wanted, self.archive)
        if same is None:
            return Verdict(None, CHANGING)
        if not same:
            return Verdict(Do.GET, "checksum")
        return SAME if same_time else Verdict(Do.TIME, "mtime")

    def unwanted(self, found: Found) -> Verdict:
        """Have what could be published deleted; what never is part of a site stays."""
        directory, _, name = found.path.rpartition(b"/")
        if not found.is_file or self.naming.excludes.match(directory, name):
            return SAME
        try:
            self.naming.key(found.path)
        except ContractError:
            return SAME
        return Verdict(Do.DELETE, EXTRA)


def has_bytes(found: Found, wanted: Wanted, archive: Archive) -> bool | None:
    """Tell whether a file of a wanted one's size has its bytes; None: it is being written, or cannot be read."""
    digest = Digest(wanted)
    try:
        with OpenFile(found.directory, found.name, FileState.of(found.status)) as file:
            for chunk in file.chunks(CHUNK_BYTES):
                digest.update(chunk)
    except FileError:
        return None
    return bool(digest.agrees(archive))
