"""The directory page: deterministic bytes from the entries of a directory. No I/O.

Names are hostile input. Each is escaped as text, stands in a <bdi> (so that it cannot turn around what is beside
it), and its link is relative, begins with `./` (so that it cannot be taken for a scheme), and is percent-encoded.

A row has few bytes, as a directory may have thousands: end tags that HTML lets one leave out are left out, and the
script sorts by what is there to be read. `LAYOUT_VERSION` is counted up with each change of what pages look like.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from html import escape
from operator import itemgetter
from typing import Final

from siteferry_contract.leaf import Entry, FileEntry
from siteferry_contract.urls import quote_name
from siteferry_lambdas.kinds import FOLDER, WORDS, kind_of
from siteferry_lambdas.layout import LAYOUT, Layout
from siteferry_lambdas.names import plain_name, shown_name

_EPOCH: Final = date(1970, 1, 1)
_DAY: Final = 24 * 60 * 60
_MINUTES: Final = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)]
_UNIT: Final = 1024
_ROUNDED_UP: Final = _UNIT - 0.05
"""What one decimal shows as the next unit."""
_ORDINARY: Final = re.compile(r"[0-9A-Za-z_.-]+")
"""Names that are the same as text, as a link and on the screen: nearly all, so they go the short way."""
_TABLE: Final = (
    '<table class=sf-listing aria-label="Folders and files">\n'
    "<thead><tr><th scope=col aria-sort=ascending>Name<th scope=col>Kind<th scope=col>Size"
    "<th scope=col>Modified (UTC)</thead>\n"
)
_GROUP: Final = 100
"""Rows of one <tbody>. Those of a full one have a height that can be guessed, so it is laid out when it is near."""


def render(directory: str, entries: Iterable[Entry], layout: Layout = LAYOUT) -> bytes:
    """Render the page of a directory, given without the site's prefix ("" for the root).

    Subdirectories come first, each group is sorted by code point, and names that begin with a dot are not listed.
    """
    listed = [entry for entry in entries if not entry.name.startswith(".")]
    files = sorted((entry for entry in listed if isinstance(entry, FileEntry)), key=itemgetter(0))
    directories = sorted(entry.name for entry in listed if not isinstance(entry, FileEntry))
    filled = {
        "title": f"Index of /{''.join(f'{plain_name(part)}/' for part in _parts(directory))}",
        "breadcrumbs": "".join(_breadcrumbs(_parts(directory))),
        "summary": _summary(len(directories), files),
        "listing": "".join(_listing(directory, directories, files)),
    }
    pairs = zip(layout.names, layout.texts[1:], strict=True)
    return "".join((layout.texts[0], *(filled[name] + text for name, text in pairs))).encode()


def format_size(size: int) -> str:
    """Give a size in bytes as people read it: units of 1,024, one decimal."""
    if size < _UNIT:
        return f"{size} B"
    amount = size / _UNIT
    for unit in ("KiB", "MiB", "GiB"):
        if amount < _ROUNDED_UP:
            return f"{amount:.1f} {unit}"
        amount /= _UNIT
    return f"{amount:.1f} TiB"


def format_time(mtime_ns: int) -> str:
    """Give a time in UTC to the minute; "" if no calendar has it: FTP users may set any."""
    day, second = divmod(mtime_ns // 10**9, _DAY)
    text = _format_day(day)
    return f"{text} {_MINUTES[second // 60]}Z" if text else ""


@lru_cache(4096)
def _format_day(day: int) -> str:
    try:
        return (_EPOCH + timedelta(days=day)).isoformat()
    except OverflowError:
        return ""


def _parts(directory: str) -> list[str]:
    return directory.split("/") if directory else []


def _breadcrumbs(parts: list[str]) -> Iterator[str]:
    # Relative, so that they also hold for the duplicate of a page.
    *above, own = ("Home", *map(shown_name, parts))
    yield '<nav class=sf-trail aria-label="Breadcrumbs"><ol>'
    for level, name in enumerate(above):
        yield f'<li><a href="{"../" * (len(above) - level)}"><bdi>{name}</bdi></a>'
    yield f"<li aria-current=page><h1><bdi>{own}</bdi></h1></ol></nav>"


def _summary(directories: int, files: list[FileEntry]) -> str:
    counts = [_count(directories, "folder")] if directories else []
    if files or not directories:
        counts.append(_count(len(files), "file"))
    if files:
        size = sum(file.size for file in files)
        counts.append(f'<span title="{size:,} bytes">{format_size(size)}</span>')
    return f"<p class=sf-summary>{', '.join(counts)}</p>"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _listing(directory: str, directories: list[str], files: list[FileEntry]) -> Iterator[str]:
    parent = '<a class=sf-parent href="../">Parent folder</a>' if directory else ""
    yield f"<div class=sf-tools>{parent}</div>\n"
    if not directories and not files:
        yield "<p class=sf-empty>This folder is empty.</p>"
        return
    yield _TABLE
    rows = [*map(_directory_row, directories), *map(_file_row, files)]
    for start in range(0, len(rows), _GROUP):
        group = rows[start : start + _GROUP]
        yield "<tbody class=sf-full>\n" if len(group) == _GROUP else "<tbody>\n"
        yield from group
    yield "</table>"


def _directory_row(name: str) -> str:
    link, shown = _link_and_text(name)
    return f'<tr class=sf-{FOLDER}><td><a href="./{link}/"><bdi>{shown}</bdi>/</a><td>{WORDS[FOLDER]}<td><td>\n'


def _file_row(file: FileEntry) -> str:
    name, size, mtime_ns, *_ = file
    link, shown = _link_and_text(name)
    kind = kind_of(name)
    exact = f' title="{size:,} bytes"' if size >= _UNIT else ""
    time = format_time(mtime_ns)
    return (
        f'<tr class=sf-{kind}><td><a href="./{link}"><bdi>{shown}</bdi></a><td>{WORDS[kind]}'
        f"<td{exact}>{format_size(size)}<td>{f'<time>{time}</time>' if time else ''}\n"
    )


def _link_and_text(name: str) -> tuple[str, str]:
    if _ORDINARY.fullmatch(name):
        return name, name
    return escape(quote_name(name)), shown_name(name)
