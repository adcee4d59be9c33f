"""`siteferry history`: what changed when, from the bucket's versions and this host's record of runs."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Final

from siteferry.diff import Naming
from siteferry.ports import Archive, ObjectVersion
from siteferry.restore.paths import PathOf, by_key, by_record
from siteferry.restore.scope import Scope
from siteferry.runs import CHANGED, DELETED, NEW, RunRecord
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.keys import INDEX_NAME
from siteferry_contract.objects import is_generated

_DOUBTFUL: Final = 10
"""So many times as many events as are asked for are kept of names that pages have: most may be of pages."""


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
    run: int | None = None
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
        certain, doubtful = _Newest(most), _Newest(_DOUBTFUL * most)
        for event in self._all(prefix, scope, path_of):
            if event.at >= since:
                (doubtful if _may_be_generated(event) else certain).add(event)
        newest = sorted([*certain.events, *doubtful.events], reverse=True)
        made_by_users = (one for one in newest if not (_may_be_generated(one) and self._is_generated(one)))
        return [replace(one, run=self.record.run_of(one.path, one.at)) for one in islice(made_by_users, most)]

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
                yield Event(version.modified.timestamp(), path, what, version.size, version.key, version.version)

    def _is_generated(self, event: Event) -> bool:
        info = self.archive.head(event.key, event.version)
        return bool(info and is_generated(info.metadata))


class _Newest:
    """Keeps so many events, those that happened last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        if len(self.events) < self._most:
            heapq.heappush(self.events, event)
        else:
            heapq.heappushpop(self.events, event)


def _may_be_generated(event: Event) -> bool:
    """Tell whether it may be of a page or a redirect, which nobody changed; a delete of one cannot be told."""
    name = event.path.rpartition(b"/")[2]
    return event.size is not None and (name == INDEX_NAME.encode() or b"." not in name)
