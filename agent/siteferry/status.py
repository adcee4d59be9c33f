"""What the last run left to be read without AWS."""

import time
from dataclasses import asdict
from typing import Any

from siteferry.cloud_status import describe_cloud
from siteferry.config import Config
from siteferry.errors import SiteferryError
from siteferry.names import printable
from siteferry.pause import Pause
from siteferry.progress import describe as describe_progress
from siteferry.report import Summary
from siteferry.state import StateDirectory

SHOWN_PROBLEMS = 20
SHOWN_CHARACTERS = 120
"""Of a path. --json has all of it."""


def record(
    state: StateDirectory, config: Config, *, summary: Summary | None = None, error: SiteferryError | None = None
) -> None:
    """Record how a run ended; of one over hinted directories only what it did, as it says nothing of the rest."""
    before = state.read_status() or {}
    if summary and summary.hinted:
        if summary.run is not None:
            state.write_status(before | {"last_run": asdict(summary), "last_run_at": time.time()})
        return
    now = time.time()
    status: dict[str, Any] = {"site": config.site, "root": str(config.root), "at": now}
    if error:
        status |= {"error": str(error), "remedy": error.remedy}
    status["last"] = asdict(summary) if summary else before.get("last")
    status["last_at"] = now if summary else before.get("last_at")
    if summary and summary.run is not None:
        status["last_run"], status["last_run_at"] = asdict(summary), now
    else:
        status["last_run"], status["last_run_at"] = before.get("last_run"), before.get("last_run_at")
    state.write_status(status)
    if summary and summary.differences is not None:
        state.set_audit_hold(summary.held, summary.hold_reason)


def read(state: StateDirectory, config: Config) -> dict[str, Any]:
    """Give the status, with what the cache knows; for people and for --json."""
    from siteferry.cache import Cache  # noqa: PLC0415

    status: dict[str, Any] = {"site": config.site, "root": str(config.root), "running": state.is_locked()}
    status |= state.read_status() or {}
    pause = state.pause(time.time())
    status["pause"] = asdict(pause) if pause else None
    status["progress"] = state.read_progress()
    status["approved_deletes"] = state.approved_deletes()
    status["audit_held"], status["audit_hold_reason"] = state.audit_hold()
    if Cache.is_readable(state.cache):
        cache = Cache(state.cache, read_only=True)
        try:
            version = cache.version()
            status["index"] = asdict(version) if version else None
            status["published_files"] = cache.file_count()
            status["unpublishable"] = [
                {"path": printable(problem.path), "reason": problem.reason} for problem in cache.problems(1000)
            ]
            status["unpublishable_count"] = cache.problem_count()
        finally:
            cache.close()
    return status


def describe(status: dict[str, Any]) -> str:
    """Give the status as lines for people."""
    lines = [
        f"site        {status['site']}",
        f"root        {status['root']}",
        f"agent       {'running' if status['running'] else 'not running'}",
    ]
    if status["pause"]:
        lines.append(f"            {Pause(**status['pause']).describe()}")
    if status["progress"]:
        lines.append(f"now         {describe_progress(status['progress'])}")
    if "published_files" in status:
        lines.append(f"published   {status['published_files']} files")
    for name, label in (("last_run", "last change"), ("last", "last cycle")):
        summary = status.get(name)
        if summary and not (name == "last" and status.get("last_run_at") == status.get("last_at")):
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status[f"{name}_at"]))
            known = {name: value for name, value in summary.items() if name in Summary.__slots__}
            lines.append(f"{label:11} {at}  {Summary(**known).line()}")
    if not status.get("last"):
        lines.append("last cycle  none yet")
    last = status.get("last") or {}
    if last.get("hold_reason"):
        lines.append(f"HELD        {last['hold_reason']}")
    elif status.get("audit_held"):
        lines.append(f"HELD        by the last audit: {status['audit_hold_reason']}")
    if status.get("approved_deletes"):
        lines.append(f"approved    up to {status['approved_deletes']} deletes, by the next run that needs it")
    lines += [f"FAILED      {path}: {reason}" for path, reason in last.get("failures", [])]
    if "error" in status:
        lines.append(f"ERROR       {status['error']}" + (f" ({status['remedy']})" if status["remedy"] else ""))
    problems = status.get("unpublishable", [])
    lines += [f"not published: {_short(problem['path'])}: {problem['reason']}" for problem in problems[:SHOWN_PROBLEMS]]
    more = status.get("unpublishable_count", 0) - SHOWN_PROBLEMS
    lines += [f"… and {more} more (--json shows them)"] if more > 0 else []
    lines += describe_cloud(status["aws"]) if "aws" in status else []
    return "\n".join(lines)


def _short(path: str) -> str:
    """Give a path without its middle, if it is long."""
    half = SHOWN_CHARACTERS // 2
    return path if len(path) <= SHOWN_CHARACTERS else f"{path[:half]}…{path[-half:]}"
