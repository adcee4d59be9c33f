"""`siteferry restore`: the way back."""
# ruff: noqa: T201 - printing is what it is for

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from siteferry.app import open_to_restore
from siteferry.clock import HostClock
from siteferry.config import Config, load_config
from siteferry.errors import Exit, UsageError
from siteferry.plan_report import human_size
from siteferry.report import PlainReporter
from siteferry.restore.carry import RestoreSummary
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document, Lines, print_plan, problems
from siteferry.restore.restore import Asked, Restorer, Source
from siteferry.restore.scope import Scope, scope_of
from siteferry.restore.times import time_asked


def restore(options: argparse.Namespace) -> int:
    """Restore a tree, or bring one up to date."""
    config = _config(options)
    as_of = time_asked(options.as_of, "--as-of", time.time()) if options.as_of else None
    if options.approve is not None and not options.delete:
        raise UsageError("--approve is for deletes", "add --delete, or leave it out")
    asked = Asked(
        Path(options.destination).absolute(),
        Source(options.from_bucket, as_of),
        scope_below(options.path, config.root),
        options.compare,
        options.delete,
        options.approve,
    )
    clock = HostClock.until_signalled()
    with open_to_restore(config, PlainReporter(sys.stderr), clock) as restorer, RestorePlan() as plan:
        restorer.plan(asked, plan)
        if options.dry_run:
            print_plan(plan, as_json=options.json)
            return exit_of(plan, RestoreSummary())
        return carry_out(restorer, plan, asked.destination, options)


def carry_out(restorer: Restorer, plan: RestorePlan, destination: Path, options: argparse.Namespace) -> int:
    """Do what is planned, and tell what came of it; gives the exit code."""
    if options.json:
        document = Document()
        summary = restorer.carry_out(plan, destination, document)
        left = {"left": problems(plan), "hold_reason": plan.hold_reason, "held": plan.totals.held}
        print(json.dumps({**asdict(summary), "same": plan.totals.same, **left, "failures": document.failures}))
        return exit_of(plan, summary)
    lines = Lines(quiet=options.quiet)
    lines.planned(plan)
    summary = restorer.carry_out(plan, destination, lines)
    lines.note(_summary(plan, summary))
    return exit_of(plan, summary)


def exit_of(plan: RestorePlan, summary: RestoreSummary) -> int:
    """Give the exit code."""
    if summary.failed or summary.stopped or plan.totals.problems:
        return int(Exit.FAILED)
    return int(Exit.HELD if plan.totals.held else Exit.DONE)


def scope_below(argument: str | None, root: Path) -> Scope:
    """Give the scope that --path names: relative to the site's root, or absolute beneath it; raises UsageError."""
    raw, top = os.fsencode(argument or ""), os.fsencode(root)
    if raw == top or raw.startswith(top + b"/"):
        raw = raw[len(top) :]
    elif raw.startswith(b"/"):
        raise UsageError(
            f"--path {argument}: is not beneath the root {root}", "give a path relative to the site's root"
        )
    return scope_of(raw)


def _summary(plan: RestorePlan, summary: RestoreSummary) -> str:
    parts = [f"restored {summary.restored:,} files ({human_size(summary.restored_bytes)})"]
    parts += [f"{summary.times:,} got their mtime"] if summary.times else []
    parts += [f"deleted {summary.deleted:,}"] if summary.deleted else []
    parts += [f"{summary.failed:,} FAILED"] if summary.failed else []
    parts += [f"{plan.totals.problems:,} left as they are"] if plan.totals.problems else []
    parts += [f"{plan.totals.held:,} deletes held"] if plan.totals.held else []
    parts += ["stopped: the same command goes on from here"] if summary.stopped else []
    return ", ".join(parts)


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config)
    if options.workers is not None:
        if not 1 <= options.workers <= 512:  # noqa: PLR2004
            raise UsageError(f"--workers {options.workers}: expected a number from 1 to 512")
        config = replace(config, workers=options.workers)
    return config
