"""What the Lambdas make of the index (duplicates, directory pages, redirects) beside the bucket's listing (rule 9).

Found by existence and size, closely by checksum. What a page says is not known here: its handler renders it again and
writes only what differs.
"""

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self

from siteferry.cache import Cache
from siteferry.disagree import Disagreements, Looks, Window, difference, live_files
from siteferry.outbox import Outbox
from siteferry_contract.copy_rules import CopyRule, duplicates, is_reserved_directory, original_of
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.keys import INDEX_NAME, index_key, split
from siteferry_contract.leaf import FileEntry

DUPLICATE_MISSING: Final = "duplicate missing"
DUPLICATE_DIFFERS: Final = "duplicate differs"
DUPLICATE_STRAY: Final = "duplicate of nothing"
PAGE_MISSING: Final = "directory page missing"
PAGE_LEFT: Final = "directory page where none belongs"
REDIRECT_MISSING: Final = "redirect missing"
REDIRECT_LEFT: Final = "redirect where none belongs"
MISSING: Final = frozenset({PAGE_MISSING, REDIRECT_MISSING})
PAGE_STRAY: Final = "generated for a directory that the index does not know"


def send_page_jobs(outbox: Outbox, cache: Cache, directories: Iterable[str]) -> int:
    """Have the pages and redirects of directories made again, all of them; gives their number."""
    count = 0
    for directory in directories:
        if not isinstance(cache.entry(directory, INDEX_NAME), FileEntry):
            outbox.page(directory)
        outbox.redirect(directory)
        outbox.flush_full()
        count += 1
    outbox.flush()
    return count


class Derived:
    """Duplicates and pages that are not as they should be, spilled to a temporary database. A context manager."""

    def __init__(self, cache: Cache, descriptor: Descriptor, found: Disagreements) -> None:
        self._cache, self._own, self._found = cache, descriptor, found
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE duplicate (key TEXT PRIMARY KEY, source TEXT, why TEXT) WITHOUT ROWID")
        self._db.execute("CREATE TABLE page (key TEXT PRIMARY KEY, directory TEXT, why TEXT) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def find(self, services: Looks, *, deep: bool) -> None:
        """Compare; with `deep`, look at every duplicate's checksum."""
        self._find_pages()
        if self._own.copy_rules:
            self._find_duplicates()
            if deep:
                self._look_at_duplicates(services)

    def duplicates(self) -> Iterator[tuple[str, str, str]]:
        """Give (key of the duplicate, key of its source, why)."""
        yield from self._db.execute("SELECT key, source, why FROM duplicate ORDER BY key")

    def pages(self) -> Iterator[tuple[str, str, str]]:
        """Give (key of a page or redirect, directory key, why)."""
        yield from self._db.execute("SELECT key, directory, why FROM page ORDER BY key")

    def count(self) -> int:
        """Give the number of duplicates, pages and redirects that are not as they should be."""
        row = self._db.execute("SELECT (SELECT count(*) FROM duplicate) + (SELECT count(*) FROM page)").fetchone()
        return int(row[0])

    def resolve(
        self, is_page_right: Callable[[str, str], bool], is_duplicate_right: Callable[[str, str], bool]
    ) -> None:
        """Take off what turns out to be as it should be, asked by (page's key, why) and (duplicate's key, source's)."""
        for key, source, _ in list(self.duplicates()):
            if is_duplicate_right(key, source):
                self._db.execute("DELETE FROM duplicate WHERE key = ?", (key,))
        for key, _, why in list(self.pages()):
            if is_page_right(key, why):
                self._db.execute("DELETE FROM page WHERE key = ?", (key,))

    def mend(self, outbox: Outbox, *, deep: bool) -> None:
        """Have the handlers make it right; with `deep`, every page is rendered again, since it may be old."""
        for (source,) in self._db.execute("SELECT DISTINCT source FROM duplicate ORDER BY source"):
            outbox.copy(source)
            outbox.flush_full()
        for _, directory, _ in self.pages():
            outbox.page(directory, anyway=True)
            outbox.flush_full()
        if deep:
            send_page_jobs(outbox, self._cache, self._cache.directories())
        outbox.flush()

    def copy_all(self, outbox: Outbox, rules: Sequence[CopyRule]) -> None:
        """Have every source of some copy rules mirrored: a duplicate of its size may be another source's."""
        own = self._own
        destinations = tuple(own.prefix + rule.destination for rule in rules)
        for source, _ in self._sources() if rules else ():
            if any(key.startswith(destinations) for key in duplicates(source, own.prefix, own.copy_rules)):
                outbox.copy(source)
                outbox.flush_full()
        outbox.flush()

    # ----

    def _sources(self) -> Iterator[tuple[str, int]]:
        """Give the key and the size of all that may be duplicated."""
        yield from ((key, entry.size) for key, entry in live_files(self._cache))
        yield from self._found.generated()

    def _find_pages(self) -> None:
        for directory in self._cache.directories():
            if self._may_have_page(directory) and not self._found.is_generated(index_key(directory)):
                self._page(index_key(directory), directory, PAGE_MISSING)
            if self._may_have_redirect(directory) and not self._found.is_generated(directory):
                self._page(directory, directory, REDIRECT_MISSING)
        for key, _ in self._found.generated():
            is_page = split(key)[1] == INDEX_NAME
            directory = split(key)[0] if is_page else key
            may_be = self._may_have_page if is_page else self._may_have_redirect
            # A place that a copy rule reserves by now has no page job that would take a redirect away.
            if not self._cache.bounds(directory) or not (is_page or self._own.may_have_redirect(directory)):
                self._found.add_stray(key, PAGE_STRAY, self._own)
            elif not (self._cache.is_known(directory) and may_be(directory)):
                self._page(key, directory, PAGE_LEFT if is_page else REDIRECT_LEFT)

    def _find_duplicates(self) -> None:
        own = self._own
        for source, size in self._sources():
            for key in duplicates(source, own.prefix, own.copy_rules):
                there = self._found.listed_size(key)
                if there != size:
                    self._duplicate(key, source, DUPLICATE_MISSING if there is None else DUPLICATE_DIFFERS)
        for rule in own.copy_rules:
            for key, _ in self._found.listed_under(own.prefix + rule.destination):
                original = original_of(key, own.prefix, own.copy_rules)
                if original is None:
                    self._found.add_stray(key, DUPLICATE_STRAY, own)
                elif not self._is_there(original):
                    self._duplicate(key, original, DUPLICATE_STRAY)

    def _is_there(self, source: str) -> bool:
        return self._found.is_generated(source) or isinstance(self._cache.entry(*split(source)), FileEntry)

    def _look_at_duplicates(self, services: Looks) -> None:
        look, own = Window(services), self._own
        looks = (
            seen
            for source, entry in live_files(self._cache)
            for key in duplicates(source, own.prefix, own.copy_rules)
            for seen in look.at(key, entry)
        )
        for key, entry, there in itertools.chain(looks, look.rest()):
            source = original_of(key, own.prefix, own.copy_rules)
            if entry and source is not None and difference(there, entry, doubts=False):
                self._duplicate(key, source, DUPLICATE_DIFFERS if there else DUPLICATE_MISSING)

    def _may_have_page(self, directory: str) -> bool:
        name = directory.removeprefix(self._own.prefix)
        return (
            self._own.directory_pages
            and not is_reserved_directory(name, self._own.copy_rules)
            and not isinstance(self._cache.entry(directory, INDEX_NAME), FileEntry)
        )

    def _may_have_redirect(self, directory: str) -> bool:
        return self._own.has_redirect(directory) and not isinstance(self._cache.entry(*split(directory)), FileEntry)

    def _page(self, key: str, directory: str, why: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO page VALUES (?, ?, ?)", (key, directory, why))

    def _duplicate(self, key: str, source: str, why: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO duplicate VALUES (?, ?, ?)", (key, source, why))
