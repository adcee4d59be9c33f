"""The diff: one directory as scanned against what the index has of it. No I/O."""

import fnmatch
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from siteferry.names import join_path
from siteferry.plan import EXCLUDED_NAME, GONE, GONE_WITH_DIRECTORY, HEADERS, Action, Change, Problem
from siteferry.scan import DirectoryScan
from siteferry.tree import FileState
from siteferry_contract.copy_rules import CopyRule, is_reserved_directory
from siteferry_contract.keys import (
    Encoding,
    UnpublishableNameError,
    check_key_length,
    decode_name,
    encode_name,
    join,
    path_to_key,
    root_directory,
)
from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry


class Excludes:
    """Which names are no part of the site."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = tuple(globs)
        self._names = _compile(glob for glob in globs if "/" not in glob)
        self._paths = _compile(glob.strip("/") for glob in globs if "/" in glob)

    def match(self, directory: bytes, name: bytes) -> bool:
        """Tell whether a name in a directory is excluded."""
        return bool(self._names and self._names(name)) or bool(self._paths and self._paths(join_path(directory, name)))

    def which(self, directory: bytes, name: bytes) -> str | None:
        """Give the first glob that excludes a name in a directory; None: none does."""
        return next((glob for glob in self.globs if Excludes((glob,)).match(directory, name)), None)


@dataclass(frozen=True, slots=True)
class Naming:
    """How names become keys, and which do not."""

    prefix: str
    encoding: Encoding
    excludes: Excludes
    copy_rules: tuple[CopyRule, ...] = ()
    most_bytes: int = sys.maxsize
    """Of a file that is published."""

    def directory_key(self, path: bytes) -> str:
        """Give the key of a directory, the root's too; raises UnpublishableNameError."""
        return self.key(path) if path else root_directory(self.prefix)

    def key(self, path: bytes) -> str:
        """Give the key of a file; raises UnpublishableNameError."""
        return path_to_key(path, prefix=self.prefix, encoding=self.encoding)

    def may_collide(self, name: str) -> bool:
        """Tell whether another name on the host may be decoded to this one."""
        return self.encoding == "auto" and not name.isascii()

    def raw_if_differs(self, name: str, raw: bytes) -> bytes | None:
        """Give the raw name where it must be recorded."""
        return None if self.raw_name(name) == raw else raw

    def raw_name(self, name: str) -> bytes:
        """Give the raw name that a name stands for if nothing else is recorded."""
        try:
            return encode_name(name, self.encoding)
        except UnicodeEncodeError:
            return encode_name(name, "utf-8")  # no name on this site's host


@dataclass(slots=True)
class Chosen:
    """The names of a directory that are published, by decoded name, and those that cannot be."""

    files: dict[str, tuple[bytes, FileState]]
    subdirectories: dict[str, bytes]
    staying: dict[str, bytes]
    """Files of which the published version stays, whatever became of them."""
    problems: list[Problem]


@dataclass(slots=True)
class DirectoryDiff:
    """What one directory needs."""

    changes: list[Change] = field(default_factory=list)
    deferred: list[bytes] = field(default_factory=list)
    """Paths."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Directory keys of subdirectories that end with all beneath them, and the reason of what is beneath."""
    problems: list[Problem] = field(default_factory=list)


Settled = Callable[[bytes, FileState], bool]
"""Tells whether a file (its path, its state) is no longer being written."""

Gone = Callable[[DirectoryScan], Callable[[bytes, Entry, bool], bool]]
"""Tells for a directory whether a published name (its path, its entry, whether something else has that name) that is
missing there is to go already."""


def at_once(_: DirectoryScan) -> Callable[[bytes, Entry, bool], bool]:
    """Have all that is missing go."""
    return lambda *_: True


Forced = Callable[[str], str | None]
"""Gives a reason to put a key although the file is as the index has it, or None. With `HEADERS`, a file that is put
anyway is put even if the bucket has its bytes."""

Adopts = Callable[[str, FileState], Action | None]
"""Tells whether a new file's object is in the bucket already, or what is to be compared to know it; None: it is not."""

NEW: Final = "new"
RENAMED: Final = "name"
"""The reason of a file of the same key and another raw path, which its object says."""
ADOPTED: Final = "in the bucket already"
OF_ITS_SIZE: Final = "in the bucket with its size"


def choose(scan: DirectoryScan, naming: Naming, known: Callable[[], Mapping[str, Entry]]) -> Chosen:
    """Choose the names that are published. `known` gives the index's entries; asked only to settle a collision."""
    chosen = Chosen({}, {}, {}, [])
    states = dict(scan.files())
    too_large = {raw for raw, state in states.items() if state.size > naming.most_bytes}
    chosen.problems += [
        Problem(join_path(scan.path, raw), f"it is {word}")
        for raw, word in scan.others()
        if not naming.excludes.match(scan.path, raw)
    ]
    file_names = _choose(scan, states, naming, known, directories=False, problems=chosen.problems)
    chosen.files = {name: (raw, states[raw]) for name, raw in file_names.items() if raw not in too_large}
    large = {name: raw for name, raw in file_names.items() if raw in too_large}
    chosen.problems += [Problem(join_path(scan.path, raw), _too_large(naming.most_bytes)) for raw in large.values()]
    # A collision of a link that cannot be looked at with a file is the file's: what is not known wins nothing.
    unknown = _choose(scan, scan.unknown(), naming, known, directories=False, problems=[])
    chosen.staying = large | {name: raw for name, raw in unknown.items() if name not in file_names}
    chosen.subdirectories = select_subdirectories(scan, naming, known, chosen.problems)
    return chosen


def _too_large(most: int) -> str:
    return f"it is larger than {most / 1e9:g} GB, `max_file_size`: raise that, or make the file smaller"


def select_subdirectories(
    scan: DirectoryScan, naming: Naming, known: Callable[[], Mapping[str, Entry]], problems: list[Problem]
) -> dict[str, bytes]:
    """Choose the subdirectories that are part of the site: decoded name to raw name."""
    return _choose(scan, scan.subdirectories(), naming, known, directories=True, problems=problems)


def diff(
    scan: DirectoryScan,
    chosen: Chosen,
    entries: Mapping[str, Entry],
    naming: Naming,
    *,
    known: bool,
    settled: Settled,
    gone: Gone = at_once,
    forced: Forced = lambda _: None,
    adopts: Adopts | None = None,
    renamed: bool = False,
) -> DirectoryDiff:
    """Compare a directory with its entries (by sort name) in the index; `known`: the index has the directory.

    `renamed`: under another raw path with the same key, which the objects of its files are to say.

    A file differs if its size, mtime_ns or ctime_ns differ in any direction, so backdated and same-size edits are
    seen. A changed file that is not settled is deferred: its published version stays. So does that of a missing name
    that may be back in a moment.
    """
    result = DirectoryDiff(problems=chosen.problems)

    def change(
        action: Action,
        reason: str,
        name: str = "",
        raw: bytes = b"",
        state: FileState | None = None,
        published: int | None = None,
    ) -> None:
        result.changes.append(Change(action, reason, scan.key, scan.path, name, raw, state, published))

    if not known:
        change(Action.CREATE, NEW)
    for name, (raw, state) in chosen.files.items():
        old = entries.get(name)
        key = join(scan.key, name)
        why_forced = forced(key)
        recorded = naming.raw_if_differs(name, raw)
        reason = why_changed(old, recorded, state) or (RENAMED if renamed else None)
        reason = reason or (why_forced if why_forced != HEADERS else None)
        if reason is None:
            continue
        path = join_path(scan.path, raw)
        if not settled(path, state):
            result.deferred.append(path)
        elif reason == NEW and adopts and (action := adopts(key, state)):
            change(action, ADOPTED if action is Action.ADOPT else OF_ITS_SIZE, name, raw, state)
        else:
            same = (
                _checksum_of_same(old, state) if not (why_forced or renamed) and old and old.raw == recorded else None
            )
            change(Action.PUT, reason, name, raw, state, same)
    for name, raw in chosen.subdirectories.items():
        old = entries.get(f"{name}/")
        if not isinstance(old, SubdirectoryEntry) or old.raw != naming.raw_if_differs(name, raw):
            change(Action.ADD_DIRECTORY, NEW, name, raw)
    _end_missing(scan, chosen, entries, naming, gone, result)
    return result


def _end_missing(
    scan: DirectoryScan,
    chosen: Chosen,
    entries: Mapping[str, Entry],
    naming: Naming,
    gone: Gone,
    result: DirectoryDiff,
) -> None:
    """Plan the end of what is published of a directory, and no longer in it or no longer part of the site."""
    staying = chosen.files.keys() | chosen.staying.keys()
    missing = [
        entry
        for entry in entries.values()
        if entry.name not in (staying if isinstance(entry, FileEntry) else chosen.subdirectories)
    ]
    if not missing:
        return
    files, subdirectories = {raw for raw, _ in scan.files()}, set(scan.subdirectories())
    others = {raw for raw, _ in scan.others()}
    is_gone = gone(scan)
    for entry in missing:
        raw = entry.raw if entry.raw is not None else naming.raw_name(entry.name)
        is_file = isinstance(entry, FileEntry)
        excluded = raw in (files if is_file else subdirectories)
        path = join_path(scan.path, raw)
        if not excluded and not is_gone(path, entry, raw in others):
            result.deferred.append(path)
            continue
        action = Action.DELETE if is_file else Action.DROP_DIRECTORY
        reason = EXCLUDED_NAME if excluded else GONE
        result.changes.append(Change(action, reason, scan.key, scan.path, entry.name, raw))
        if not is_file:
            result.dropped[join(scan.key, entry.name)] = "directory excluded" if excluded else GONE_WITH_DIRECTORY


def ended_directory(directory: str, path: bytes, entries: Iterable[Entry], naming: Naming, reason: str) -> list[Change]:
    """Plan the end of a directory that is no longer there, or no longer part of the site."""
    changes = [Change(Action.GONE, reason, directory, path)]
    for entry in entries:
        raw = entry.raw if entry.raw is not None else naming.raw_name(entry.name)
        action = Action.DELETE if isinstance(entry, FileEntry) else Action.DROP_DIRECTORY
        changes.append(Change(action, reason, directory, path, entry.name, raw))
    return changes


def why_changed(old: Entry | None, raw: bytes | None, state: FileState) -> str | None:
    """Say in what a file differs from its entry; None: in nothing. `raw` is its raw name where that is recorded."""
    if not isinstance(old, FileEntry):
        return NEW
    if old.size != state.size:
        return "size"
    if old.mtime_ns != state.mtime_ns:
        return "mtime"
    if old.ctime_ns != state.ctime_ns:
        return "ctime"
    return RENAMED if old.raw != raw else None


def _checksum_of_same(old: Entry | None, state: FileState) -> int | None:
    """Give the checksum of a published file that may have the same bytes."""
    return old.crc64nvme if isinstance(old, FileEntry) and old.size == state.size else None


def _choose(
    scan: DirectoryScan,
    raws: Iterable[bytes],
    naming: Naming,
    known: Callable[[], Mapping[str, Entry]],
    *,
    directories: bool,
    problems: list[Problem],
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for raw in sorted(raws):
        if naming.excludes.match(scan.path, raw):
            continue
        try:
            name = publishable_name(scan.key, raw, naming, directory=directories)
        except UnpublishableNameError as error:
            problems.append(Problem(join_path(scan.path, raw), str(error)))
            continue
        if name in found:
            # The first stays published; without a first, the least raw name wins, so that every run decides alike.
            old = known().get(f"{name}/" if directories else name)
            recorded = naming.raw_if_differs(name, raw)
            winner, loser = (raw, found[name]) if old and old.raw == recorded else (found[name], raw)
            problems.append(Problem(join_path(scan.path, loser), f"its key is also that of {winner!r}: rename one"))
            raw = winner  # noqa: PLW2901
        found[name] = raw
    return found


def publishable_name(parent: str, raw: bytes, naming: Naming, *, directory: bool) -> str:
    """Decode a name in the directory with the key `parent`; raises UnpublishableNameError if it can have no key."""
    name = decode_name(raw, naming.encoding)
    key = join(parent, name)
    # Beneath a directory's key there must be room for a slash and at least one character.
    check_key_length(f"{key}/x" if directory else key)
    if directory and is_reserved_directory(key.removeprefix(naming.prefix), naming.copy_rules):
        raise UnpublishableNameError("a copy rule reserves this place for its duplicates: move it elsewhere")
    return name


def _compile(globs: Iterable[str]) -> Callable[[bytes], object] | None:
    """Compile globs to match raw names, whichever of the two encodings a name is in."""
    raws = {raw for glob in globs for raw in _raw_globs(glob)}
    # Latin-1 maps bytes to characters one to one, so that fnmatch, which knows only text, works on bytes.
    patterns = [fnmatch.translate(raw.decode("latin-1")).encode("latin-1") for raw in sorted(raws)]
    return re.compile(b"|".join(b"(?:%s)" % pattern for pattern in patterns)).match if patterns else None


def _raw_globs(glob: str) -> Iterable[bytes]:
    yield glob.encode("utf-8", "surrogateescape")
    try:
        yield glob.encode("latin-1")
    except UnicodeEncodeError:
        return
