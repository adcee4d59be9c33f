"""The directory page: deterministic bytes from the entries of a directory. No I/O.

Names are hostile input. Each is escaped as text, stands in a <bdi> (so that it cannot turn around what is beside
it), and its link is relative, begins with `./` (so that it cannot be taken for a scheme), and is percent-encoded.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from siteferry_contract.leaf import Entry, FileEntry
from siteferry_lambdas.urls import quote_name

_STYLE: Final = (
    ":root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}"
    "body{max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}"
    "table{width:100%;border-collapse:collapse}"
    "th{text-align:start;font-weight:600}"
    "th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)}"
    "td:first-child{overflow-wrap:anywhere}"
    ".n{text-align:end;white-space:nowrap;font-variant-numeric:tabular-nums}"
    "a{text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT: Final = 1024


def render(directory: str, entries: Iterable[Entry]) -> bytes:
    """Render the page of a directory, given without the site's prefix ("" for the root).

    Subdirectories come first, each group is sorted by code point, and names that begin with a dot are not listed.
    """
    listed = [entry for entry in entries if not entry.name.startswith(".")]
    files = sorted((entry for entry in listed if isinstance(entry, FileEntry)), key=lambda entry: entry.name)
    directories = sorted(entry.name for entry in listed if not isinstance(entry, FileEntry))
    title = f"Index of {_text(f'/{directory}/' if directory else '/')}"
    lines = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        f'<nav aria-label="Breadcrumbs"><h1>Index of {"".join(_breadcrumbs(directory))}</h1></nav>',
        "<table>",
        "<thead>",
        "<tr>",
        '<th scope="col">Name</th>',
        '<th scope="col" class="n">Size</th>',
        '<th scope="col" class="n">Modified (UTC)</th>',
        "</tr>",
        "</thead>",
        "<tbody>",
        *(_directory_row(name) for name in directories),
        *(_file_row(file) for file in files),
        "</tbody>",
        "</table>",
        "</body>",
        "</html>",
        "",
    )
    return "\n".join(lines).encode()


def format_size(size: int) -> str:
    """Give a size in bytes as people read it: units of 1,024, one decimal."""
    if size < _UNIT:
        return f"{size} B"
    amount = float(size)
    units = iter(("KiB", "MiB", "GiB", "TiB"))
    unit = "B"
    while round(amount, 1) >= _UNIT and unit != "TiB":
        amount, unit = amount / _UNIT, next(units)
    return f"{amount:.1f} {unit}"


def format_time(mtime_ns: int) -> str:
    """Give a time in UTC to the minute; "" if no calendar has it: FTP users may set any."""
    try:
        # From the epoch by hand: fromtimestamp depends on the platform's C library.
        return (_EPOCH + timedelta(seconds=mtime_ns // 10**9)).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return ""


def _breadcrumbs(directory: str) -> Iterator[str]:
    parts = directory.split("/") if directory else []
    depth = len(parts)
    yield f'<a href="{"../" * depth}">/</a>' if depth else "/"
    for level, part in enumerate(parts, 1):
        up = "../" * (depth - level)
        yield f'<a href="{up}"><bdi>{_text(part)}</bdi></a>/' if up else f"<bdi>{_text(part)}</bdi>/"


def _directory_row(name: str) -> str:
    href = escape(f"./{quote_name(name)}/")
    return f'<tr><td><a href="{href}"><bdi>{_text(name)}</bdi>/</a></td><td></td><td></td></tr>'


def _file_row(file: FileEntry) -> str:
    href = escape(f"./{quote_name(file.name)}")
    return (
        f'<tr><td><a href="{href}"><bdi>{_text(file.name)}</bdi></a></td>'
        f'<td class="n" title="{file.size} bytes">{format_size(file.size)}</td>'
        f'<td class="n">{format_time(file.mtime_ns)}</td></tr>'
    )


def _text(name: str) -> str:
    # Parsers read a bare carriage return as a newline.
    return escape(name).replace("\r", "&#13;")
