"""The head and its lease, in one hand: rules 4 and 7 of the protocol.

Every write of the head is a compare-and-set of the whole item and carries a new beat, so a refused or unanswered write
is settled by reading back: the head is what was written (it worked) or what it was (it did not); anything else means
that another agent took over.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Self

from siteferry.errors import BusyError, LeaseLostError, SiteferryError, UnavailableError
from siteferry.head import Applied, Head, LeaseRecord
from siteferry.ports import Clock, IndexStore

RENEWALS_PER_LEASE: Final = 4
WATCHES_PER_LEASE: Final = 12


class Control:
    """The head as this agent knows it, and the right to write."""

    def __init__(self, store: IndexStore, clock: Clock, *, owner: str, seconds: float, head: Head) -> None:
        self._store, self._clock = store, clock
        self._owner, self._seconds = owner, seconds
        self._head = head
        self._renewed_at = float("-inf")
        self._own = ""
        """The token of this agent's lease, once it has it."""
        self._lost: SiteferryError | None = None
        self._lock = threading.Lock()

    @property
    def head(self) -> Head:
        """The head as last read or written."""
        return self._head

    @property
    def token(self) -> str:
        """The token that leaf commits are conditional on."""
        assert self._head.lease is not None
        return self._head.lease.token

    @property
    def held(self) -> bool:
        """Whether this agent took the lease and has not released it."""
        return self._renewed_at > float("-inf")

    def left(self) -> float:
        """Give the seconds of the lease that are left, by a clock that counts suspends."""
        return self._renewed_at + self._seconds - self._clock.elapsed()

    def require(self, seconds: float) -> None:
        """Raise LeaseLostError unless the lease lasts for a request whose total time-out is `seconds`."""
        if self._lost:
            raise self._lost
        if self.left() < seconds:
            raise LeaseLostError(
                f"only {max(self.left(), 0):.0f} s of the lease are left, a request may take {seconds:.0f} s",
                "the next run recovers; if this comes again, AWS answers too slowly or `lease` is too short",
            )

    @property
    def takes_at_once(self) -> bool:
        """Whether the lease is free, or this agent's own to take back."""
        lease = self._head.lease
        return lease is None or (lease.owner == self._owner and self._head.open is None)

    def acquire(self) -> None:
        """Take the lease; raises BusyError that names who has it.

        A lease in foreign hands is watched for its whole length by this agent's own clock before it counts as dead.
        Its own, left by a process of the same state directory that died, is taken back at once, since the local lock
        proves that process dead, but only if no run was open: otherwise one of its requests may still be under way.
        """
        lease = self._head.lease
        if lease and not self.takes_at_once:
            self._watch(lease)
        taken = LeaseRecord(self._owner, secrets.token_hex(8), 0, self._seconds)
        try:
            self._swap(lambda head: replace(head, lease=taken))
        except LeaseLostError as error:
            raise BusyError(f"another sync of this site is running: {error}", error.remedy) from error

    def open_run(
        self, applied: Applied, *, deletes: int = 0, forget_deletes: bool = False, rebuilds: bool = False
    ) -> int:
        """Open the next run, before its first effect; gives its number.

        Recorded with it is what objects will be put with, and how many files it will delete. A person's approval
        (`forget_deletes`) begins the day's count anew. An index that is rebuilt stays known as such.
        """
        run = self._head.run + 1
        now = round(self._clock.now(), 3)
        self._swap(
            lambda head: replace(
                replace(head, deletes=()) if forget_deletes else head.with_deletes(deletes, now),
                run=run,
                applied=applied,
                open=run if head.open is None else head.open,
                opened=now if head.open is None else head.opened,
                rebuilt=head.rebuilt or rebuilds,
            )
        )
        return run

    def close_run(self, applied: Applied) -> None:
        """Close all open runs: every PUT's outcome is known and every job is sent."""
        self._swap(lambda head: replace(head, open=None, opened=None, applied=applied))

    def renew(self) -> None:
        """Renew the lease."""
        self._swap(lambda head: head)

    def release(self) -> None:
        """Give the lease up.

        Not while a run is open: a request of unknown outcome may still be under way, and the time that the next
        agent has to watch the lease is what it has to end in.
        """
        with self._lock:
            if self.held and not self._lost and self._head.open is None:
                self._write(lambda head: replace(head, lease=None))
            self._renewed_at = float("-inf")

    def _watch(self, seen: LeaseRecord) -> None:
        """Raise BusyError unless the lease stays as it is for its whole length.

        The last look comes after that: this agent may have been suspended since the one before.
        """
        begun = self._clock.elapsed()
        over = False
        while not over:
            if self._clock.wait(seen.seconds / WATCHES_PER_LEASE):
                raise BusyError(f"stopped while waiting for the lease of {seen.owner}")
            over = self._clock.elapsed() - begun >= seen.seconds
            head = self._store.read_head()
            if head is None:
                raise LeaseLostError("the index's head is gone")
            self._head = head
            if head.lease is None:
                return
            if (head.lease.token, head.lease.beat) != (seen.token, seen.beat):
                raise BusyError(
                    f"another sync of this site is running: {head.lease.owner}",
                    "wait for it, or stop it; two agents never publish one site",
                )

    def _swap(self, change: Callable[[Head], Head]) -> None:
        with self._lock:
            if self._lost:
                raise self._lost
            self._write(lambda head: _with_next_beat(change(head)))

    def _write(self, change: Callable[[Head], Head]) -> None:
        """Write the head as changed; what is changed anew if an own write turns out to have worked meanwhile."""
        old, new, begun = self._head, change(self._head), self._clock.elapsed()
        for last in (False, False, True):
            try:
                if self._store.replace_head(old, new):
                    break
            except UnavailableError:
                if last:
                    raise
            found = self._store.read_head()
            if found == new:
                break
            if found and found.lease and self.held and found.lease.token == self._own:
                # This agent's own: an earlier write of which neither the answer nor a look came through.
                old = self._head = found
                new = change(found)
            elif found != old:
                self._lost = LeaseLostError(
                    "another agent took the site over" + (f": {found.lease.owner}" if found and found.lease else ""),
                    "only one agent may publish a site: stop one of them",
                )
                raise self._lost
        else:
            raise UnavailableError("the index's head could not be written")
        self._head, self._renewed_at = new, begun
        self._own = new.lease.token if new.lease else ""


def _with_next_beat(head: Head) -> Head:
    assert head.lease is not None
    return replace(head, lease=replace(head.lease, beat=head.lease.beat + 1))


class Renewal:
    """Renews a lease in the background. Use as a context manager."""

    def __init__(self, control: Control, seconds: float) -> None:
        self._control, self._period = control, seconds / RENEWALS_PER_LEASE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(self._period):
            try:
                self._control.renew()
            except LeaseLostError:
                return
            except SiteferryError:
                # Tried again in a quarter of a lease; until it works, `require` lets ever less begin.
                continue
