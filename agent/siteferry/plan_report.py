"""A plan for people and for scripts, before it is carried out."""
# ruff: noqa: T201 - printing is what it is for

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from siteferry.names import printable
from siteferry.plan import OF_FILES, Action, Plan, Problem, Totals

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000


def print_plan(plan: Plan, problems: Sequence[Problem], *, as_json: bool, hold_reason: str = "") -> None:
    """Print a plan without carrying it out."""
    if as_json:
        _print_plan_json(plan, problems, hold_reason)
        return
    for change in plan.changes():
        if change.action in OF_FILES:
            size = f", {human_size(change.state.size)}" if change.state else ""
            print(f"{change.action.value:7} {printable(change.full_path)} ({change.reason}{size})")
    for change in plan.changes(held=True):
        if change.action is Action.DELETE:
            print(f"held    {printable(change.full_path)} ({change.reason})")
    for problem in problems:
        print(f"skip    {printable(problem.path)}: {problem.reason}")
    if hold_reason:
        print(f"HELD: {hold_reason}")
    print(describe_totals(plan.totals))


def _print_plan_json(plan: Plan, problems: Sequence[Problem], hold_reason: str) -> None:
    """One document, written as it is read: a plan may be large."""
    out = sys.stdout
    out.write('{"changes": [')
    rows = itertools.chain(
        ((change, False) for change in plan.changes()), ((change, True) for change in plan.changes(held=True))
    )
    for n, (change, held) in enumerate(rows):
        row = {
            "held": held,
            "action": change.action.value,
            "reason": change.reason,
            "key": change.key,
            "path": printable(change.full_path),
            "size": change.state.size if change.state else None,
        }
        out.write(("\n" if n == 0 else ",\n") + json.dumps(row))
    skipped = [{"path": printable(problem.path), "reason": problem.reason} for problem in problems]
    tail = {"problems": skipped, "hold_reason": hold_reason, "totals": asdict(plan.totals)}
    out.write("\n], " + json.dumps(tail)[1:] + "\n")


def describe_totals(totals: Totals) -> str:
    """Say what a plan comes to."""
    if totals.empty:
        parts = ["nothing to do"]
    else:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(totals.reasons.items()))
        effects = [f"{totals.puts} to publish ({human_size(totals.put_bytes)})"] if totals.puts else []
        effects += [f"{totals.adopted} to adopt"] if totals.adopted else []
        compared = f"{totals.compared} to compare with the bucket ({human_size(totals.compared_bytes)})"
        effects += [compared] if totals.compared else []
        effects += [f"{totals.headers} to get other headers"] if totals.headers else []
        effects += [f"{totals.deletes} to delete"] if totals.deletes else []
        effects += [] if effects else [f"{totals.others} directories"]
        parts = [f"plan: {', '.join(effects)}" + (f" [{reasons}]" if reasons else "")]
    parts += [f"{totals.deferred} deferred (still being written)"] if totals.deferred else []
    parts += [f"{totals.held} deletes held"] if totals.held else []
    parts += [f"{totals.kept} deletes left out (switched off)"] if totals.kept else []
    return ", ".join(parts)


def human_size(size: float) -> str:
    """Give a number of bytes for people, in powers of 1,000."""
    for unit in _UNITS:
        if size < _THOUSAND or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    raise AssertionError
