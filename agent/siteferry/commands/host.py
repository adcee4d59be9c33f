"""`siteferry status`, `approve`, `pause` and `resume`: what works in the state directory."""
# ruff: noqa: T201 - printing is what they are for

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from siteferry.app import look_at_cloud
from siteferry.aside import Aside
from siteferry.cloud_status import describe_cloud
from siteferry.config import load_config
from siteferry.errors import Exit, UsageError
from siteferry.pause import Pause, clock_time, seconds_of, who
from siteferry.state import StateDirectory
from siteferry.status import describe, read

AWS_SECONDS: Final = 3.0
"""For which AWS may keep the status waiting."""
WATCH_SECONDS: Final = 2.0
AWS_EVERY: Final = 5
"""Looks at this host for each at AWS."""


def status(options: argparse.Namespace) -> int:
    """Show how the last run went, and what waits in AWS."""
    config = load_config(options.config)
    state = StateDirectory(config.state_dir, to_look=True)
    state.check_readable()
    aside = None if options.local else Aside(lambda: look_at_cloud(config))
    if options.watch:
        return _watch(lambda: read(state, config), aside, as_json=options.json)
    if aside:
        aside.begin()
    found = read(state, config)
    if not options.json:
        print(describe(found), flush=True)  # at once, whatever becomes of AWS
    if aside:
        found["aws"] = aside.result(AWS_SECONDS)
    if options.json:
        print(json.dumps(found, indent=1))
    elif aside:
        print("\n".join(describe_cloud(found["aws"])))
    return int(Exit.DONE)


def pause(options: argparse.Namespace) -> int:
    """Have nothing published from this host for a while."""
    config, now = load_config(options.config), time.time()
    state = StateDirectory(config.state_dir)
    until = None if options.duration is None else now + seconds_of(options.duration)
    asked = Pause(now, until, who(), " ".join(options.reason))
    state.set_pause(asked)
    print(asked.describe())
    if state.is_locked():
        print("a run that is going on ends between two files; `siteferry status` shows how the agent does")
    if until is None:
        print("`siteferry resume` ends it")
    return int(Exit.DONE)


def resume(options: argparse.Namespace) -> int:
    """End a pause."""
    config = load_config(options.config)
    state = StateDirectory(config.state_dir)
    before = state.pause(time.time())
    if not state.end_pause() or before is None:
        print("there is no pause")
        return int(Exit.DONE)
    print("resumed" + (f": it was paused since {clock_time(before.since)}" if before.since else ""))
    if state.is_locked():
        print("the agent goes on within some seconds")
    return int(Exit.DONE)


def _watch(look: Callable[[], dict[str, Any]], aside: Aside | None, *, as_json: bool) -> int:
    """Show the status again and again, until Ctrl-C: in place on a terminal, else whenever it changed."""
    shown, in_place = "", sys.stdout.isatty() and not as_json
    try:
        for n in range(sys.maxsize):
            if aside and not n % AWS_EVERY:
                aside.begin()
            found = look()
            if aside:
                found["aws"] = aside.result(AWS_SECONDS if n == 0 else 0.0)
            text = json.dumps(found) if as_json else describe(found)
            if in_place:
                _redraw(text, first=n == 0)
            elif text != shown:
                print(text if as_json else f"-- {clock_time(time.time())}\n{text}", flush=True)
            shown = text
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        print()
    return int(Exit.DONE)


def _redraw(text: str, *, first: bool) -> None:
    """Write over what is there line by line, so that nothing flickers."""
    width, height = shutil.get_terminal_size()
    rows = [f"{clock_time(time.time())}  Ctrl-C ends", *text.splitlines()][: height - 1]
    drawn = "".join(f"{row[:width]}\x1b[K\n" for row in rows)
    print(f"{_CLEAR if first else ''}\x1b[H{drawn}\x1b[J", end="", flush=True)


_CLEAR: Final = "\x1b[2J"


def approve(options: argparse.Namespace) -> int:
    """Let the next run make the deletes that the last one held."""
    config = load_config(options.config)
    state = StateDirectory(config.state_dir)
    last = (state.read_status() or {}).get("last") or {}
    held, of_audit = last.get("held", 0), last.get("differences") is not None
    if not held:
        (held, _), of_audit = state.audit_hold(), True
    if not held:
        raise UsageError("no deletes are held, so there is nothing to approve", "`siteferry status` shows the last run")
    state.approve(held, of_audit=of_audit)
    if of_audit:
        state.request_audit(deep=False)
    next_run = "the daemon's next cycle, or `siteferry audit --repair`," if of_audit else "the next run"
    print(f"approved: {next_run} may delete up to {held} files, once")
    return int(Exit.DONE)
