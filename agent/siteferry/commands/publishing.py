"""`siteferry sync`, `run`, `audit`, `adopt` and `reindex`: what works on a connected site."""
# ruff: noqa: T201 - printing is what they are for

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from siteferry.app import open_site, open_to_keep
from siteferry.clock import HostClock
from siteferry.config import Config, load_config
from siteferry.daemon import keep_published
from siteferry.errors import Exit, PausedError, SiteferryError, UsageError
from siteferry.journal import DaemonReporter, is_journal
from siteferry.notify import Manager
from siteferry.report import JsonReporter, PlainReporter, Reporter, Summary, TerminalReporter
from siteferry.rights import too_much
from siteferry.state import StateDirectory
from siteferry.status import record
from siteferry.sync import Site
from siteferry.vitals import Vitals


def sync(options: argparse.Namespace) -> int:
    """Bring the site up to date once."""
    config = _config(options)
    if options.dry_run:
        with open_site(config, _reporter(options), HostClock.until_signalled(), to_look=True) as opened:
            return _exit(opened.site.dry_run(as_json=options.json))
    return _one_run(options, config, lambda site: site.sync())


def run(options: argparse.Namespace) -> int:
    """Keep it up to date until asked to stop."""
    manager = Manager.of(os.environ)
    config = _config(options)
    # Where a terminal is, SIGHUP says that it is gone.
    clock = HostClock.until_signalled(manager, reloads=not os.isatty(0))
    vitals = Vitals(clock.now, _last_cycle(config))
    reporter = _log(options, config, manager, vitals)
    for line in too_much():
        reporter.note(line)
    manager.status(f"connecting site {config.site}")
    try:
        keep_published(
            config,
            lambda: _config(options),
            lambda config: open_to_keep(config, reporter, clock, vitals),
            reporter,
            clock,
            manager,
        )
    except SiteferryError as error:
        return _end(config, reporter, error)
    finally:
        manager.close()
    return int(Exit.DONE)


def audit(options: argparse.Namespace) -> int:
    """Compare tree, index and bucket; mend what differs if that is asked for."""
    config = _config(options)
    if options.repair:
        return _repair(options, config)
    reporter, clock = _reporter(options), HostClock.until_signalled()
    with open_site(config, reporter, clock, to_look=True) as opened:
        totals = opened.site.audit(deep=options.deep)
    if isinstance(reporter, JsonReporter):
        print(json.dumps(asdict(totals) | {"findings": reporter.findings()}))
    else:
        print(totals.line())
    return int(Exit.FAILED if totals.differences else Exit.DONE)


def adopt(options: argparse.Namespace) -> int:
    """Begin with a bucket that has the tree's files."""
    config = _config(options)
    if options.rebuild and options.fudge is not None:
        raise UsageError("--fudge: --rebuild goes by an object's bytes, and not by its age", "leave one of them out")
    fudge = 0.0 if options.fudge is None else options.fudge
    if fudge < 0:
        raise UsageError(f"--fudge {fudge:g}: expected a number of seconds, 0 or more")
    by_age = None if options.rebuild else fudge
    if options.dry_run:
        with open_site(config, _reporter(options), HostClock.until_signalled(), to_look=True) as opened:
            return _exit(opened.site.look_at_adoption(by_age, as_json=options.json))
    return _one_run(options, config, lambda site: site.adopt(by_age))


def reindex(options: argparse.Namespace) -> int:
    """Have pages and redirects made again."""
    config = load_config(options.config)
    reporter = JsonReporter() if options.json else PlainReporter()
    path = os.fsencode(options.directory).strip(b"/")
    with open_site(config, reporter, HostClock.until_signalled(), to_look=True) as opened:
        count = opened.site.reindex(b"" if path == b"." else path)
    if options.json:
        print(json.dumps({"directories": count}))
    else:
        print(f"{count} directories: their pages and redirects are being made again; only what differs is written")
    return int(Exit.DONE)


def _repair(options: argparse.Namespace, config: Config) -> int:
    _refuse_pause(config)
    state = StateDirectory(config.state_dir)
    if state.is_locked():
        state.request_audit(deep=options.deep)
        print("a daemon is running: it audits in its next cycle; `siteferry status` shows what came of it")
        return int(Exit.DONE)
    return _one_run(options, config, lambda site: site.repair(deep=options.deep))


def _one_run(options: argparse.Namespace, config: Config, make: Callable[[Site], Summary]) -> int:
    as_lines = config.log == "json" and not options.json and not sys.stdout.isatty()
    reporter = _log(options, config, Manager(), idle=True) if as_lines else _reporter(options)
    clock = HostClock.until_signalled()
    try:
        _refuse_pause(config)
        with open_site(config, reporter, clock) as opened:
            try:
                summary = make(opened.site)
            except SiteferryError as error:
                record(opened.state, config, error=error)
                raise
            record(opened.state, config, summary=summary)
            reporter.finished(summary)
    except SiteferryError as error:
        if not as_lines:
            raise
        return _end(config, reporter, error)
    return _exit(summary)


def _refuse_pause(config: Config) -> None:
    if pause := StateDirectory(config.state_dir).pause(time.time()):
        raise PausedError(f"site {config.site}: {pause.describe()}", "`siteferry resume` ends the pause")


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config)
    if getattr(options, "workers", None) is not None:
        if not 1 <= options.workers <= 512:  # noqa: PLR2004
            raise UsageError(f"--workers {options.workers}: expected a number from 1 to 512")
        config = replace(config, workers=options.workers)
    if getattr(options, "no_delete", False):
        config = replace(config, delete=False)
    return replace(config, exclude=(*config.exclude, *getattr(options, "exclude", [])))


def _reporter(options: argparse.Namespace) -> Reporter:
    if getattr(options, "json", False):
        return JsonReporter()
    if sys.stdout.isatty():
        return TerminalReporter(quiet=options.quiet)
    return PlainReporter(quiet=options.quiet)


def _log(
    options: argparse.Namespace, config: Config, manager: Manager, vitals: Vitals | None = None, *, idle: bool = False
) -> DaemonReporter:
    return DaemonReporter(
        config.site,
        manager,
        quiet=options.quiet,
        journal=is_journal(sys.stdout),
        as_json=config.log == "json",
        idle=idle,
        vitals=vitals,
    )


def _end(config: Config, reporter: Reporter, error: SiteferryError) -> int:
    """End with an error: in a log of JSON objects it is one of them, otherwise the command complains."""
    if config.log == "text":
        raise error
    reporter.note(f"ERROR: {error}" + (f" ({error.remedy})" if error.remedy else ""))
    return int(error.exit)


def _last_cycle(config: Config) -> float | None:
    last = (StateDirectory(config.state_dir, to_look=True).read_status() or {}).get("last_at")
    return float(last) if last is not None else None


def _exit(summary: Summary) -> int:
    if summary.failed or not summary.closed or summary.stopped:
        return int(Exit.FAILED)
    if summary.held or summary.hold_reason:
        return int(Exit.HELD)
    return int(Exit.FAILED if summary.left else Exit.DONE)
