"""`python -m tests.bench CASE … --files N`: what siteferry and its peers take, side by side on one tree and one server.

Cases: first (the bucket is empty), nochange, changed (1 %), daemon (a cycle of `siteferry run` without a change), one
(one file changed beside a running daemon), hinted (the same, and the FTP server's log says so), restore (into an empty
directory), again (the same, nothing differs), renamed (a directory with all files, what the Lambdas do included),
rebuilt (the index is lost, the bucket as it was); `all` is all of them; `render` writes docs/benchmarks.md from what
was saved; `cover` compares invalidations, in docs/invalidation.md; `cost` computes docs/cost.md.
"""
# ruff: noqa: T201 - printing is what it is for

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import cost, cover
from tests.bench.cases import CASES
from tests.bench.goals import judge, judge_growth
from tests.bench.peers import KINDS
from tests.bench.render import render
from tests.bench.results import CACHE, Result, load, machine, now
from tests.bench.table import table, title
from tests.bench.workbench import Workbench, WrongError, open_workbench


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases; gives the exit code: with --check 1 if a goal is missed; 2 if a tool failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+", choices=[*CASES, "all", "render", "cover", "cost"], metavar="CASE")
    parser.add_argument("--files", type=int, default=100_000, help="in the tree")
    parser.add_argument("--rounds", type=int, default=3, help="of each tool, in turn; medians are told")
    parser.add_argument("--peers", default="", help=f"of {','.join(KINDS)}, separated by commas; default: none")
    parser.add_argument(
        "--copies", type=int, default=0, help="of the tree, hard-linked beside it: for trees larger than the disk"
    )
    parser.add_argument("--python", help="has the siteferry to measure; default: one with this checkout's agent alone")
    parser.add_argument("--results", type=Path, default=CACHE, help=f"where results are saved; default: {CACHE}")
    parser.add_argument("--json", action="store_true", help="print JSON, a document a case")
    parser.add_argument("--check", action="store_true", help="judge the goals; exit 1 if one is missed")
    options = parser.parse_args(arguments)
    if options.cases == ["render"]:
        render(list(load(options.results)), Path("docs"))
        return 0
    if options.cases == ["cover"]:
        print(cover.main())
        return 0
    if options.cases == ["cost"]:
        Path("docs/cost.md").write_text(cost.document(), "utf-8")
        return 0
    peers = [name for name in options.peers.split(",") if name]
    try:
        missed = _run(options, peers)
    except WrongError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if missed else 0


def _run(options: argparse.Namespace, peers: Sequence[str]) -> int:
    missed = 0
    with open_workbench(options.files, peers, CACHE.absolute(), copies=options.copies, python=options.python) as bench:
        for case in CASES if "all" in options.cases else options.cases:
            result = run_case(bench, case, options.rounds)
            result.save(options.results)
            print(result.as_json() if options.json else "\n".join([title(result), *table(result)]), flush=True)
            if options.check:
                missed += _tell_goals(result, options.results)
    return missed


def run_case(bench: Workbench, case: str, rounds: int) -> Result:
    """Measure one case."""
    before = os.getloadavg()[0]
    rows = CASES[case](bench, rounds)
    return Result(
        case=case,
        files=bench.files,
        copies=bench.copies,
        date=now(),
        machine=machine(),
        load=[before, os.getloadavg()[0]],
        versions=bench.versions,
        rows=rows,
    )


def _tell_goals(result: Result, results: Path) -> int:
    goals = judge(result)
    if result.case == "nochange":
        goals += judge_growth(list(load(results)))
    for goal in goals:
        print(goal.line(), file=sys.stderr)
    return sum(not goal.met for goal in goals)


if __name__ == "__main__":
    sys.exit(main())
