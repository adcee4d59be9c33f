"""What a restore makes of the files that are there already."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from siteferry.diff import Naming
from siteferry.errors import FileError
from siteferry.ports import Archive
from siteferry.restore.evidence import Digest
from siteferry.restore.from_index import Published
from siteferry.restore.plan import Do
from siteferry.restore.planner import EXTRA, Found, Verdict
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry.tree import FileState, OpenFile
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.errors import ContractError

Compare = Literal["checksum", "size", "mtime"]
COMPARES: Final[tuple[Compare, ...]] = get_args(Compare)

CHUNK_BYTES: Final = 1024 * 1024
SAME: Final = Verdict(None)
COVERED: Final = "a page that siteferry made is at its key, so that nothing tells whether it is the site's: it stays"
UNPUBLISHED: Final = "it is not as it was published last, and nobody else may have it: it stays, unless --overwrite"
CHANGING: Final = "it cannot be read, or is being written: left as it is"


@dataclass(frozen=True, slots=True)
class Update:
    """The rules of a restore: the destination gets to be as the site is."""

    archive: Archive
    naming: Naming
    wanted: WantedTree
    compare: Compare
    deletes: bool
    removes_empty_directories: bool = True
    keeps_symlinks: bool = False

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
        naming = self.naming
        directory, _, name = found.path.rpartition(b"/")
        if not found.is_file or naming.excludes.match(directory, name) or found.status.st_size > naming.most_bytes:
            return SAME
        try:
            key = naming.key(found.path)
        except ContractError:
            return SAME
        if is_reserved(key.removeprefix(naming.prefix), naming.copy_rules):
            return SAME
        if naming.may_collide(key) and self.wanted.has_key(key):
            return SAME
        if self.wanted.is_covered(found.path):
            return Verdict(None, COVERED)
        return Verdict(Do.DELETE, EXTRA)

    def in_the_way(self, _: Found) -> Verdict:
        """Have it deleted, whatever it is, with leave to delete."""
        return Verdict(Do.DELETE, EXTRA) if self.deletes else SAME


@dataclass(frozen=True, slots=True)
class Guarded:
    """The rules of a restore into the tree that is published: what is published nowhere stays as it is.

    Users may have changed it a moment ago, so that nobody else has it.
    """

    rules: Update
    index: Published | None
    """None: nothing is known to be published."""
    keeps_symlinks: bool
    removes_empty_directories: bool = False

    @property
    def clears_the_way(self) -> bool:
        """As elsewhere."""
        return self.rules.clears_the_way

    @property
    def removes_extras(self) -> bool:
        """As elsewhere."""
        return self.rules.removes_extras

    def file(self, wanted: Wanted, found: Found) -> Verdict:
        """Replace only what is published as it is."""
        return self._guarded(self.rules.file(wanted, found), found)

    def unwanted(self, found: Found) -> Verdict:
        """Remove only what is published as it is."""
        return self._guarded(self.rules.unwanted(found), found)

    def in_the_way(self, found: Found) -> Verdict:
        """Remove only what is published as it is."""
        return self._guarded(self.rules.in_the_way(found), found)

    def _guarded(self, verdict: Verdict, found: Found) -> Verdict:
        if verdict.do not in (Do.GET, Do.DELETE) or (self.index and self.index.has(found.path, found.status)):
            return verdict
        return Verdict(None, UNPUBLISHED)


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
