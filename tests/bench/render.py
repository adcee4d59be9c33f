"""docs/benchmarks.md from what was saved."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from siteferry_infra.sizes import SIZES
from tests.bench.bill import BILLED_FILES, PRICES, bill, lambda_dollars
from tests.bench.goals import MEGABYTES_OF_A_CPU, SITE, Goal, in_lambda, judge, judge_growth
from tests.bench.handlers import HANDLERS
from tests.bench.plot import Series, plot
from tests.bench.results import Result
from tests.bench.table import TITLES, table, title
from tests.bench.workbench import LIMIT_TWO

PLOT: Final = "benchmarks.svg"
_BUSY: Final = 0.8
"""Of the time: a server at work for more than this holds its client up."""
_PLOTTED: Final = ("nochange", "changed", "first")
_INTRODUCTION: Final = """\
# What it costs to keep a bucket up to date

Written by `uv run python -m tests.bench render` from the last results; `make bench` measures anew. One case at one
size, with the goals judged:

    uv run python -m tests.bench nochange --files 100000 --rounds 3 --peers rclone,s5cmd,awscli,s3cmd --check

All tools work on the same tree and the same server, in the same run, in turn, round by round; the tables show medians.
The tree is made up, skewed as real ones are: a fifth of the files in four directories, the others in many small ones,
3.7 KB a file. The server keeps names, sizes and checksums in memory, and answers through TLS on this machine: there is
no network, so wall times say little about a real one. siteferry runs by its own command, with every safety rule on.

- **CPU**: seconds, user and system, of all processes of a tool. **RSS**: the peak of their sum; what two processes
  share counts in each, unlike in **PSS**.
- siteferry's deletes are jobs, which the handlers carry out: they are not in its requests. Of the peers they are.
- The peers are tuned: rclone by `--fast-list --update --use-server-modtime --s3-no-head`, s3cmd by its cache of MD5s.
  Of s5cmd a part goes into TLS handshakes: it keeps two idle connections, whatever its number of workers.
- After each change it is checked that the bucket is what the tree is.
"""

_NOTES: Final = {
    "restore": """\
siteferry restores as on a new host: it reads the index from the table. A file gets its name once its checksum is right
and all of it is on disk; it has its own mtime then. The peers check no checksum of what they download and wait for no
disk; what rclone downloads has the time of its upload, by `--use-server-modtime`. `without fsync` is siteferry with a
preloaded library in which `fsync` and `syncfs` do nothing. Each restored tree is compared with the site, byte for byte.
""",
    "again": """\
siteferry reads every file and compares checksums, unless `--compare` says otherwise; `rclone --checksum` reads every
file as well. The other peers go by size and time. What each works on is what it restored itself.
""",
}

_LIMITS: Final = """\
## What the limits are

Measured on the machine below, November 2026.

- **No change.** Two thirds of a scan's CPU time are `os.scandir` and `DirEntry.stat`, alone a third more than
  all of C's: Python makes an object of every stat. Digesting takes an eighth. To start takes 0.6 s in all, most of it
  Python's and botocore's, whatever the tree's size: at 100,000 files that is most of the whole.
- **One file changed.** It is found by a scan of the whole tree, and published after the scan's end, because only then
  it is known that deletes are within bounds.
- **First sync.** Of 0.34 ms a file, 0.11 are the PUT in obstore (TLS, HTTP and SigV4, as cheap as it comes), 0.12 all
  that the agent does with the PUTs left out, on one thread. The rest is threads that wait for Python's lock.
- **Restore.** Of 0.32 ms a file when it was profiled, 0.15 are the GET in obstore, 0.09 the file (open without a name,
  write, mode, mtime, link, close; two thirds of it in the kernel), 0.02 index and plan. The rest is threads that wait
  for Python's lock. So half of rclone's, some 0.25, is out of reach of what is checked and written by Python. One sync
  for 128 files costs next to nothing; an fsync for each took a quarter of the CPU time before. Memory is that of what
  is under way: the plan is spilled to disk.
- **1 % changed.** Directories with a change are compared file by file, and most files are in directories with one.
"""


def render(results: Sequence[Result], docs: Path) -> None:
    """Write the page and its plot."""
    (docs / PLOT).write_text(plot(_panels(results)))
    (docs / "benchmarks.md").write_text("\n".join(_page(results)) + "\n")


def _page(results: Sequence[Result]) -> Iterator[str]:
    yield _INTRODUCTION
    yield f"![CPU seconds against files, of siteferry and its peers]({PLOT})\n"
    for files in sorted({result.files for result in results}):
        for case in TITLES:
            for result in results:
                if (result.files, result.case) == (files, case):
                    yield from _section(result)
    yield from _goals("Growth", judge_growth(results))
    yield from _bill(results)
    yield _LIMITS
    yield from _machine(results)


def _section(result: Result) -> Iterator[str]:
    yield f"## {title(result)}\n"
    if result.case in _NOTES:
        yield _NOTES[result.case]
    yield from table(result)
    rounds = len(result.rows[SITE])
    load = " to ".join(f"{load:.1f}" for load in result.load)
    copies = f", the files in {result.copies} of {result.copies + 1} parts are hard links" if result.copies else ""
    yield f"\n{rounds} round{'s' if rounds > 1 else ''}, {result.date}, load average {load}{copies}."
    if held_up := [tool for tool, rows in result.rows.items() if _is_held_up(rows)]:
        yield f"The server was what these waited for, so their wall time is its own: {', '.join(held_up)}."
    yield ""
    yield from _handlers(result)
    yield from _goals("", judge(result))


def _handlers(result: Result) -> Iterator[str]:
    """Give what the Lambdas' part of a case would take in AWS."""
    rows = result.rows.get(HANDLERS)
    if not rows:
        return
    row = sorted(rows, key=lambda one: one["cpu"])[len(rows) // 2]
    grows = BILLED_FILES / result.files
    yield "| jobs | batches | names | CPU s | longest batch, s in a Lambda | its time-out, s |"
    yield "|---|---:|---:|---:|---:|---:|"
    for kind, batch in row["batches"].items():
        longest = in_lambda(kind, batch["longest_cpu"])
        numbers = f"{batch['batches']:,} | {batch['names']:,} | {batch['cpu']:.1f} | {longest:.0f}"
        yield f"| {kind} | {numbers} | {SIZES[kind].timeout_seconds} |"
    seconds = sum(in_lambda(kind, batch["cpu"]) / SIZES[kind].max_concurrency for kind, batch in row["batches"].items())
    yield (
        f"\nA Lambda has a CPU at {MEGABYTES_OF_A_CPU:,} MB, and as much of one as its memory is of that. With as many"
        f" at once as the template allows, a backlog of {BILLED_FILES:,} renamed files takes about"
        f" {seconds * grows / 60:,.0f} minutes of CPU, for ${lambda_dollars(row) * grows:,.2f}: requests, Lambda and"
        " invalidation paths.\n"
    )


def _is_held_up(rows: Sequence[Mapping[str, Any]]) -> bool:
    busy = sum(row.get("server_cpu", 0) for row in rows)
    return bool(busy > _BUSY * sum(row["wall"] for row in rows))


def _goals(heading: str, goals: Sequence[Goal]) -> Iterator[str]:
    if goals and heading:
        yield f"## {heading}\n"
    yield from (f"- {goal.line()}" for goal in goals)
    if goals:
        yield ""


def _bill(results: Sequence[Result]) -> Iterator[str]:
    if not any(result.case == "first" for result in results):
        return
    yield f"## The bill of a site of {BILLED_FILES:,} files\n"
    yield (
        "Requests counted, of the largest tree measured, in proportion to the files. siteferry runs as a daemon, which"
        f" without a change only renews its lease; `aws s3 sync` runs from cron, every minute.\n{PRICES}. Storage and"
        " traffic are not in it, nor what the Lambdas do.\n"
    )
    yield "| | siteferry | `aws s3 sync` |"
    yield "|---|---:|---:|"
    for text, *values in bill(results):
        yield f"| {text} | {' | '.join('' if value is None else f'${value:,.2f}' for value in values)} |"
    yield ""


def _machine(results: Sequence[Result]) -> Iterator[str]:
    if not results:
        return
    last = max(results, key=lambda result: result.date)
    yield "## Machine and versions\n"
    yield from (f"- {name}: {value}" for name, value in last.machine.items())
    versions: dict[str, str] = {}
    for result in sorted(results, key=lambda result: result.date):
        versions |= result.versions
    yield from (f"- {name}: {version}" for name, version in versions.items())


def _panels(results: Sequence[Result]) -> dict[str, Series]:
    panels: dict[str, Series] = {}
    for case in _PLOTTED:
        series: dict[str, list[tuple[float, float]]] = {}
        for result in sorted(results, key=lambda result: result.files):
            for tool in result.rows:
                if result.case == case and tool != LIMIT_TWO:
                    series.setdefault(tool, []).append((result.files, result.median(tool, "cpu")))
            if (case, result.case) == ("nochange", "daemon"):
                series.setdefault("a daemon's cycle", []).append((result.files, result.median(SITE, "cpu")))
        if series:
            panels[TITLES[case]] = series
    return panels
