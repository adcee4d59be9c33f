"""`siteferry history`: what changed when, from the bucket's versions and this host's record of runs."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from siteferry.diff import Naming
from siteferry.ports import Archive, ObjectVersion
from siteferry.restore.paths import PathOf, by_key, by_record
from siteferry.restore.scope import Scope
from siteferry.runs import CHANGED, DELETED, NEW, RunRecord
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.keys import INDEX_NAME
from siteferry_contract.objects import is_generated


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that became of a file, as visitors met it."""

    at: float
    """Seconds since 1970, whole."""
    path: bytes
    """As this host's record has it, or else as its key stands for it."""
    what: str
    """new, changed or deleted."""
    size: int | None
    """Bytes; None: deleted."""
    key: str
    version: str
    run: int | None
    """None: this host has no record of it."""


@dataclass(frozen=True, slots=True)
class History:
    """The history of one site."""

    archive: Archive
    naming: Naming
    record: RunRecord

    def events(self, scope: Scope, since: float, most: int) -> list[Event]:
        """Give the last events of a file, or of all beneath a directory, the newest first."""
        prefix = self.naming.directory_key(scope.top) if scope.top else self.naming.prefix
        path_of = by_record(self.record, since, self.naming, by_key(self.naming))
        found = (event for event in self._all(prefix, scope, path_of) if event.at >= since)
        return [event for event in heapq.nlargest(most, found) if not self._is_generated(event)]

    def _all(self, prefix: str, scope: Scope, path_of: PathOf) -> Iterator[Event]:
        for key, versions in groupby(self.archive.versions(prefix), key=lambda version: version.key):
            name = key.removeprefix(self.naming.prefix)
            meant = not scope.top or key == prefix or key.startswith(f"{prefix}/")
            if meant and not is_reserved(name, self.naming.copy_rules):
                yield from self._of_key(path_of(key), list(versions))

    def _of_key(self, path: bytes, versions: list[ObjectVersion]) -> Iterator[Event]:
        there, etag = False, ""
        for version in reversed(versions):
            if version.size is None:
                what = DELETED if there else ""
            else:
                what = NEW if not there else CHANGED if version.etag != etag else ""
            there, etag = version.size is not None, version.etag
            if what:
                at = version.modified.timestamp()
                run = self.record.run_of(path, at)
                yield Event(at, path, what, version.size, version.key, version.version, run)

    def _is_generated(self, event: Event) -> bool:
        """Tell whether it is of a page or a redirect, which nobody changed; a delete of one cannot be told."""
        may_be = event.path.rpartition(b"/")[2] == INDEX_NAME.encode() or b"." not in event.path.rpartition(b"/")[2]
        if not may_be or event.size is None:
            return False
        info = self.archive.head(event.key, event.version)
        return bool(info and is_generated(info.metadata))
