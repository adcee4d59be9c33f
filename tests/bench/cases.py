"""The cases: what is done, round by round, with all tools in turn on the same tree and server."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.bench.daemon import hinted, idle, one_file
from tests.bench.handlers import renamed
from tests.bench.restoring import again, from_nothing
from tests.bench.site import TABLE
from tests.bench.tree import edit_tree
from tests.bench.workbench import LIMIT, LIMIT_TWO, Rows, Workbench, WrongError, in_turn

CHANGED_PART: Final = 0.01


def no_change(bench: Workbench, rounds: int) -> Rows:
    """Nothing changed since the last run. Beside them, what a scan in C takes."""
    bench.bring_to_par()
    rows: Rows = {}
    for tool in bench.tools:
        bench.run(tool)  # what a first look leaves behind for later ones is there
    for turn in range(rounds):
        if bench.limit:
            rows.setdefault(LIMIT, []).append(bench.run_limit(1))
            rows.setdefault(LIMIT_TWO, []).append(bench.run_limit(2))
        for tool in in_turn(bench.tools, turn):
            rows.setdefault(tool.name, []).append(bench.run(tool))
    return rows


def changed(bench: Workbench, rounds: int) -> Rows:
    """One file in a hundred was overwritten, created, removed or renamed."""
    bench.bring_to_par()
    rows: Rows = {}
    for turn in range(rounds):
        bench.edits += 1
        edits = edit_tree(bench.root, CHANGED_PART, seed=bench.edits)
        bench.wait_settled()
        for tool in in_turn(bench.tools, turn):
            rows.setdefault(tool.name, []).append(bench.run(tool))
            bench.verify(tool, edits)
    return rows


def first(bench: Workbench, rounds: int) -> Rows:
    """The bucket is empty."""
    rows: Rows = {}
    bench.wait_settled()
    for turn in range(rounds):
        for tool in in_turn(bench.tools, turn):
            tool.forget()
            rows.setdefault(tool.name, []).append(bench.run(tool))
            bench.verify(tool)
            bench.at_par.add(tool.name)
    return rows


def rebuilt(bench: Workbench, rounds: int) -> Rows:
    """The index is lost, and the bucket as it was."""
    bench.bring_to_par()
    rows: Rows = {}
    for _ in range(rounds):
        bench.server.drop(TABLE)
        row = bench.run(bench.site, "adopt", "--rebuild", "--quiet")
        if puts := row["requests"].get("s3.PutObject", 0):
            raise WrongError(f"{puts} files were uploaded again")
        rows.setdefault(bench.site.name, []).append(row)
        bench.run(bench.site)
    return rows


CASES: Final[Mapping[str, Callable[[Workbench, int], Rows]]] = {
    "first": first,
    "nochange": no_change,
    "changed": changed,
    "daemon": idle,
    "one": one_file,
    "hinted": hinted,
    "restore": from_nothing,
    "again": again,
    "renamed": renamed,
    "rebuilt": rebuilt,
}
