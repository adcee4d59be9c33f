"""What is delivered of a key: the object in the bucket with its duplicates, the jobs under way, the CDN's answer."""

import email.utils
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from siteferry.disagree import GENERATED, difference
from siteferry.errors import SiteferryError
from siteferry.explained import Step, note, well, wrong
from siteferry.headers import Headers
from siteferry.names import printable
from siteferry.plan_report import human_size
from siteferry.ports import Cdn, ObjectInfo, ObjectStore, QueueCounts, QueueLook
from siteferry_contract.copy_rules import duplicates
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JOB_KINDS, JobKind
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import MTIME, is_generated
from siteferry_contract.urls import url_paths

_METADATA: Final = "x-amz-meta-"
_OWN_METADATA: Final = "siteferry-"
_NOT_FOUND: Final = (403, 404)
"""A reader that may not list gets 403 of what is missing."""
_OK: Final = 200
_SHOWN_HEADERS: Final = ("age", "x-cache", "content-length", "last-modified", "etag")


class Wanted(StrEnum):
    """What there should be at a key."""

    FILE = "file"
    PAGE = "page"
    """A generated directory page."""
    DUPLICATE = "duplicate"
    PENDING = "pending"
    """What the next run makes of it, since disk and index differ on whether it exists: what is there is from before."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Target:
    """A key, and what there should be."""

    key: str
    wanted: Wanted
    entry: FileEntry | None = None
    """Of a file, as the index has it."""
    source: str = ""
    """Of a duplicate."""
    redirect: str = ""
    """Key at which a redirect leads to it; empty: there should be none."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the bucket has at a key."""

    key: str
    info: ObjectInfo | None
    modified: datetime | None

    @property
    def word(self) -> str:
        """Say in a word what it is."""
        return "missing" if self.info is None else "generated" if is_generated(self.info.metadata) else "object"

    def same_as(self, other: "Stored") -> bool:
        """Tell whether both have the same bytes, as far as can be seen, or are both missing."""
        if self.info is None or other.info is None:
            return self.info is other.info
        sums = {self.info.crc64nvme, other.info.crc64nvme} - {None}
        return self.info.size == other.info.size and len(sums) <= 1

    def line(self) -> str:
        """Say it for people."""
        if self.info is None:
            return f"{printable(self.key)}: missing"
        kind = "generated object" if self.word == "generated" else "object"
        since = f", put {when(self.modified.timestamp())}" if self.modified else ""
        return f"{printable(self.key)}: {kind} of {human_size(self.info.size)}{since}"

    def facts(self) -> dict[str, Any]:
        """Give it for programs."""
        info = self.info
        return {
            "key": self.key,
            "is": self.word,
            "size": info.size if info else None,
            "crc64nvme": f"{info.crc64nvme:016x}" if info and info.crc64nvme is not None else None,
            "modified": self.modified.timestamp() if self.modified else None,
            "headers": dict(info.headers) if info else {},
            "metadata": dict(info.metadata) if info else {},
        }


class Delivery:
    """Looks at what is delivered of one site."""

    def __init__(
        self, descriptor: Descriptor, objects: ObjectStore, headers: Headers, queues: QueueLook, cdn: Cdn
    ) -> None:
        self._own, self._objects, self._headers, self._queues, self._cdn = descriptor, objects, headers, queues, cdn
        self._counts: dict[JobKind, QueueCounts] = {}
        self._stored: dict[str, Stored] = {}

    def stored(self, key: str) -> Stored:
        """Look at a key; once."""
        if key not in self._stored:
            info = self._objects.head(key)
            first = next(iter(self._objects.list(key)), None) if info else None
            self._stored[key] = Stored(key, info, first.modified if first and first.key == key else None)
        return self._stored[key]

    def queues(self) -> Step:
        """Count the jobs; to be called first, since what to do next depends on them."""
        try:
            self._counts = {kind: self._queues.count(kind) for kind in JOB_KINDS}
        except SiteferryError as error:
            return note(f"could not be counted: {printable(str(error))}")
        facts: dict[str, Any] = {kind: asdict(counts) for kind, counts in self._counts.items()}
        dead = sum(counts.dead for counts in self._counts.values())
        waiting = sum(counts.waiting for counts in self._counts.values())
        details = [
            f"{kind}: {counts.waiting} on their way, {counts.dead} failed at every try"
            for kind, counts in self._counts.items()
            if counts.waiting or counts.dead
        ]
        if dead:
            return note(
                f"jobs that failed at every try: {dead}", details, facts, "`siteferry redrive --dry-run` tells why"
            )
        return note(f"jobs on their way: {waiting}", details, facts) if waiting else well("no job waits", (), facts)

    def bucket(self, target: Target) -> Step:
        """Compare the bucket with what should be there, duplicates included."""
        main = self.stored(target.key)
        copies = list(duplicates(target.key, self._own.prefix, self._own.copy_rules))
        beside = [key for key in (target.source, target.redirect) if key]
        shown = [main, *map(self.stored, [*beside, *copies])]
        differing = self._differing_headers(target, main)
        details = [stored.line() for stored in shown] if len(shown) > 1 or main.info else []
        details += [
            f"header {name}: {printable(str(now))}, by the rules {printable(str(rule))}"
            for name, (now, rule) in differing.items()
        ]
        facts = {
            "wanted": target.wanted.value,
            "object": main.facts(),
            "source": self.stored(target.source).facts() if target.source else None,
            "redirect": self.stored(target.redirect).facts() if target.redirect else None,
            "duplicates": [self.stored(key).facts() for key in copies],
            "headers_differing": {name: {"is": now, "by_the_rules": rule} for name, (now, rule) in differing.items()},
        }
        why, remedy = self._why_not(target, main)
        if why:
            return wrong(why, remedy, details, facts)
        for key in copies:
            if not self.stored(key).same_as(main):
                itself = "; itself it is there" if main.info else ""
                text = f"its duplicate {printable(key)} {_unlike(self.stored(key), main)}{itself}"
                return wrong(text, self._patience("copy" if main.info else "delete"), details, facts)
        if target.redirect and self.stored(target.redirect).info is None:
            name = printable(target.redirect.rpartition("/")[2])
            text = f"its redirect is missing: {name} without a slash at its end leads nowhere"
            return wrong(text, self._patience("page"), details, facts)
        if target.wanted is Wanted.PENDING:
            return note("what is there stays until the next run" if main.info else "nothing is there", details, facts)
        other = ", but its headers are not those of the rules" if differing else ""
        return well(_WELL[target.wanted] + other, details, facts)

    def cdn(self, target: Target) -> Step:
        """Ask the CDN for the key's URL, and compare."""
        path = url_paths(target.key, self._own.prefix)[0]
        url = f"https://{self._own.domain}{path}"
        try:
            visit = self._cdn.visit(path)
        except SiteferryError as error:
            return note(f"could not be asked: {printable(str(error))}", [url], {"url": url, "status": None})
        shown = {name: printable(visit.headers[name]) for name in _SHOWN_HEADERS if name in visit.headers}
        details = [url, f"status {visit.status}", *(f"{name}: {value}" for name, value in shown.items())]
        stored = self.stored(target.key)
        facts: dict[str, Any] = {"url": url, "status": visit.status, "headers": shown, "as_in_bucket": None}
        if visit.status == _OK:
            facts["as_in_bucket"] = same = stored.info is not None and _is_same(visit.headers, stored)
            if same:
                return well("it serves what the bucket has", details, facts)
            older = "an older version" if stored.info else "what is no longer in the bucket"
            return wrong(
                f"the CDN still serves {older}: an invalidation is under way, or waits in the queue",
                self._patience("invalidate"),
                details,
                facts,
            )
        if visit.status not in _NOT_FOUND:
            return wrong(f"the CDN answers {visit.status}", "look at the distribution in the console", details, facts)
        if stored.info is None:
            return well(f"{visit.status}: it serves nothing, as the bucket has nothing", details, facts)
        remedy = "wait: an answer that nothing is there is cached for seconds; if it stays, look at the bucket's policy"
        return wrong(f"the CDN answers {visit.status}, though the bucket has it", remedy, details, facts)

    def _why_not(self, target: Target, main: Stored) -> tuple[str, str]:
        """Say what is wrong with the object itself, and what to do; "" if nothing."""
        match target.wanted:
            case Wanted.FILE:
                assert target.entry is not None
                why = difference(main.info, target.entry, doubts=False)
                told = f"the file is {why}" if why and why != GENERATED else why
                return told, "`siteferry audit --repair` publishes it again"
            case Wanted.PAGE:
                why = {"missing": "the directory page is missing", "generated": ""}.get(
                    main.word, "an object that was deleted, or that nobody published, is in the directory page's place"
                )
                return why, self._patience("page" if main.info is None else "delete")
            case Wanted.DUPLICATE:
                source = self.stored(target.source)
                why = f"the duplicate {_unlike(main, source)}" if not main.same_as(source) else ""
                return why, self._patience("copy" if source.info else "delete")
            case Wanted.PENDING:
                return "", ""
            case Wanted.NOTHING:
                why = {"missing": "", "generated": "a directory page that should be gone is in the bucket"}.get(
                    main.word, "an object that was deleted, or that nobody published, is in the bucket"
                )
                return why, self._patience("page" if main.word == "generated" else "delete")

    def _differing_headers(self, target: Target, main: Stored) -> Mapping[str, tuple[str | None, str | None]]:
        if target.wanted not in (Wanted.FILE, Wanted.DUPLICATE) or main.info is None or main.word == "generated":
            return {}
        wanted = self._headers.settings(target.source or target.key)
        own = {name: value for name, value in main.info.metadata.items() if not name.startswith(_OWN_METADATA)}
        now = {**main.info.headers, **{_METADATA + name: value for name, value in own.items() if name != MTIME}}
        names = sorted({*wanted, *now})
        return {name: (now.get(name), wanted.get(name)) for name in names if now.get(name) != wanted.get(name)}

    def _patience(self, kind: JobKind) -> str:
        """Say what to do about something that a job of a kind mends."""
        counts = self._counts.get(kind)
        if counts and counts.dead:
            return f"{kind} jobs failed at every try: `siteferry redrive --dry-run` tells why"
        if counts and counts.waiting:
            return f"wait: {kind} jobs are on their way ({counts.waiting})"
        stays = "invalidate its path in the console" if kind == "invalidate" else "`siteferry audit --repair` mends it"
        return f"look again in a minute; if it stays: {stays}"


_WELL: Final = {
    Wanted.FILE: "the object is the file that the index has",
    Wanted.PAGE: "the directory page is there",
    Wanted.DUPLICATE: "the duplicate is as its original",
    Wanted.NOTHING: "nothing is there",
}


def when(seconds: float) -> str:
    """Show a time (seconds since 1970) in this host's zone."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # any FTP user can set a file's mtime
        return f"{seconds:.0f} s after 1970"


def header_lines(headers: Mapping[str, str]) -> Sequence[str]:
    """Show headers."""
    return [f"{name}: {printable(value)}" for name, value in headers.items()]


def _unlike(stored: Stored, other: Stored) -> str:
    if stored.info is None:
        return "is missing"
    return "differs from its original" if other.info else "is still there, its original is not"


def _is_same(headers: Mapping[str, str], stored: Stored) -> bool:
    """Tell whether an answer is about the object as it is now, by its length and when it was put."""
    assert stored.info is not None
    length, date = headers.get("content-length"), headers.get("last-modified")
    if length is not None and length != str(stored.info.size):
        return False
    if date is None or stored.modified is None:
        return True
    try:
        return int(email.utils.parsedate_to_datetime(date).timestamp()) >= int(stored.modified.timestamp())
    except (TypeError, ValueError, OverflowError):
        return True
