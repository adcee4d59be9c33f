"""`siteferry redrive`: what works on the dead-letter queues."""

import argparse
import sys

from siteferry.app import open_dead_letters
from siteferry.clock import HostClock
from siteferry.config import load_config
from siteferry.errors import Exit
from siteferry.redrive import Redrive
from siteferry.redrive_report import LetterDocument, LetterLines, LetterProgress
from siteferry_contract.job import JOB_KINDS


def redrive(options: argparse.Namespace) -> int:
    """Send what waits back to be tried again."""
    config, move = load_config(options.config), not options.dry_run
    stopping = HostClock.until_signalled().stop.is_set
    letters, descriptor = open_dead_letters(config)
    lines = LetterProgress if sys.stdout.isatty() else LetterLines
    hears = LetterDocument() if options.json else lines(config.site, move=move)
    moving = Redrive(letters, descriptor, hears, move=move, stopping=stopping)
    try:
        for kind in (options.queue,) if options.queue else JOB_KINDS:
            if not stopping():
                moving.queue(kind)
    finally:
        hears.finished(moving.results, stopped=stopping())
    some_left = move and any(result.left or result.unreached for result in moving.results)
    return int(Exit.FAILED if some_left or stopping() else Exit.DONE)
