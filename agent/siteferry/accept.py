"""What a recovery finds in the bucket, and cannot put again now: the index takes it as it is (rule 4).

An object that a run put and did not commit was a whole, settled state of its file, and visitors see it already. If its
file cannot be put now (too large by now, a fragment, still being written, out of sight), the run would stay open until
it can. So the object is committed in place of the file, with a ctime that no file has: it counts as published, and the
file is compared, and put, as soon as it may be.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from siteferry.commit import Edit, Edited, edit_directory, shows_on_page
from siteferry.diff import Naming
from siteferry.disagree import LOOKS_AT_ONCE, Looks, Window, difference
from siteferry.plan import BUCKET_DIFFERS, Action, Change
from siteferry.ports import ObjectInfo
from siteferry.work import Work
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import INDEX_NAME, decode_name, join, split
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import MTIME, PATH, is_generated, parse_mtime, parse_path

NEVER: Final = -(1 << 63)
"""Nanoseconds since 1970: the ctime of what was entered without its file."""
ROUNDS: Final = 3
"""For one key, before the run is left open."""


def accept(work: Work, looks: Looks, keys: Iterable[str], now: float) -> set[tuple[str, str]]:
    """Enter objects as they are, and read them back; gives what was entered, as directory key and name.

    `work.agreed` hears of every key on which index and bucket agree then. What the index has and the bucket has not is
    left to the delete handler, which takes a marker, or a generated object, from over a live key.
    """
    accepted: set[tuple[str, str]] = set()
    rest = iter(keys)
    while not work.stopping() and (waiting := list(islice(rest, LOOKS_AT_ONCE))):
        for _ in range(ROUNDS):
            # Rule 5: a late delete may have hit the object before the commit, and only a look after it tells.
            waiting = _enter(work, looks, waiting, now)
            accepted.update(map(split, waiting))
        work.outbox.flush_full()
    work.outbox.flush()
    return accepted


def _enter(work: Work, looks: Looks, keys: Iterable[str], now: float) -> list[str]:
    """Enter what the index has otherwise than the bucket; gives that."""
    edits: dict[str, dict[str, Edit]] = {}
    for key, found in _look(looks, keys):
        directory, name = split(key)
        old = work.cache.entry(directory, name)
        if not isinstance(old, FileEntry):
            old = None
        if found is None or is_generated(found.metadata):
            if old:
                work.outbox.delete(key)
            else:
                work.agreed(key)
        elif old and not difference(found, old, doubts=True):
            work.agreed(key)
        elif old or work.cache.is_known(directory):
            edits.setdefault(directory, {})[name] = Edit(_entry(name, found, work.naming, now))
    for directory, part in edits.items():
        leaves, edited = edit_directory(work.cache, directory, part, work.run)
        work.committer.commit(leaves)
        for one in edited:
            _follow(work, directory, one)
    return [join(directory, name) for directory, part in edits.items() for name in part]


def _look(looks: Looks, keys: Iterable[str]) -> Iterator[tuple[str, ObjectInfo | None]]:
    window = Window(looks)
    seen = chain.from_iterable(window.at(key, None) for key in keys)
    return ((key, found) for key, _, found in chain(seen, window.rest()))


def _follow(work: Work, directory: str, edited: Edited) -> None:
    change = Change(Action.PUT, BUCKET_DIFFERS, directory, b"", edited.name)
    work.outbox.follow(edited, change, uploaded=True, forced=True)
    if shows_on_page(edited) and not isinstance(work.cache.entry(directory, INDEX_NAME), FileEntry):
        work.outbox.page(directory)


def _entry(name: str, found: ObjectInfo, naming: Naming, now: float) -> FileEntry:
    return FileEntry(name, found.size, _mtime(found, now), NEVER, found.crc64nvme, _raw_name(name, found, naming))


def _mtime(found: ObjectInfo, now: float) -> int:
    """Give the time of the file that was put; of what no agent put, that of its discovery."""
    try:
        mtime = parse_mtime(found.metadata.get(MTIME, ""))
    except ContractError:
        return int(now * 1e9)
    return mtime if NEVER <= mtime < -NEVER else int(now * 1e9)


def _raw_name(name: str, found: ObjectInfo, naming: Naming) -> bytes | None:
    """Give the raw name as it is recorded of the file that was put."""
    try:
        raw = parse_path(found.metadata[PATH]).rpartition(b"/")[2]
        return naming.raw_if_differs(name, raw) if decode_name(raw, naming.encoding) == name else None
    except (KeyError, ContractError):
        return None
