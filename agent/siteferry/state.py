"""The state directory: local lock, cache, last status, approvals. All of it but the lock is disposable."""

import fcntl
import json
import os
import pwd
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from siteferry.errors import BusyError, StateError
from siteferry.pause import Pause

APPROVAL_SECONDS: Final = 86_400
"""For which an approval waits for a run that needs it."""
_PAUSE: Final = "pause.json"
_PROGRESS: Final = "progress.json"
_AS_UNIT: Final = "run siteferry as its owner; as the systemd unit does: sudo siteferry-as-unit …"


class StateDirectory:
    """A site's files on this host, outside the tree."""

    def __init__(self, path: Path, *, to_look: bool = False) -> None:
        """Take a directory, and make it unless it is only looked at."""
        self.path = path
        try:
            if not to_look:
                _make(path)
        except OSError as error:
            raise StateError(
                f"state_dir {path}: {error.strerror}",
                _AS_UNIT if isinstance(error, PermissionError) else "create it, owned by the user that runs siteferry",
            ) from None
        if not to_look and not os.access(path, os.W_OK | os.X_OK):
            raise StateError(f"state_dir {path}: is not writable for this user", _AS_UNIT)
        self.owner = f"{socket.gethostname()}:{path.resolve()}"
        self._lock: int | None = None

    def check_readable(self) -> None:
        """Raise StateError if it is there, and not for this user; what is not there yet has nothing to tell."""
        try:
            self.path.stat()
            readable = os.access(self.path, os.R_OK | os.X_OK)
        except FileNotFoundError:
            return
        except PermissionError:
            readable = False
        if not readable:
            raise StateError(f"state_dir {self.path}: is not readable for this user", _AS_UNIT)

    @property
    def cache(self) -> Path:
        """The cache's database."""
        return self.path / "cache.sqlite"

    def lock(self) -> None:
        """Lock the site on this host until the process ends; raises BusyError that names the holder.

        Root does not get the lock of another user's state: files of root in it would keep that user from its work.
        """
        owner = self.path.stat().st_uid
        if os.geteuid() == 0 != owner:
            raise StateError(f"state_dir {self.path} is not root's, but of user {_name(owner)}", _AS_UNIT)
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StateError(
                f"{self.path / 'lock'}: {error.strerror}", f"was siteferry run as another user? chown -R {self.path}"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 100).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise BusyError(
                f"another sync of this site is running on this host (process {holder})",
                "wait for it; a daemon that runs needs no `siteferry sync` beside it",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    def unlock(self) -> None:
        """Give the lock up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_locked(self) -> bool:
        """Tell whether a process holds the lock."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write_status(self, status: dict[str, Any]) -> None:
        """Replace the status of the last run."""
        self._write("status.json", status)

    def read_status(self) -> dict[str, Any] | None:
        """Give the status of the last run; None if there is none."""
        return self._read("status.json")

    def write_progress(self, progress: Mapping[str, Any]) -> None:
        """Replace what a run that is going on says of itself."""
        self._write(_PROGRESS, {**progress, "process": os.getpid()})

    def read_progress(self) -> dict[str, Any] | None:
        """Give what the process that holds the lock said last of a run; None: nothing since its last one ended."""
        progress = self._read(_PROGRESS)
        if progress is None or not self.is_locked() or progress.get("process") != self._holder():
            return None
        status = self.read_status() or {}
        ends = [end for end in (status.get("at"), status.get("last_run_at")) if isinstance(end, (int, float))]
        return None if max(ends, default=float("-inf")) >= progress.get("begun", 0) else progress

    def approve(self, deletes: int, *, of_audit: bool = False) -> None:
        """Let the next run make up to this many deletes, once; `of_audit`: the next one that looks at the bucket."""
        self._write("approval.json", {"deletes": deletes, "at": time.time(), "of_audit": of_audit})

    def approved_deletes(self, *, to_audit: bool = True) -> int | None:
        """Give the number of deletes that were approved; None if none were, too long ago, or for an audit only."""
        approval = self._read("approval.json") or {}
        deletes, at = approval.get("deletes"), approval.get("at")
        fresh = isinstance(at, (int, float)) and 0 <= time.time() - at <= APPROVAL_SECONDS
        ours = to_audit or not approval.get("of_audit")
        return deletes if fresh and ours and isinstance(deletes, int) else None

    def use_approval(self) -> None:
        """Take the approval back: it is good for once."""
        (self.path / "approval.json").unlink(missing_ok=True)

    def set_pause(self, pause: Pause) -> None:
        """Have nothing published from this host."""
        self._write(_PAUSE, asdict(pause))

    def end_pause(self) -> bool:
        """End the pause; False: there was none."""
        try:
            (self.path / _PAUSE).unlink()
        except FileNotFoundError:
            return False
        return True

    def pause(self, now: float) -> Pause | None:
        """Give the pause that there is at a time. What cannot be read is one: somebody wanted it."""
        path = self.path / _PAUSE
        try:
            found = json.loads(path.read_text("utf-8"))
            pause = Pause(found["since"], found["until"], str(found["by"]), str(found["reason"]))
            over = pause.until is not None and now >= pause.until
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Pause(None, None, "", f"{path} cannot be read: {error}")
        return None if over else pause

    def set_audited(self, at: float, *, complete: bool) -> None:
        """Record that an audit that mends began at a time (seconds since 1970), and whether nothing was left of it."""
        looked_at = at if complete else self.audited_at()
        self._write("audit.json", {"at": looked_at, "counted_from": at})
        (self.path / "audit.request").unlink(missing_ok=True)

    def audited_at(self) -> float | None:
        """Give when the last one began that left nothing: before it, nothing has to be looked at. None: none did."""
        return self._audit_time("at")

    def audits_counted_from(self, now: float) -> float:
        """Give the time from which the days to the next audit are counted: the last one, or when a daemon first ran."""
        begun = self._audit_time("counted_from")
        if begun is None:
            self._write("audit.json", {"counted_from": now})
        return now if begun is None else begun

    def _audit_time(self, name: str) -> float | None:
        at = (self._read("audit.json") or {}).get(name)
        return float(at) if isinstance(at, (int, float)) else None

    def set_audit_hold(self, deletes: int, reason: str) -> None:
        """Record how many deletes the last audit that mends held; 0: none. Ordinary runs know nothing of them."""
        if deletes:
            self._write("audit.hold", {"held": deletes, "reason": reason})
        else:
            (self.path / "audit.hold").unlink(missing_ok=True)

    def audit_hold(self) -> tuple[int, str]:
        """Give their number and the reason."""
        hold = self._read("audit.hold") or {}
        return int(hold.get("held", 0)), str(hold.get("reason", ""))

    def request_audit(self, *, deep: bool) -> None:
        """Have the running daemon audit and mend in its next cycle."""
        self._write("audit.request", {"deep": deep})

    def requested_audit(self) -> bool | None:
        """Tell whether the audit that was asked for is to be deep; None: none was asked for."""
        request = self._read("audit.request")
        return bool(request.get("deep")) if request is not None else None

    def _holder(self) -> int | None:
        try:
            return int((self.path / "lock").read_text("ascii"))
        except (OSError, ValueError):
            return None

    def _write(self, name: str, value: dict[str, Any]) -> None:
        temporary = self.path / f"{name}.new"
        temporary.unlink(missing_ok=True)
        # Root writes here, too: what the agent's user may have put in this place is neither followed nor written to.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            if os.geteuid() == 0:
                owner = self.path.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)  # an operator's root leaves what the agent can read
            text = (json.dumps(value, indent=1) + "\n").encode()
            while text:
                text = text[os.write(descriptor, text) :]
        finally:
            os.close(descriptor)
        temporary.replace(self.path / name)

    def _read(self, name: str) -> dict[str, Any] | None:
        with suppress(OSError, ValueError):
            value = json.loads((self.path / name).read_text("utf-8"))
            if isinstance(value, dict):
                return value
        return None


def _make(path: Path) -> None:
    """Make a directory, unless it is there; root's is of the user whose directory it is in."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o750, parents=True)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.chown(path, owner.st_uid, owner.st_gid)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
