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

from siteferry import __version__
from siteferry.config import DEFAULT_PATH
from siteferry.errors import Exit, SiteferryError, UsageError
from siteferry_contract.job import JOB_KINDS

COLLECT_AFTER: Final = 20_000
"""New objects between two looks for garbage in cycles. The agent leaves next to none, and with Python's 700 a tenth of
a first sync's CPU time goes into looking."""

_DESCRIPTION: Final = """\
Publishes a web site that people manage over FTP to S3 and CloudFront.

The least that the configuration needs:

    site = "www"            # a name from infra/sites.toml, deployed with `npx cdk deploy`
    root = "/srv/ftp/www"   # the FTP tree; the agent never writes in it
"""
_EPILOG: Final = """\
exit codes:
  0   done                              66  the root is not there
  1   not all is done                   69  AWS cannot be reached; nothing is lost
  3   deletes are held (see approve)    75  another sync runs, or the site is paused
  64  wrong usage                       77  no credentials, or not enough of them
  70  the index is damaged              78  wrong configuration
  74  the state directory cannot be used
"""
_REDRIVE: Final = """\
A job that failed at every try (five) waits in the dead-letter queue of its kind for up to 14 days. For each, this shows
what it is about and the last error that its handler logged; of the first 20 of a queue, since a log is slow to search.

  1. siteferry redrive --dry-run   what waits, and why it failed
  2. remove the cause              a permission, a limit, an outage
  3. siteferry redrive             moves it back; safe at any time, twice, and beside a running daemon

What is no job cannot be done by any handler. It is left where it is, shown with its message id and how it begins, and
the exit code is 1 while any is left. Find out who sent it; then delete it in the SQS console, in the queue
siteferry-SITE-KIND-dead, by that id. Of a job of another version the error says what to upgrade first.

Ctrl-C stops between two letters; what was not moved still waits.
"""

_AUDIT_HELP: Final = """

Every object is listed, and its size compared. Checksums are looked at one by one of what was modified since the last
audit that mended, and with --deep of all; so is what the index does not have. Without --repair nothing is changed, and
a daemon may be running; with it, a daemon that is running does it in its next cycle. A file that differs is published
again, what has no file is deleted (the delete brake holds as always), duplicates and directory pages are made again.
`siteferry run` audits by itself every `audit_days` days.

exit codes: 0 nothing differs, or all was mended; 1 something differs; 3 deletes are held; others as `siteferry --help`
"""
_REINDEX_HELP: Final = """

After another layout of the pages, say. Works beside a running daemon: it only sends jobs. Only pages that differ are
written; all are invalidated.

  siteferry reindex            all of the site
  siteferry reindex photos     photos/ and all beneath it
"""
_EXPLAIN_HELP: Final = """

PATH is relative to the root, or absolute beneath it, or the URL that a visitor would open. It may be a file, a
directory, or something that is no longer there. Shown are, in this order: what is on disk; which rules apply to it
(exclude, encoding, copy rules, header rules, settle); what the index has, and how the agent does; what the bucket has
at its key and at its duplicates'; how many jobs wait; what the CDN answers. The first NO is the reason, and what to do
about it is said. Nothing is changed, and a daemon may be running.

  siteferry explain docs/price-list.pdf
  siteferry explain https://www.example.com/docs/ --json

exit codes: 0 it is live, or rightly absent; 1 it is not live, or should be gone; others as `siteferry --help`
"""
_ADOPT_HELP: Final = """

For a first run on a bucket that another tool filled (`aws s3 sync`, say). An object of the same size as its file, and
not older, counts as published and is not uploaded; everything else is. Nothing is deleted, and headers of what is
adopted stay as they are. Look at --dry-run first.

With --rebuild: for a site whose index was lost, while the bucket is as siteferry left it. The table must be there, and
empty. Every file is read, and every object asked for its checksum (one HEAD each): what has its file's bytes is entered
with its checksum and not uploaded, only given the headers of the present rules if it has others; all else is uploaded,
and so is what S3 has no checksum of as a whole. Nothing is deleted: what the tree no longer has stays until
`siteferry audit --repair`. Directory pages and duplicates are made again, and all of the site invalidated at the end.
If it is cut short, give it again: it goes on where it was. --dry-run goes by sizes alone.

  another tool filled the bucket                     siteferry adopt
  the table was deleted or emptied                   siteferry adopt --rebuild
  the index is there, and differs from the bucket    siteferry audit --repair
"""
_RESTORE_HELP: Final = """

Names, bytes and mtimes come back as they were on the FTP host; directory pages and duplicates, which siteferry makes
itself, are left out. Into an empty directory everything is downloaded; in another only what differs. A file appears
under its name when all of it is on disk and its checksum is right. What is cut short is gone on with by the same
command. Nothing is changed in the cloud; a daemon may be running, though one that publishes DEST should be paused.

  siteferry restore /srv/ftp/www                        all of it, after the host was lost
  siteferry restore /srv/ftp/www --path docs --dry-run  what docs/ would need
  siteferry restore /tmp/then --as-of 2026-11-20        as it was at the beginning of that day

--delete removes files that could be the site's, but are not. More of them than the configuration's `brake` lets go are
held (exit code 3), and --approve says how many may go. Files of names that are never published stay.

Into the published root itself it brings back what is missing; what users changed since the last sync, which nobody else
has, stays and is told, unless --overwrite is given.

exit codes: 0 all is as the site has it; 1 something failed or was left; 3 deletes are held; others as in
`siteferry --help`
"""
_HISTORY_HELP: Final = """

Without PATH the runs of this host, by number and time, with what they changed; with --run N each file of one. With PATH
what became of a file, or of all beneath a directory, from the bucket's versions: this needs no record, and reaches back
for as long as they are kept (`retention_days` of infra/sites.toml). Directory pages and duplicates are left out.

  siteferry history                     the last runs
  siteferry history --run 112           what run 112 changed
  siteferry history docs/prices.pdf     every version that was live
"""
_UNDO_HELP: Final = """

For what a mirror tool or an angry user did. Files come back in the FTP tree as they were published before, and the next
sync publishes them. Only a file that is on disk exactly as it is published is replaced or removed: its bytes are in the
bucket, so that nothing is lost, and an undo can be undone. What was changed since the last sync stays, and is told.
It is a person's decision: the plan is shown first. It writes in the tree, so it is run as a user who may: root, say,
with credentials for AWS (docs/restore.md).

  siteferry history                     which run it was
  siteferry undo 112                    show what would be done; ask
  siteferry undo 112 --path docs --yes  do it, beneath docs/ alone
  siteferry undo --since 2h             all that was published in the last two hours

exit codes: 0 done, or only shown; 1 something failed or was left; 3 deletes are held, and --approve says how many may
go; others as in `siteferry --help`
"""
_CHECK_HELP: Final = """

Looks at, in this order: the configuration; the state directory; the root and whose clock its times are by; the
credentials, this host's clock against AWS's; the descriptor; that the bucket keeps versions; each permission that the
agent needs, tried so that nothing comes of it; index, dead letters. Each line is ok, or says what to do.

  ok    it is as it should be
  warn  the agent works, but look at it
  FAIL  the agent needs it; the first of them gives the exit code, as `siteferry --help` lists them
  -     it cannot be told without an effect, or as long as something before it fails

Nothing is changed, and a daemon may be running. Run it as the systemd unit would, with its user and credentials:

  sudo siteferry-as-unit check
  sudo siteferry-as-unit --site www check
"""
_STATUS_HELP: Final = """

From the state directory at once: what the agent does, how the last run went, what is held, paused, not published.
Then, if AWS answers within 3 seconds: how many jobs wait, dead letters, alarms. --local leaves AWS out.

  siteferry status --watch     again every 2 seconds, until Ctrl-C; where no terminal is, whenever it changed
  siteferry status --json      one document; with --watch, one a line
"""
_PAUSE_HELP: Final = """

A run that is going on ends between two files; what it published stays, the next one goes on. The daemon keeps running
and keeps the site's lease, so that no other agent publishes it either; within some seconds of the pause's end it goes
on. A pause survives restarts. `siteferry sync`, `adopt` and `audit --repair` refuse meanwhile (exit code 75); what only
looks works. What was published before is still being made true: copies, deletes, pages, invalidations.

  siteferry pause the new menu is not approved yet
  siteferry pause --for 2h moving the disks
  siteferry resume
"""


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
    parser = _Parser(prog="siteferry", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
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
    check = add("check", "checking", "Say whether everything is as the agent needs it, and what to do.", _CHECK_HELP)
    check.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    status = add("status", "host", "Show what the agent does, and how the last run went.", _STATUS_HELP)
    status.add_argument("--watch", action="store_true", help="show it again every 2 seconds, until Ctrl-C")
    status.add_argument("--local", action="store_true", help="only what this host knows; ask AWS for nothing")
    status.add_argument("--json", action="store_true", help="print JSON")
    pause = add("pause", "host", "Publish nothing from this host until it is resumed.", _PAUSE_HELP)
    pause.add_argument(
        "--for", dest="duration", metavar="DURATION", help="end by itself after this: 30m, 2h, 1d (default: `resume`)"
    )
    pause.add_argument("reason", nargs="*", metavar="REASON", help="for those who wonder; `status` shows it")
    add("resume", "host", "End a pause.")
    add("approve", "host", "Let the next run make the deletes that the last one held, once.")
    explain = add("explain", "looking", "Say why a file is not live: its way from disk to CDN.", _EXPLAIN_HELP)
    explain.add_argument("path", metavar="PATH", help="a path beneath the root, or a URL of the site")
    explain.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


def _add_mending(add: _Add) -> None:
    audit = add("audit", "publishing", "Compare tree, index and bucket, and tell what differs.", _AUDIT_HELP)
    audit.add_argument("--repair", action="store_true", help="mend what differs, as a run of its own")
    audit.add_argument("--deep", action="store_true", help="look at every object's checksum, and render every page")
    audit.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    audit.add_argument("--quiet", action="store_true", help="print no line for a file that went well")
    adopt = add("adopt", "publishing", "Begin with a bucket that has the tree's files already.", _ADOPT_HELP)
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
    reindex = add("reindex", "publishing", "Have directory pages and redirects made again.", _REINDEX_HELP)
    reindex.add_argument(
        "directory", nargs="?", default="", metavar="DIRECTORY", help="only this one, and all beneath it; default: all"
    )
    reindex.add_argument("--json", action="store_true", help="print JSON")
    redrive = add("redrive", "letters", "Send what waits in the dead-letter queues back to be tried again.")
    redrive.epilog = _REDRIVE
    redrive.add_argument("queue", nargs="?", choices=JOB_KINDS, help="only this queue; default: all four")
    redrive.add_argument("--dry-run", action="store_true", help="only show what waits, and why it failed")
    redrive.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


def _add_restoring(add: _Add) -> None:
    restore = add("restore", "restoring", "Download the site into a directory, or bring one up to date.", _RESTORE_HELP)
    restore.add_argument("destination", metavar="DEST", help="the directory; it is made if it is not there")
    _add_of_restoring(restore)
    restore.add_argument("--as-of", metavar="TIME", help="as the site was then: 2026-11-20, '2026-11-20 14:30', 3d ago")
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
    history = add("history", "restoring", "Show what changed when.", _HISTORY_HELP)
    history.add_argument("path", nargs="?", metavar="PATH", help="a file or directory of the site; default: the runs")
    history.add_argument("--run", type=int, metavar="N", help="what this run changed")
    history.add_argument("--since", metavar="TIME", help="only what changed since: 2026-11-20, '2026-11-20 14:30', 3d")
    history.add_argument("--limit", type=int, default=50, metavar="N", help="show at most so many (default: 50)")
    history.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    undo = add("undo", "restoring", "Take back in the FTP tree what a run published, or all since a time.", _UNDO_HELP)
    undo.add_argument("run", nargs="?", type=int, metavar="RUN", help="the number of a run; `siteferry history` has it")
    undo.add_argument("--since", metavar="TIME", help="all since then: 2026-11-20, '2026-11-20 14:30', 2h ago as 2h")
    _add_of_restoring(undo)
    undo.add_argument("--approve", type=int, metavar="N", help="let up to N deletes that the brake would hold go")
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
