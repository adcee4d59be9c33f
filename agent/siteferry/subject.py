"""What a path of the site is, a file, a directory or a duplicate, and what should be at its key."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from siteferry.delivery import Stored, Target, Wanted
from siteferry.diff import why_changed
from siteferry.names import join_path
from siteferry.parts import Parts
from siteferry.place import Kind, Place, Rules, look_at, rules_of
from siteferry.tree import Tree
from siteferry_contract.copy_rules import original_of
from siteferry_contract.keys import INDEX_NAME, index_key, split
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import is_generated

_INDEX_NAME: Final = INDEX_NAME.encode()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is explained."""

    path: bytes
    place: Place
    rules: Rules
    is_directory: bool = False
    """It is one, or was."""
    index_file: "Subject | None" = None
    """Of a directory: its own index file, if it has one."""

    @property
    def published(self) -> bool:
        """Whether something is there that is part of the site."""
        there = self.place.is_whole and self.place.kind in (Kind.FILE, Kind.DIRECTORY)
        return there and not (self.rules.glob or self.rules.problem)

    @property
    def file(self) -> "Subject":
        """The file that is served."""
        return self.index_file or self


class Subjects:
    """Finds out what paths of one site are, with the index in the cache."""

    def __init__(self, parts: Parts, stored: Callable[[str], Stored]) -> None:
        self._p, self._stored = parts, stored

    def find(self, tree: Tree, path: bytes) -> Subject:
        """Look at a path: of a directory at its index file too, whose key it gets."""
        place = look_at(tree, path)
        directory = place.is_whole and place.kind in (Kind.DIRECTORY, Kind.UNREADABLE)
        directory = directory or not path or (place.kind is Kind.NOTHING and self._was_directory(tree, path))
        rules = rules_of(tree, self._p.cache, self._p.naming, path, directory=directory)
        if not directory:
            return Subject(path, place, rules)
        index = self.find(tree, join_path(path, _INDEX_NAME))
        is_own = index.place.kind is Kind.FILE and index.published
        key = index_key(rules.key) if rules.key is not None else None
        rules = Rules(key, rules.at, rules.glob, rules.problem)
        return Subject(path, place, rules, is_directory=True, index_file=index if is_own else None)

    def _was_directory(self, tree: Tree, path: bytes) -> bool:
        """Tell whether the index knows of a directory there, or of one whose duplicate it would be."""
        own, key = self._p.descriptor, rules_of(tree, self._p.cache, self._p.naming, path, directory=False).key
        if key is None:
            return False
        source = original_of(index_key(key), own.prefix, own.copy_rules)
        return bool(self._p.cache.bounds(key if source is None else split(source)[0]))

    def target(self, subject: Subject) -> Target | None:
        """Say what there should be at the key; None: it is not the path's own."""
        target = self._target(subject)
        if target is None or not (subject.is_directory and subject.published) or target.source:
            return target
        directory = split(target.key)[0]
        known = self._p.descriptor.has_redirect(directory) and self._p.cache.is_known(directory)
        return replace(target, redirect=directory) if known and not self.entry(directory) else target

    def _target(self, subject: Subject) -> Target | None:
        p, key = self._p, subject.file.rules.key
        if key is None or (subject.rules.problem and subject.place.is_whole and subject.place.kind is not Kind.NOTHING):
            return None
        source = original_of(key, p.descriptor.prefix, p.descriptor.copy_rules)
        if source is not None:
            there = self._stored(source).info
            if self.entry(source) or (there and is_generated(there.metadata)):
                return Target(key, Wanted.DUPLICATE, source=source)
            return Target(key, Wanted.NOTHING, source=source)
        entry = self.entry(key)
        file = subject.file
        if (file.published and file.place.kind is Kind.FILE) or subject.place.kind is Kind.UNREADABLE:
            return Target(key, Wanted.FILE if entry else Wanted.PENDING, entry)
        if entry or self.ends(subject, key):
            return Target(key, Wanted.PENDING)
        return Target(key, Wanted.PAGE if self._has_page(subject, key) else Wanted.NOTHING)

    def ends(self, subject: Subject, key: str) -> bool:
        """Tell whether a directory is no part of the site by now, but is by the index."""
        return subject.is_directory and not subject.published and self._p.cache.is_known(split(key)[0])

    def _has_page(self, subject: Subject, key: str) -> bool:
        """Tell whether a directory page belongs at a key."""
        directory, name = split(key)
        if name != INDEX_NAME or not self._p.descriptor.directory_pages:
            return False
        if subject.place.kind is Kind.DIRECTORY:
            return subject.published
        # An index file that is gone from a directory that is not.
        return subject.place.is_whole and self._p.cache.is_known(directory)

    def entry(self, key: str) -> FileEntry | None:
        """Give the entry that makes a key live, or None."""
        entry = self._p.cache.entry(*split(key))
        return entry if isinstance(entry, FileEntry) else None

    def change(self, file: Subject) -> str | None:
        """Say in what the file on disk differs from the index."""
        assert file.place.state
        assert file.rules.key is not None
        name, raw = split(file.rules.key)[1], file.path.rpartition(b"/")[2]
        return why_changed(self.entry(file.rules.key), self._p.naming.raw_if_differs(name, raw), file.place.state)
