"""This agent's hold on a site: the head as it knows it, the lease, and its renewal."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from siteferry.errors import ConfigError, IndexDamagedError, SiteferryError
from siteferry.head import Applied, Head
from siteferry.lease import Control
from siteferry.ports import Clock, IndexStore
from siteferry.report import Reporter
from siteferry_contract.descriptor import Descriptor

MakeRenewal = Callable[[Control, float], AbstractContextManager[Any]]
"""Gives a context manager that renews a lease of so many seconds."""


class Tenancy:
    """Reads the head, and takes, keeps and gives up the lease."""

    def __init__(
        self,
        index: IndexStore,
        clock: Clock,
        descriptor: Descriptor,
        reporter: Reporter,
        make_renewal: MakeRenewal,
        *,
        owner: str,
        seconds: float,
        has_used: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Make it; `has_used` tells whether this agent has used an index table before."""
        self._index, self._clock, self._descriptor, self._reporter = index, clock, descriptor, reporter
        self._make_renewal, self._owner, self._seconds = make_renewal, owner, seconds
        self._has_used = has_used
        self._control: Control | None = None
        self._renewal: AbstractContextManager[Any] | None = None

    @property
    def held(self) -> bool:
        """Whether this agent holds the lease. The heartbeat asks, too, from its thread."""
        control = self._control
        return control is not None and control.held

    @property
    def control(self) -> Control:
        """The head and the right to write; after `read` or `acquire`."""
        assert self._control is not None
        return self._control

    def read(self, *, adopts: bool = False) -> Head:
        """Read the head, and make it if the table is new; what is known is true as long as the lease is held.

        Only who adopts what is in the bucket makes it in a table that is not new: raises IndexDamagedError.
        """
        if self.held:
            return self.control.head
        head = self._index.read_head()
        self._refuse_a_lost_one(head, adopts=adopts)
        if head is None:
            self._index.create_head(Head.first())
            head = self._index.read_head()
            if head is None:
                raise IndexDamagedError("the index's head was written but cannot be read")
        check_applied(head, self._descriptor)
        self._control = Control(self._index, self._clock, owner=self._owner, seconds=self._seconds, head=head)
        return head

    def look(self, *, adopts: bool = False) -> Head:
        """Read the head and change nothing: a new table is shown as it would be; raises IndexDamagedError likewise."""
        found = self._index.read_head()
        self._refuse_a_lost_one(found, adopts=adopts)
        head = found or Head.first()
        check_applied(head, self._descriptor)
        return head

    def acquire(self, *, adopts: bool = False) -> Head:
        """Take the lease and keep it; gives the head as it is then. Raises BusyError that names who has it."""
        if self.held:
            return self.control.head
        if self._control is None:
            self.read(adopts=adopts)
        control = self.control
        lease = control.head.lease
        if lease and not control.takes_at_once:
            patience = f"waiting up to {lease.seconds:.0f} s"
            self._reporter.note(f"{patience} to see whether {lease.owner} still publishes this site")
        try:
            control.acquire()
        except SiteferryError:
            self._control = None
            raise
        self._renewal = self._make_renewal(control, self._seconds)
        self._renewal.__enter__()
        return control.head

    def release(self) -> None:
        """Give the lease up. If that fails, it ends by itself."""
        self._stop_renewal()
        try:
            if self.held:
                self.control.release()
        except SiteferryError as error:
            self._reporter.note(f"the lease could not be released, and ends by itself: {error}")
        self._control = None

    def drop(self) -> None:
        """Forget the lease without a word to the index: after it was lost."""
        self._stop_renewal()
        self._control = None

    def _refuse_a_lost_one(self, head: Head | None, *, adopts: bool) -> None:
        if (head is None or not head.run) and not adopts and self._has_used(self._descriptor.table):
            raise IndexDamagedError(
                f"the index is lost: table {self._descriptor.table} is empty, but this agent has published with it",
                "docs/lost-index.md; `siteferry adopt --rebuild` makes it again without uploading what is the same",
            )

    def _stop_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.__exit__(None, None, None)
            self._renewal = None


def check_applied(head: Head, descriptor: Descriptor) -> None:
    """Raise ConfigError if the site is published with another prefix or encoding."""
    now = Applied.of(descriptor)
    for name in ("prefix", "encoding"):
        if head.applied and getattr(head.applied, name) != getattr(now, name):
            raise ConfigError(
                f"the site's {name} is {getattr(now, name)!r} now, but it is published with"
                f" {getattr(head.applied, name)!r}",
                f"put the {name} back in sites.toml and deploy, or deploy the tree as a new site under another name:"
                " keys cannot change in place",
            )
