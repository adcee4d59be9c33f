"""The audit: tree, index and bucket side by side, and what differs (rule 9)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from siteferry.cache import Cache
from siteferry.derived import MISSING, Derived
from siteferry.disagree import CLOCK_SKEW, STRAY, Disagreements, Looks, Scope, difference
from siteferry.report import Finding
from siteferry_contract.keys import split
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import is_generated

MOST_SECOND_LOOKS: Final = 10_000
"""Differences that are looked at again; more are no daemon's work of the moment."""


@dataclass(frozen=True, slots=True)
class AuditTotals:
    """What an audit came to."""

    listed: int
    files: int
    """That the index has."""
    differences: int
    foreign: int
    """Objects with keys that no file can have: left alone."""

    def line(self) -> str:
        """Say it in one line."""
        parts = [f"{self.listed} objects, {self.files} files in the index"]
        parts += [f"{self.foreign} objects whose keys no file can have"] if self.foreign else []
        remedy = "; `siteferry audit --repair` mends them" if self.differences else ""
        return ", ".join(parts) + f": {self.differences or 'no'} differences{remedy}"


def audit_scope(*, since: float | None, deep: bool) -> Scope:
    """Look at every object that the index does not have, and at those modified since the last audit, or at all.

    `since` is when that began, in seconds since 1970; None: there was none, and only a deep one looks at checksums,
    because a HEAD of every object of a large site takes hours.
    """
    modified = datetime.fromtimestamp(since, UTC) - CLOCK_SKEW if since is not None else None
    return Scope(
        live=lambda listed: deep or (modified is not None and listed.modified >= modified),
        other=lambda _: True,
        doubts=False,
        derived=True,
    )


def findings(found: Disagreements, derived: Derived) -> Iterator[Finding]:
    """Give every difference, files first."""
    for key, why in found.suspects():
        yield Finding("file", key, why)
    for key, why in found.strays():
        yield Finding("stray", key, why)
    for key, _, why in derived.duplicates():
        yield Finding("duplicate", key, why)
    for key, _, why in derived.pages():
        yield Finding("page", key, why)


def totals(cache: Cache, found: Disagreements, derived: Derived) -> AuditTotals:
    """Count."""
    return AuditTotals(
        found.listed_count() + found.foreign, cache.file_count(), found.count() + derived.count(), found.foreign
    )


def look_again(cache: Cache, services: Looks, found: Disagreements, derived: Derived) -> None:
    """Take off what is in order by now: a running daemon, or jobs under way, made it look different."""
    head = services.objects.head
    if found.count() + derived.count() > MOST_SECOND_LOOKS:
        return
    for finding in list(findings(found, derived)):
        if finding.kind not in ("file", "stray"):
            continue
        entry, there = cache.entry(*split(finding.key)), head(finding.key)
        if isinstance(entry, FileEntry):
            agree = not difference(there, entry, doubts=False)
        else:
            agree = there is None or (is_generated(there.metadata) and finding.why == STRAY)
        if agree:
            found.resolve(finding.key)

    def is_page_right(key: str, why: str) -> bool:
        there = head(key)
        generated = there is not None and is_generated(there.metadata)
        return generated == (why in MISSING)

    def is_duplicate_right(key: str, source: str) -> bool:
        there, original = head(key), head(source)
        if there is None or original is None:
            return there is original
        return (there.size, there.crc64nvme) == (original.size, original.crc64nvme)

    derived.resolve(is_page_right, is_duplicate_right)
