"""Results as a table, for a terminal and for the docs alike."""

from typing import Final

from tests.bench.goals import SITE
from tests.bench.results import Result

TITLES: Final = {
    "nochange": "No change",
    "changed": "1 % changed",
    "first": "First sync",
    "daemon": "A cycle of the daemon without a change",
    "one": "One file changed, beside a running daemon",
    "hinted": "One file changed, and the FTP server's log says so, an hour before the next cycle",
    "restore": "Restore into an empty directory",
    "again": "Restore again, nothing differs",
    "renamed": "A directory renamed, all files in it, to the end of what the Lambdas do about it",
    "rebuilt": "The index is lost, and rebuilt from tree and bucket",
}
_HEADER: Final = ("", "CPU s", "of siteferry's", "wall s", "RSS MiB", "PSS MiB", "largest process", "requests")


def title(result: Result) -> str:
    """Name a result."""
    return f"{TITLES[result.case]}, {result.files:,} files"


def table(result: Result) -> list[str]:
    """Give the lines of a Markdown table: medians over the rounds."""
    rows = [_HEADER, *(_row(result, tool) for tool in result.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) if n in (0, 7) else cell.rjust(width)
                          for n, (cell, width) in enumerate(zip(row, widths, strict=True))) + " |"
        for row in rows
    ]  # fmt: skip
    rule = "|".join("-" * (width + 2) if n in (0, 7) else "-" * (width + 1) + ":" for n, width in enumerate(widths))
    return [lines[0], f"|{rule}|", *lines[1:]]


def _row(result: Result, tool: str) -> tuple[str, ...]:
    cpu = result.median(tool, "cpu")
    memory = ["" if name not in result.rows[tool][0] else f"{result.median(tool, name) / 2**20:.0f}"
              for name in ("rss", "pss", "largest")]  # fmt: skip
    ratio = f"{cpu / result.median(SITE, 'cpu'):.2f}"
    return (tool, f"{cpu:.2f}", ratio, f"{result.median(tool, 'wall'):.2f}", *memory, _requests(result.requests(tool)))


def _requests(counted: dict[str, float]) -> str:
    return ", ".join(f"{count:,.0f} {name.partition('.')[2]}" for name, count in counted.items() if count)
