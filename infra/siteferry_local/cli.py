"""The `siteferry-local` command."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from siteferry_local.errors import LocalStackError
from siteferry_local.signals import Stopped, stoppable
from siteferry_local.stack import local_stack
from siteferry_local.state import claimed
from siteferry_local.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
SITES = Path(__file__).with_name("sites.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 when something failed or differed, 130 for a tour cut short."""
    options = _parser().parse_args(arguments)
    try:
        with stoppable():
            return int(options.command(options))
    except Stopped:
        # To be stopped is how `up` and the demo end; a tour that was cut short has shown nothing.
        return _INTERRUPTED if getattr(options, "once", False) else 0
    except LocalStackError as error:
        Terminal(sys.stderr).line(f"siteferry-local: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="siteferry-local", description="siteferry on this machine, without AWS")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring up emulator, stacks, FTP server and proxy; stay until SIGTERM")
    up.add_argument("--state", type=Path, required=True, metavar="DIR", help="where to keep files and FTP roots")
    up.set_defaults(command=_up)
    demo = commands.add_parser("demo", help="the same with the agent and a small sample site")
    demo.add_argument("--state", type=Path, metavar="DIR", help="default: a temporary directory")
    demo.add_argument("--once", action="store_true", help="check every page and feature, then end")
    demo.set_defaults(command=_demo)
    for command in (up, demo):
        command.add_argument("--port", type=int, metavar="P", help="the emulator's port; default: a free one")
        command.add_argument("--sites", type=Path, default=SITES, metavar="FILE", help="default: %(default)s")
    return parser


def _up(options: argparse.Namespace) -> int:
    with (
        claimed(options.state) as state,
        local_stack(state, port=options.port, sites=options.sites, report=Terminal(sys.stderr).progress) as stack,
    ):
        Terminal(sys.stdout).line(stack.to_json())
        while True:
            signal.pause()


def _demo(options: argparse.Namespace) -> int:
    from siteferry_local.demo import demo  # noqa: PLC0415, `up` needs none of it

    return demo(state=options.state, port=options.port, sites=options.sites, once=options.once)
