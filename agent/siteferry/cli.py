"""The `siteferry` command. Imports what a command needs only when it runs."""

import argparse
import io
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from siteferry import __version__
from siteferry.config import DEFAULT_PATH, Config, load_config
from siteferry.errors import Exit, SiteferryError, UsageError
from siteferry_contract.job import JOB_KINDS

if TYPE_CHECKING:
    from siteferry.clock import HostClock
    from siteferry.report import Reporter, Summary

_DESCRIPTION: Final = """\
Publishes a web site that people manage over FTP to S3 and CloudFront.

The least that the configuration needs:

    site = "www"            # a name from infra/sites.toml, deployed with `npx cdk deploy`
    root = "/srv/ftp/www"   # the FTP tree; siteferry never writes in it
"""
_EPILOG: Final = """\
exit codes:
  0   done                              66  the root is not there
  1   not all is done                   69  AWS cannot be reached; nothing is lost
  3   deletes are held (see approve)    75  another sync of this site is running
  64  wrong usage                       77  no credentials, or not enough of them
  70  the index is damaged              78  wrong configuration
  74  the state directory cannot be used
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name must not end a run on a latin-1 terminal
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except SiteferryError as error:
        print(f"siteferry: {error}", file=sys.stderr)
        if error.remedy:
            print(f"           {error.remedy}", file=sys.stderr)
        return int(error.exit)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return int(Exit.DONE)
    except (OSError, sqlite3.Error) as error:
        print(f"siteferry: {error}", file=sys.stderr)
        return int(Exit.IO_ERROR)
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message, f"`{self.prog} --help` shows how")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="siteferry", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"siteferry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=run)
        command.add_argument(
            "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"configuration (default: {DEFAULT_PATH})"
        )
        return command

    sync = add("sync", _sync, "Bring the site up to date once.")
    sync.add_argument("--dry-run", action="store_true", help="show the plan with its reasons; change nothing")
    sync.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    sync.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    _add_overrides(sync)
    run = add("run", _run, "Keep the site up to date, until SIGTERM; what systemd starts.")
    run.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    _add_overrides(run)
    status = add("status", _status, "Show how the last run went, from this host alone.")
    status.add_argument("--json", action="store_true", help="print JSON")
    add("approve", _approve, "Let the next run make the deletes that the last one held, once.")
    redrive = add("redrive", _redrive, "Send what waits in the dead-letter queues back to be tried again.")
    redrive.add_argument("queue", nargs="?", choices=JOB_KINDS, help="only this queue; default: all four")
    redrive.add_argument("--dry-run", action="store_true", help="only show what waits")
    redrive.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    return parser


def _add_overrides(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workers", type=int, metavar="N", help="concurrent uploads, instead of the configured number"
    )
    command.add_argument("--no-delete", action="store_true", help="delete nothing from S3 in this run")
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="names that are no part of the site: what is published of them is deleted; may be repeated",
    )


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config)
    if getattr(options, "workers", None) is not None:
        if not 1 <= options.workers <= 512:  # noqa: PLR2004
            raise UsageError(f"--workers {options.workers}: expected a number from 1 to 512")
        config = replace(config, workers=options.workers)
    if getattr(options, "no_delete", False):
        config = replace(config, delete=False)
    return replace(config, exclude=(*config.exclude, *getattr(options, "exclude", [])))


def _sync(options: argparse.Namespace) -> int:
    config = _config(options)
    reporter, clock = _reporter(options, daemon=False), _clock()
    from siteferry.app import open_site  # noqa: PLC0415
    from siteferry.status import record  # noqa: PLC0415

    with open_site(config, reporter, clock, to_look=options.dry_run) as opened:
        if options.dry_run:
            return _exit(opened.site.dry_run(as_json=options.json))
        try:
            summary = opened.site.sync()
        except SiteferryError as error:
            record(opened.state, config, error=error)
            raise
        record(opened.state, config, summary=summary)
        reporter.finished(summary)
    return _exit(summary)


def _run(options: argparse.Namespace) -> int:
    config = _config(options)
    reporter, clock = _reporter(options, daemon=True), _clock()
    from siteferry.app import open_site  # noqa: PLC0415
    from siteferry.daemon import run_daemon  # noqa: PLC0415

    again = True
    while again:
        with open_site(config, reporter, clock) as opened:
            again = run_daemon(opened, config, reporter, clock)
    return int(Exit.DONE)


def _status(options: argparse.Namespace) -> int:
    import json  # noqa: PLC0415

    from siteferry.state import StateDirectory  # noqa: PLC0415
    from siteferry.status import describe, read  # noqa: PLC0415

    config = load_config(options.config)
    status = read(StateDirectory(config.state_dir, to_look=True), config)
    print(json.dumps(status, indent=1) if options.json else describe(status))
    return int(Exit.DONE)


def _approve(options: argparse.Namespace) -> int:
    from siteferry.state import StateDirectory  # noqa: PLC0415

    config = load_config(options.config)
    state = StateDirectory(config.state_dir)
    held = ((state.read_status() or {}).get("last") or {}).get("held", 0)
    if not held:
        raise UsageError("no deletes are held, so there is nothing to approve", "`siteferry status` shows the last run")
    state.approve(held)
    print(f"approved: the next run may delete up to {held} files, once")
    return int(Exit.DONE)


def _redrive(options: argparse.Namespace) -> int:
    import json  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    from siteferry.app import open_dead_letters  # noqa: PLC0415
    from siteferry.redrive import DeadLetter, redrive  # noqa: PLC0415

    config = load_config(options.config)
    letters, descriptor = open_dead_letters(config)

    def hears(letter: DeadLetter, text: str, *, moved: bool) -> None:
        if not options.json:
            print(f"{'moved' if moved else 'waits' if options.dry_run else 'LEFT'}  {letter.kind}: {text}")

    kinds = (options.queue,) if options.queue else JOB_KINDS
    results = redrive(letters, descriptor, hears, kinds=kinds, move=not options.dry_run)
    if options.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        for result in results:
            print(f"{result.kind:10} {result.waiting} waiting, {result.moved} moved, {result.left} left")
        if any(result.waiting for result in results):
            print(f"why a job failed: search the log group /siteferry/{config.site}/KIND for its id")
    return int(Exit.FAILED if any(result.left for result in results) and not options.dry_run else Exit.DONE)


def _reporter(options: argparse.Namespace, *, daemon: bool) -> "Reporter":
    from siteferry.report import JsonReporter, PlainReporter, TerminalReporter  # noqa: PLC0415

    if getattr(options, "json", False):
        return JsonReporter()
    if not daemon and sys.stdout.isatty():
        return TerminalReporter(quiet=options.quiet)
    return PlainReporter(quiet=options.quiet, idle=not daemon)


def _clock() -> "HostClock":
    from siteferry.clock import HostClock  # noqa: PLC0415

    clock = HostClock()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop.set())
    return clock


def _exit(summary: "Summary") -> int:
    if summary.failed or not summary.closed or summary.stopped:
        return int(Exit.FAILED)
    return int(Exit.HELD if summary.held or summary.hold_reason else Exit.DONE)
