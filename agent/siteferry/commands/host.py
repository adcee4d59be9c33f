"""`siteferry status` and `approve`: what needs this host alone."""
# ruff: noqa: T201 - printing is what they are for

import argparse
import json

from siteferry.config import load_config
from siteferry.errors import Exit, UsageError
from siteferry.state import StateDirectory
from siteferry.status import describe, read


def status(options: argparse.Namespace) -> int:
    """Show how the last run went."""
    config = load_config(options.config)
    status = read(StateDirectory(config.state_dir, to_look=True), config)
    print(json.dumps(status, indent=1) if options.json else describe(status))
    return int(Exit.DONE)


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
