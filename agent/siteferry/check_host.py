"""What `siteferry check` looks at on this host: the state directory and the tree. Nothing is written."""

import os
import pwd
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from siteferry.check import Finding, Verdict, failed, well
from siteferry.config import Config
from siteferry.errors import Exit, RootError
from siteferry.names import printable
from siteferry.plan_report import human_size
from siteferry.settle import has_own_clock
from siteferry.state import StateDirectory
from siteferry.tree import Tree

MUCH_SPACE: Final = 200_000_000
LEAST_SPACE: Final = 10_000_000
"""Bytes. A million files take some 70 MB of cache, and a plan as much again."""
SHOWN: Final = 5
CLOCK_SECONDS: Final = 2.0

_STATE: Final = "state directory"


def check_state(config: Config) -> Iterator[Finding]:
    """Look at the state directory: its owner, its files, the room there is; and at who works in it now."""
    path = config.state_dir
    try:
        status = path.stat()
    except FileNotFoundError:
        yield _missing(path)
        return
    except OSError as error:
        yield _state_failure(f"{path}: {error.strerror}", "run it as the systemd unit: sudo siteferry-as-unit …")
        return
    owner, user = _user(status.st_uid), _user(os.geteuid())
    foreign = [
        name
        for name in ("lock", "cache.sqlite", "status.json")
        if (path / name).exists() and not os.access(path / name, os.W_OK, effective_ids=True)
    ]
    if not path.is_dir():
        yield _state_failure(f"{path}: is no directory", "remove it, or set another `state_dir`")
    elif not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        yield _state_failure(
            f"{path}: is not writable for {user}; it is {owner}'s",
            f"run it as {owner}; as the systemd unit: sudo siteferry-as-unit …",
        )
    elif foreign:
        yield _state_failure(
            f"{path}: {', '.join(foreign)} not writable for {user}",
            f"was siteferry run as another user? chown -R {owner} {path}",
        )
    elif status.st_uid != os.geteuid():
        yield Finding(
            _STATE,
            Verdict.WARN,
            f"{path}: it is {owner}'s, and this is {user}",
            f"run siteferry as {owner}; as the systemd unit: sudo siteferry-as-unit …",
        )
    else:
        yield from _room(path)
    yield from _use(config)


def check_root(config: Config) -> Iterator[Finding]:
    """Look at the root and what is at its top: whether this user may read it, and whose clock its times are by."""
    try:
        with Tree(config.root) as tree:
            yield _top(config, tree)
            yield _times(config, tree)
    except RootError as error:
        yield failed("root", error)


def _missing(path: Path) -> Finding:
    parent = next(parent for parent in path.parents if parent.exists())
    if os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
        return Finding(_STATE, Verdict.WARN, f"{path}: is not there yet; the first run makes it")
    return _state_failure(
        f"{path}: is not there, and {_user(os.geteuid())} may not make it",
        "systemd makes it for the unit; else create it, owned by the user that siteferry runs as",
    )


def _room(path: Path) -> Iterator[Finding]:
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    text = f"{path}: writable for {_user(os.geteuid())}, {human_size(free)} free"
    if free < LEAST_SPACE:
        yield _state_failure(text, "make room on its file system")
    elif free < MUCH_SPACE:
        yield Finding(_STATE, Verdict.WARN, text, "make room: a million files take some 200 MB")
    else:
        yield well(_STATE, text)


def _use(config: Config) -> Iterator[Finding]:
    state = StateDirectory(config.state_dir, to_look=True)
    pause = state.pause(time.time())
    if pause:
        yield Finding("pause", Verdict.WARN, pause.describe(), "`siteferry resume` ends it")
    running = state.is_locked()
    yield well("agent", f"{'runs' if running else 'does not run'} on this host now")


def _top(config: Config, tree: Tree) -> Finding:
    names, closed = 0, []
    with os.scandir(tree.descriptor) as entries:
        for entry in entries:
            names += 1
            with suppress(OSError):
                if entry.is_symlink():
                    continue
                mode = os.R_OK | (os.X_OK if entry.is_dir(follow_symlinks=False) else 0)
                if not os.access(entry.name, mode, dir_fd=tree.descriptor, effective_ids=True, follow_symlinks=False):
                    closed.append(entry.name)
    user = _user(os.geteuid())
    device = f"device {os.major(tree.device)}:{os.minor(tree.device)}"
    text = f"{config.root}: readable for {user}, {names} names at its top, {device}"
    if closed:
        shown = ", ".join(map(printable, sorted(closed)[:SHOWN])) + (", …" if len(closed) > SHOWN else "")
        return Finding(
            "root",
            Verdict.WARN,
            f"{text}; of these {user} cannot read {len(closed)}: {shown}",
            "the systemd unit can (CAP_DAC_READ_SEARCH); without it, add the user to their group: what cannot be read"
            " is not published, and deletes beneath it are held",
        )
    if not names:
        return Finding(
            "root",
            Verdict.WARN,
            text,
            "is its file system mounted? While it is empty, nothing that is published is deleted",
        )
    return well("root", text)


def _times(config: Config, tree: Tree) -> Finding:
    ahead = os.fstat(tree.descriptor).st_ctime - time.time()
    if has_own_clock(tree.device):
        return well(
            "settle",
            f"the root's times are of another machine's clock: files wait for two looks {config.settle:g} s apart",
        )
    if ahead > CLOCK_SECONDS:
        return Finding(
            "settle",
            Verdict.WARN,
            f"the root was changed {ahead:.0f} s in the future, by this host's clock",
            "set the clock; a file from the future waits for two looks that agree",
        )
    return well(
        "settle", f"the root's times are of this host's clock: files wait until they are {config.settle:g} s old"
    )


def _state_failure(text: str, remedy: str) -> Finding:
    return Finding(_STATE, Verdict.FAIL, text, remedy, Exit.IO_ERROR)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
