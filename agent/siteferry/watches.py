"""The site's directories under the kernel's eye: one inotify watch for each, as long as they are few enough."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from siteferry import inotify
from siteferry.cache import Cache
from siteferry.errors import RootError
from siteferry.inotify import Inotify
from siteferry.tree import Tree

_LOST: Final = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF | inotify.IN_UNMOUNT | inotify.IN_IGNORED
_WRITTEN: Final = inotify.IN_CLOSE_WRITE | inotify.IN_ATTRIB | inotify.IN_CREATE | inotify.IN_MOVED_TO
_REFUSALS: Final = {
    errno.ENOSPC: "the user's watches are used up (fs.inotify.max_user_watches)",
    errno.EMFILE: "the user's instances are used up (fs.inotify.max_user_instances)",
    errno.ENOENT: "/proc is not there",
}


class Changed(NamedTuple):
    """A directory in which something happened."""

    path: bytes
    written: bool
    """A file was written, which must settle first."""


class Watches:
    """Watches on one tree. None is needed: what cannot be watched waits for a full scan."""

    def __init__(self, root: Path, cache: Cache, most: int, note: Callable[[str], None]) -> None:
        self._root, self._cache, self._most, self._note = root, cache, most, note
        self._inotify: Inotify | None = None
        self._watches: dict[bytes, int] = {}
        self._paths: dict[int, bytes] = {}
        self._new: list[bytes] = []
        """Watched for the first time: what happened there before that was not seen."""
        self._told = ""

    def close(self) -> None:
        """End all watches."""
        if self._inotify:
            self._inotify.close()
        self._inotify = None
        self._watches.clear()
        self._paths.clear()
        self._new.clear()

    def refresh(self) -> None:
        """Watch what the snapshot has, and nothing else."""
        snapshot = self._cache.snapshot
        if not snapshot.is_whole():
            return
        if (count := snapshot.count()) > self._most:
            self.close()
            self._tell(f"{count} directories, more than `hints.inotify_directories` ({self._most}): none is watched")
            return
        first = self._inotify is None
        try:
            self._inotify = self._inotify or Inotify()
            with Tree(self._root) as tree:
                self._watch(self._inotify, tree, snapshot.paths(), is_first=first)
        except RootError:
            return  # the next cycle says so
        except OSError as error:
            self.close()
            self._tell(f"directories are not watched: {_REFUSALS.get(error.errno or 0, error.strerror)}")
            return
        if first:
            self._tell(f"{len(self._watches)} directories are watched: what changes is looked at when it has settled")

    def changes(self) -> Iterator[Changed | None]:
        """Give the directories in which something happened; None: events were lost."""
        new, self._new = self._new, []
        yield from (Changed(path, written=False) for path in new)
        for event in self._inotify.events() if self._inotify else ():
            if event.mask & inotify.IN_Q_OVERFLOW:
                yield None
            path = self._paths.get(event.watch)
            if path is None:
                continue
            if event.mask & _LOST:
                self._forget(path)
            is_directory = event.mask & inotify.IN_ISDIR
            yield Changed(path, written=bool(event.mask & _WRITTEN and not is_directory))

    def _watch(self, notifier: Inotify, tree: Tree, known: list[bytes], *, is_first: bool) -> None:
        for path in self._watches.keys() - set(known):
            self._forget(path)
        for path in known:
            if path in self._watches:
                continue
            try:
                with tree.directory(path) as descriptor:
                    watch = notifier.add(descriptor)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                continue  # it cannot be read, or is no longer there
            earlier = self._paths.get(watch)  # the same directory by another path
            if earlier is not None:
                del self._watches[earlier]
            elif not is_first:
                self._new.append(path)
            self._watches[path], self._paths[watch] = watch, path

    def _forget(self, top: bytes) -> None:
        """End the watches of a directory that went, or moved, and of all beneath it."""
        beneath = top + b"/" if top else b""
        for path in [path for path in self._watches if path == top or path.startswith(beneath)]:
            watch = self._watches.pop(path)
            del self._paths[watch]
            if self._inotify:
                try:
                    self._inotify.remove(watch)
                except OSError:
                    continue  # the kernel was first

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._note(f"hints: {text}")
        self._told = text
