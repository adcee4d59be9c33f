"""Which known directories a path in an FTP server's log may be about.

What the log has may be absolute, or relative to where a user is confined: to the root, or to a home of the user's name
right beneath it. It is only ever matched with directories that the snapshot has, so no path leads anywhere else.
"""

from collections.abc import Callable, Sequence
from typing import Final

from siteferry.ftp_log import Logged, may_be
from siteferry.names import join_path
from siteferry.snapshot import Snapshot

MOST_MATCHES: Final = 4
"""Directories that a lossy name may stand for."""
MOST_SIBLINGS: Final = 500
"""That are compared with a lossy name."""
MOST_COMPONENTS: Final = 100


Late = Callable[[], bool]
"""Tells that it has taken long enough: users may make many paths that resemble many."""


def directories(logged: Logged, roots: Sequence[bytes], snapshot: Snapshot, late: Late = lambda: False) -> set[bytes]:
    """Give the known directories to look at for a logged change; `roots` are the ways to write the root's path."""
    found: set[bytes] = set()
    deepest, nearest = -1, found
    for names in _candidates(logged, roots):
        depth, matching = _descend(names, snapshot, late, lossy=logged.lossy)
        if depth >= len(names) - 1:
            found |= matching
        elif depth > deepest:
            deepest, nearest = depth, matching
    return found or nearest


def holder(
    logged: Logged, roots: Sequence[bytes], snapshot: Snapshot, late: Late = lambda: False
) -> tuple[bytes, bytes] | None:
    """Give the one known directory that a logged file is in, and its name as logged; None: it may be several, or none.

    A user who has a home beneath the root counts as confined to it: they cannot speak of others' files.
    """
    candidates = _candidates(logged, roots)
    homes = [names for names in candidates[1:] if snapshot.directory_at(names[0]) is not None]
    found = set[tuple[bytes, bytes]]()
    for names in filter(None, homes or candidates):
        depth, matching = _descend(names[:-1], snapshot, late, lossy=logged.lossy, only=True)
        if depth == len(names) - 1:
            found |= {(path, names[-1]) for path in matching}
    return found.pop() if len(found) == 1 else None


def _candidates(logged: Logged, roots: Sequence[bytes]) -> list[list[bytes]]:
    """Give the paths beneath the root, as names, that a logged one may be."""
    path = logged.path
    if b"\0" in path:
        return []
    paths = [path[len(root) :] for root in roots if path.startswith(root + b"/")]
    if not paths:
        paths = [path]
        if path.strip(b"/") and logged.user not in (b"", b"-", b".", b"..") and not {0, 0x2F} & set(logged.user):
            paths.append(logged.user + b"/" + path)
    candidates = [[name for name in path.split(b"/") if name not in (b"", b".")] for path in paths]
    return [names for names in candidates if b".." not in names and len(names) <= MOST_COMPONENTS]


def _descend(
    names: Sequence[bytes], snapshot: Snapshot, late: Late, *, lossy: bool, only: bool = False
) -> tuple[int, set[bytes]]:
    """Go down as far as directories are known; gives how far, and where that leads; `only` there, not above."""
    at = above = {b""} if snapshot.directory_at(b"") is not None else set[bytes]()
    for depth, name in enumerate(names):
        below = {path for parent in at for path in _children(parent, name, snapshot, lossy=lossy)}
        if not below or late():
            return depth, at
        above, at = at, set(sorted(below)[:MOST_MATCHES])
    # The whole of it is a known directory, which may be gone by now: then its parent shows it.
    return len(names), at if only else at | above


def _children(parent: bytes, name: bytes, snapshot: Snapshot, *, lossy: bool) -> list[bytes]:
    exact = join_path(parent, name)
    found = [exact] if snapshot.directory_at(exact) is not None else []
    if lossy and (b"?" in name or b"_" in name):
        names = snapshot.children(parent, MOST_SIBLINGS)
        found += [join_path(parent, child) for child in names if child != name and may_be(name, child)]
    return found
