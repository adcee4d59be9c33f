"""`siteferry restore`, `history` and `undo`: the way back."""
# ruff: noqa: T201 - printing is what it is for

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from siteferry.app import open_to_restore
from siteferry.clock import HostClock
from siteferry.config import Config, load_config
from siteferry.errors import Exit, UsageError
from siteferry.names import printable
from siteferry.plan_report import human_size
from siteferry.report import PlainReporter
from siteferry.restore.history import History
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document, Lines, print_plan, problems
from siteferry.restore.restore import Asked, Restorer, Source
from siteferry.restore.scope import Scope, scope_of
from siteferry.restore.tally import RestoreSummary
from siteferry.restore.target import Target
from siteferry.restore.times import shown, time_asked
from siteferry.restore.undo import Undo
from siteferry.runs import CHANGED, DELETED, NEW, TOUCHED, Run, RunRecord
from siteferry.state import StateDirectory


def restore(options: argparse.Namespace) -> int:
    """Restore a tree, or bring one up to date."""
    config = _config(options)
    as_of = time_asked(options.as_of, "--as-of", time.time()) if options.as_of else None
    if options.approve is not None and not options.delete:
        raise UsageError("--approve is for deletes", "add --delete, or leave it out")
    asked = Asked(
        Source(options.from_bucket, as_of),
        scope_below(options.path, config.root),
        options.compare,
        options.delete,
        options.approve,
        options.overwrite,
    )
    destination = Path(options.destination).absolute()
    clock = HostClock.until_signalled()
    with (
        open_to_restore(config, PlainReporter(sys.stderr), clock) as restorer,
        Target(destination) as target,
        RestorePlan() as plan,
    ):
        restorer.plan(asked, target, plan)
        if options.dry_run:
            print_plan(plan, as_json=options.json)
            return exit_of(plan, RestoreSummary())
        return exit_of(plan, carry_out(restorer, plan, target, options))


def undo(options: argparse.Namespace) -> int:
    """Take back what a run published, or all since a time: in the tree, for the next sync to publish."""
    config = _config(options)
    if (options.run is None) == (options.since is None):
        raise UsageError("undo what?", "give a run's number (`siteferry history` lists them), or --since TIME")
    since = time_asked(options.since, "--since", time.time()) if options.since else None
    scope = scope_below(options.path, config.root)
    with (
        open_to_restore(config, PlainReporter(sys.stderr), HostClock.until_signalled()) as restorer,
        RunRecord(config.state_dir) as record,
        Target(config.root) as target,
        RestorePlan() as plan,
    ):
        planner = Undo(restorer, record, options.approve)
        if since is None:
            planner.plan_run(options.run, scope, target, plan)
        else:
            planner.plan_since(since, scope, target, plan)
        if options.dry_run or not options.yes:
            print_plan(plan, as_json=options.json)
        if not options.json:
            _tell_missing(config, options)
        if plan.totals.empty or options.dry_run or (options.json and not options.yes):
            return exit_of(plan, RestoreSummary())
        if not (options.yes or sys.stdin.isatty()):
            print("nothing was done: look at the plan, then add --yes")
            return int(Exit.FAILED)
        if not (options.yes or _agreed(restorer)):
            return int(Exit.DONE)
        begun = time.time()
        summary = carry_out(restorer, plan, target, options)
    if not options.json and (summary.restored or summary.deleted):
        print(f"the next sync publishes it; `siteferry undo --since '{shown(begun)}'` takes it back after that")
        if summary.deleted > config.brake.files:
            print("if `siteferry status` says HELD then, that is what was removed: `siteferry approve`")
    return exit_of(plan, summary)


def _tell_missing(config: Config, options: argparse.Namespace) -> None:
    """Say what an undo of one run cannot bring back: what is gone from the tree, but not by any run."""
    held = _held(config)
    if options.run is not None and held:
        print(
            f"{held:,} more published files are gone from the tree, and their deletes held: no run did that;"
            " `siteferry undo --since TIME` or `siteferry restore` brings them back"
        )


def _held(config: Config) -> int:
    """Give how many deletes the last full run held."""
    status = StateDirectory(config.state_dir, to_look=True).read_status() or {}
    return int((status.get("last") or {}).get("held", 0))


def history(options: argparse.Namespace) -> int:
    """Show what changed when: the runs of this host, or the versions of a file or directory."""
    config = load_config(options.config)
    since = time_asked(options.since, "--since", time.time()) if options.since else 0.0
    StateDirectory(config.state_dir, to_look=True).check_readable()
    with RunRecord(config.state_dir) as record:
        if options.run is not None:
            return _print_run(record, options)
        if options.path is None:
            _print_runs([run for run in record.runs(options.limit) if run.opened >= since], options)
            if not options.json and (held := _held(config)):
                print(f"now: {held:,} deletes are held, and of no run yet (`siteferry sync --dry-run` names them)")
            return int(Exit.DONE)
        scope = scope_below(options.path, config.root)
        with open_to_restore(config, PlainReporter(sys.stderr), HostClock.until_signalled()) as restorer:
            found = History(restorer.archive, restorer.parts.naming, record).events(scope, since, options.limit)
    rows = [{**asdict(event), "path": printable(event.path)} for event in found]
    if options.json:
        print(json.dumps({"events": rows}))
        return int(Exit.DONE)
    for event in found:
        details = [human_size(event.size)] if event.size is not None else []
        details += [f"run {event.run}"] if event.run is not None else []
        print(f"{shown(event.at)}  {event.what:8} {printable(event.path)} ({', '.join(details)})".removesuffix(" ()"))
    if not found:
        print("nothing changed there, as far as versions are kept")
    if len(found) == options.limit:
        print(f"… and maybe more: --limit {10 * options.limit}")
    return int(Exit.DONE)


def _print_runs(runs: Sequence[Run], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps({"runs": [asdict(run) for run in runs]}))
        return int(Exit.DONE)
    for run in runs:
        counts = [f"{count:,} {what}" for what in (NEW, CHANGED, DELETED, TOUCHED) if (count := getattr(run, what))]
        cut = "" if run.closed is not None else "  CUT SHORT"
        print(f"run {run.number:<6} {shown(run.opened)}  {', '.join(counts) or 'directories only'}{cut}")
    if not runs:
        print("this host has no record of runs; `siteferry history PATH` asks the bucket")
    return int(Exit.DONE)


def _print_run(record: RunRecord, options: argparse.Namespace) -> int:
    run = record.run(options.run)
    if run is None:
        raise UsageError(f"this host has no record of run {options.run}", "`siteferry history` lists those it has")
    changes = [{"path": printable(path), "what": what} for path, what in record.changes(run.number)]
    if options.json:
        print(json.dumps({"run": asdict(run), "changes": changes}))
        return int(Exit.DONE)
    _print_runs([run], options)
    for change in changes:
        print(f"{change['what']:8} {change['path']}")
    return int(Exit.DONE)


def _agreed(restorer: Restorer) -> bool:
    with _interruptible():
        if restorer.parts.stopping():  # it was asked for while the plan was made
            raise KeyboardInterrupt
        try:
            return input("do this in the tree? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            print()
            return False


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGINT and SIGTERM end what waits for a person: it would wait on where they only ask for a stop."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def carry_out(restorer: Restorer, plan: RestorePlan, target: Target, options: argparse.Namespace) -> RestoreSummary:
    """Do what is planned, and tell what came of it."""
    if options.json:
        document = Document()
        summary = restorer.carry_out(plan, target, document)
        left = {"left": problems(plan), "hold_reason": plan.hold_reason, "held": plan.totals.held}
        print(json.dumps({**asdict(summary), "same": plan.totals.same, **left, "failures": document.failures}))
        return summary
    lines = Lines(quiet=options.quiet)
    lines.planned(plan)
    summary = restorer.carry_out(plan, target, lines)
    lines.note(_summary(plan, summary))
    return summary


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
    again = "as something failed: the same command again"
    parts += [f"{summary.not_deleted:,} not deleted, {again}"] if summary.not_deleted else []
    parts += [f"{summary.skipped:,} redirects passed over"] if summary.skipped else []
    parts += [f"{plan.totals.problems:,} left as they are"] if plan.totals.problems else []
    parts += [f"{plan.totals.held:,} deletes held"] if plan.totals.held else []
    parts += [] if summary.owners_kept else ["not all belong to whom they should: that takes root"]
    parts += ["stopped: the same command goes on from here"] if summary.stopped else []
    return ", ".join(parts)


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config)
    if options.workers is not None:
        if not 1 <= options.workers <= 512:  # noqa: PLR2004
            raise UsageError(f"--workers {options.workers}: expected a number from 1 to 512")
        config = replace(config, workers=options.workers)
    return config
