"""The `siteferry` command. Imports what a command needs only when it runs."""

import argparse
import gc
import io
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from siteferry import __version__, help_texts
from siteferry.config import DEFAULT_PATH
from siteferry.errors import Exit, SiteferryError, UsageError
from siteferry_contract.job import JOB_KINDS

COLLECT_AFTER: Final = 20_000
"""New objects between two looks for garbage in cycles. The agent leaves next to none, and with Python's 700 a tenth of
a first sync's CPU time goes into looking."""

_TIMES: Final = (
    "2026-11-20 (its beginning), '2026-11-20 14:30' (this host's time zone), yesterday, or 2h, 3d for so long ago"
)

_Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: its name, its module, what it does in a line, and more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name must not end a run on a latin-1 terminal
    try:
        options = make_parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = getattr(import_module(options.module), options.function)
        return command(options)
    except SiteferryError as error:
        _complain(f"siteferry: {error}", *([f"           {error.remedy}"] if error.remedy else []))
        return int(error.exit)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return int(Exit.DONE)
    except (OSError, sqlite3.Error) as error:
        _complain(f"siteferry: {error}")
        return int(Exit.IO_ERROR)
    except KeyboardInterrupt:
        return 130


def _complain(*lines: str) -> None:
    from siteferry.journal import is_journal  # noqa: PLC0415
    from siteferry.lines import PRIORITIES  # noqa: PLC0415

    for line in lines:
        print((PRIORITIES["error"] if is_journal(sys.stderr) else "") + line, file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message, f"`{self.prog} --help` shows how")


def make_parser() -> argparse.ArgumentParser:
    """Make the command line's parser; the manual page and the completions are made from it."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="siteferry", description=help_texts.DESCRIPTION, epilog=help_texts.EPILOG, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"siteferry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, module: str, text: str, more: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text + more, formatter_class=raw)
        command.set_defaults(module=f"siteferry.commands.{module}", function=name)
        command.add_argument(
            "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"configuration (default: {DEFAULT_PATH})"
        )
        return command

    _add_publishing(add)
    _add_looking(add)
    _add_mending(add)
    _add_restoring(add)
    _add_past(add)
    return parser


def _add_publishing(add: _Add) -> None:
    sync = add("sync", "publishing", "Bring the site up to date once.")
    sync.add_argument("--dry-run", action="store_true", help="show the plan with its reasons; change nothing")
    sync.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    sync.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    _add_overrides(sync)
    run = add("run", "publishing", "Keep the site up to date, until SIGTERM; what systemd starts.")
    run.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    _add_overrides(run)


def _add_looking(add: _Add) -> None:
    check = add(
        "check", "checking", "Say whether everything is as the agent needs it, and what to do.", help_texts.CHECK
    )
    check.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    status = add("status", "host", "Show what the agent does, and how the last run went.", help_texts.STATUS)
    status.add_argument("--watch", action="store_true", help="show it again every 2 seconds, until Ctrl-C")
    status.add_argument("--local", action="store_true", help="only what this host knows; ask AWS for nothing")
    status.add_argument("--json", action="store_true", help="print JSON")
    pause = add("pause", "host", "Publish nothing from this host until it is resumed.", help_texts.PAUSE)
    pause.add_argument(
        "--for", dest="duration", metavar="DURATION", help="end by itself after this: 30m, 2h, 1d (default: `resume`)"
    )
    pause.add_argument("reason", nargs="*", metavar="REASON", help="for those who wonder; `status` shows it")
    add("resume", "host", "End a pause.")
    add("approve", "host", "Let the next run make the deletes that the last one held, once.")
    explain = add("explain", "looking", "Say why a file is not live: its way from disk to CDN.", help_texts.EXPLAIN)
    explain.add_argument("path", metavar="PATH", help="a path beneath the root, or a URL of the site")
    explain.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


def _add_mending(add: _Add) -> None:
    audit = add("audit", "publishing", "Compare tree, index and bucket, and tell what differs.", help_texts.AUDIT)
    audit.add_argument("--repair", action="store_true", help="mend what differs, as a run of its own")
    audit.add_argument("--deep", action="store_true", help="look at every object's checksum, and render every page")
    audit.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    audit.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    adopt = add("adopt", "publishing", "Begin with a bucket that has the tree's files already.", help_texts.ADOPT)
    adopt.add_argument(
        "--fudge",
        type=float,
        metavar="SECONDS",
        help="by which an object may be older than its file and still be taken for it (default: 0)",
    )
    adopt.add_argument(
        "--rebuild",
        action="store_true",
        help="the index was lost: make it again, by the checksums of files and objects",
    )
    adopt.add_argument("--dry-run", action="store_true", help="show the plan with its reasons; change nothing")
    adopt.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    adopt.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    reindex = add("reindex", "publishing", "Have directory pages and redirects made again.", help_texts.REINDEX)
    reindex.add_argument(
        "directory", nargs="?", default="", metavar="DIRECTORY", help="only this one, and all beneath it; default: all"
    )
    reindex.add_argument("--json", action="store_true", help="print JSON")
    redrive = add("redrive", "letters", "Send what waits in the dead-letter queues back to be tried again.")
    redrive.epilog = help_texts.REDRIVE
    redrive.add_argument("queue", nargs="?", choices=JOB_KINDS, help="only this queue; default: all four")
    redrive.add_argument("--dry-run", action="store_true", help="only show what waits, and why it failed")
    redrive.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


def _add_restoring(add: _Add) -> None:
    restore = add(
        "restore", "restoring", "Download the site into a directory, or bring one up to date.", help_texts.RESTORE
    )
    restore.add_argument("destination", metavar="DEST", help="the directory; it is made if it is not there")
    _add_of_restoring(restore)
    restore.add_argument("--as-of", metavar="TIME", help=f"as the site was then: {_TIMES}")
    restore.add_argument("--from-bucket", action="store_true", help="without the index, when that is lost")
    restore.add_argument("--delete", action="store_true", help="remove files that the site does not have, with a brake")
    restore.add_argument(
        "--compare",
        choices=("checksum", "size", "mtime"),
        default="checksum",
        help="by which a file that is there already is taken for the site's (default: checksum)",
    )
    restore.add_argument("--approve", type=int, metavar="N", help="let up to N deletes that the brake would hold go")
    restore.add_argument(
        "--overwrite", action="store_true",
        help="where DEST is the published root: replace and remove what is published nowhere, too",
    )  # fmt: skip
    restore.add_argument("--dry-run", action="store_true", help="show the plan with its reasons; change nothing")


def _add_past(add: _Add) -> None:
    history = add("history", "restoring", "Show what changed when.", help_texts.HISTORY)
    history.add_argument("path", nargs="?", metavar="PATH", help="a file or directory of the site; default: the runs")
    history.add_argument("--run", type=int, metavar="N", help="what this run changed")
    history.add_argument("--since", metavar="TIME", help=f"only what changed since: {_TIMES}")
    history.add_argument("--limit", type=int, default=50, metavar="N", help="show at most so many (default: 50)")
    history.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    undo = add(
        "undo", "restoring", "Take back in the FTP tree what a run published, or all since a time.", help_texts.UNDO
    )
    undo.add_argument("run", nargs="?", type=int, metavar="RUN", help="the number of a run; `siteferry history` has it")
    undo.add_argument("--since", metavar="TIME", help=f"all since then: {_TIMES}")
    _add_of_restoring(undo)
    undo.add_argument("--approve", type=int, metavar="N", help="let up to N deletes that the brake would hold go")
    undo.add_argument(
        "--dry-run", action="store_true", help="show the plan with its reasons; change nothing, ask nothing"
    )
    undo.add_argument("--yes", action="store_true", help="do it; otherwise the plan is shown, and a terminal is asked")


def _add_of_restoring(command: argparse.ArgumentParser) -> None:
    command.add_argument("--path", metavar="SUB", help="only this file or directory of the site, with all beneath it")
    command.add_argument(
        "--workers", type=int, metavar="N", help="concurrent downloads, instead of the configured number"
    )
    command.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    command.add_argument("--quiet", action="store_true", help="print no line for a file that went well")


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
