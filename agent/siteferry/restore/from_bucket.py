"""The site as the bucket has it, now or at some time past, without the index's word."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from os.path import commonprefix
from typing import Final

from siteferry.diff import Naming
from siteferry.errors import UnavailableError
from siteferry.ports import Archive, Executor, ListedObject, ObjectInfo, ObjectVersion
from siteferry.restore.paths import PathOf, by_key
from siteferry.restore.scope import Scope
from siteferry.restore.wanted import Wanted, WantedTree
from siteferry_contract.copy_rules import is_reserved
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import INDEX_NAME, check_key
from siteferry_contract.objects import MTIME, PATH, is_generated, parse_mtime, parse_path

LOOKS_AT_ONCE: Final = 64
_INDEX_NAME: Final = INDEX_NAME.encode()
_MOST_NS: Final = 2**63 - 1
"""Of an mtime, in the index, in a plan, and for os.utime."""

Problem = Callable[[str, str], None]
"""Hears of a key that cannot be restored, and why."""


@dataclass(frozen=True, slots=True)
class BucketReader:
    """Finds out what a bucket's objects are files of."""

    archive: Archive
    executor: Executor
    naming: Naming
    scope: Scope
    problem: Problem
    path_of: PathOf
    """Of objects that do not say it."""

    def take(self, tree: WantedTree) -> None:
        """Add what there is now."""
        self._take(tree, (_of_listed(found) for found in self.archive.list(self._prefix)))

    def take_as_of(self, time: float, tree: WantedTree, until: float | None = None) -> set[str]:
        """Add what there was at a time, in seconds since 1970.

        Gives the keys that changed more than once from then `until` a later time: what each was then cannot be told.
        """
        moment, last = (datetime.fromtimestamp(at, UTC) for at in (time, time if until is None else until))
        changed_twice: set[str] = set()

        def found() -> Iterator[Wanted]:
            for key, group in groupby(self.archive.versions(self._prefix), key=lambda version: version.key):
                versions = list(group)
                if sum(moment < version.modified <= last for version in versions) > 1:
                    changed_twice.add(key)
                if wanted := _at(moment, versions):
                    yield wanted

        self._take(tree, found())
        return changed_twice

    @property
    def _prefix(self) -> str:
        """What all keys begin with that may be meant: a listing of a whole bucket is long."""
        if self._keys:
            return commonprefix(list(self._keys))  # noqa: RUF071 - of characters, as S3 takes a prefix
        return self.naming.directory_key(self.scope.top) if self.scope.top else self.naming.prefix

    @property
    def _keys(self) -> frozenset[str] | None:
        """Those that are meant; None: all beneath the top."""
        only = self.scope.only
        return None if only is None else frozenset(map(self.naming.key, only))

    def _take(self, tree: WantedTree, objects: Iterable[Wanted]) -> None:
        """Add files under the paths that their keys stand for, then put right what only the objects can tell."""
        with WantedTree() as unsure:
            tree.add(self._sure(objects, unsure))
            for wanted, info in self._looked_at(unsure.all()):
                if not is_generated(info.metadata):
                    renamed = self._renamed(wanted, info)
                    tree.add([renamed] if self.scope.has(_path(renamed)) else [])
        maybe_generated = (
            wanted for wanted in tree.all() if wanted.name == _INDEX_NAME or tree.is_directory(_path(wanted))
        )
        for wanted, info in self._looked_at(maybe_generated):
            if is_generated(info.metadata):
                tree.remove(wanted)  # its directory stays, though nothing may be in it
                tree.cover(_path(wanted))  # a user's own index.html may be beneath it for a moment
            elif tree.is_directory(_path(wanted)):
                tree.remove(wanted)
                self.problem(wanted.key, "it is left out: there are objects beneath it, as if it were a directory")

    def _sure(self, objects: Iterable[Wanted], unsure: WantedTree) -> Iterator[Wanted]:
        """Give those that are meant whose path their key tells; add the others that may be to `unsure`."""
        keys = self._keys
        for found in objects:
            wanted = self._placed(found)
            if wanted and self.naming.may_collide(wanted.key):
                if keys is None or wanted.key in keys:
                    unsure.add([wanted])
            elif wanted and self.scope.has(_path(wanted)):
                yield wanted

    def _placed(self, found: Wanted) -> Wanted | None:
        name = found.key.removeprefix(self.naming.prefix)
        if is_reserved(name, self.naming.copy_rules):
            return None
        if name.endswith("/") and not found.size:
            return None  # what consoles make to show a folder
        try:
            check_key(found.key, self.naming.prefix)
        except ContractError as error:
            self.problem(found.key, f"it is no file's: {error}")
            return None
        directory, _, raw = by_key(self.naming)(found.key).rpartition(b"/")
        return found._replace(directory=directory, name=raw)

    def _renamed(self, wanted: Wanted, info: ObjectInfo) -> Wanted:
        """Give it under the path that its object says, or the index, if that is one of its key."""
        try:
            path = parse_path(info.metadata[PATH]) if PATH in info.metadata else self.path_of(wanted.key)
            if self.naming.key(path) == wanted.key:
                directory, _, name = path.rpartition(b"/")
                return wanted._replace(directory=directory, name=name)
        except ContractError:
            pass
        self.problem(wanted.key, "its metadata names a path that is not its own: restored by its key")
        return wanted

    def _looked_at(self, files: Iterable[Wanted]) -> Iterator[tuple[Wanted, ObjectInfo]]:
        """Look at objects, many at a time; with what is learnt of their files."""
        flying: deque[tuple[Wanted, Future[ObjectInfo | None]]] = deque()
        for wanted in files:
            look = functools.partial(self.archive.head, wanted.key, wanted.version)
            flying.append((wanted, self.executor.submit(look)))
            if len(flying) >= LOOKS_AT_ONCE:
                yield self._known(*flying.popleft())
        while flying:
            yield self._known(*flying.popleft())

    def _known(self, wanted: Wanted, look: "Future[ObjectInfo | None]") -> tuple[Wanted, ObjectInfo]:
        info = look.result()
        if info is None:  # left out, its file would look like one that the site does not have
            raise UnavailableError(f"{wanted.key!r} went while it was looked for", "nothing was changed: try again")
        return wanted._replace(crc64nvme=info.crc64nvme, mtime_ns=mtime_of(info.metadata)), info


def mtime_of(metadata: Mapping[str, str]) -> int | None:
    """Give mtime_ns from an object's metadata; None: it says none, or one that no index entry could have."""
    try:
        mtime_ns = parse_mtime(metadata[MTIME])
    except (KeyError, ContractError):
        return None
    return mtime_ns if abs(mtime_ns) <= _MOST_NS else None


def _of_listed(found: ListedObject) -> Wanted:
    return Wanted(b"", b"", found.key, found.size, None, None, None, found.etag)


def _at(moment: datetime, versions: list[ObjectVersion]) -> Wanted | None:
    """Give what a key had at a moment; `versions` are newest first."""
    found = next((version for version in versions if version.modified <= moment), None)
    if found is None or found.size is None:
        return None
    latest = versions[0]
    same = latest.version == found.version or (
        bool(found.etag) and (latest.size, latest.etag) == (found.size, found.etag)
    )
    return Wanted(b"", b"", found.key, found.size, None, None, found.version, found.etag, same)


def _path(wanted: Wanted) -> bytes:
    return wanted.directory + b"/" + wanted.name if wanted.directory else wanted.name
