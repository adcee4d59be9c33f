"""A schedule: all that is decided before it runs. The same schedule and order run the same way again."""

from dataclasses import dataclass
from typing import Final

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.keys import Encoding
from tests.simulation.cues import Steer
from tests.simulation.faults import FaultKind, Targets
from tests.simulation.settings import COPY_RULES, REFORMS
from tests.simulation.users import Edit

LEASE: Final = 60.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens; how it interleaves follows from `seed` and `order`."""

    seed: int
    order: int
    edits: tuple[Edit, ...]
    faults: tuple[FaultKind, ...]
    targets: Targets
    """Whose requests fail."""
    sharp: tuple[str, FaultKind, int] | None
    """A word of a request, the fault that often meets it, and after how many."""
    rate: float
    budget: int
    """Faults at most."""
    hosts: int
    """Of agents: with two, the second takes over when the first's lease died."""
    daemons: float
    """Chance that an agent is a daemon and not a one-shot sync."""
    pauses: float
    """Seconds between one-shot syncs, about."""
    agent_tempo: float
    """What the latencies of the agents' requests are multiplied by, about."""
    handler_tempo: float
    held: float
    """Chance that a message is held back until its key is put again."""
    cache_faults: float
    """Chance that a cache is lost or stale before an agent starts."""
    settle: float
    own_clock: bool
    """The tree is on a file system with a clock of its own."""
    skew: float
    """Seconds by which the hosts' clocks are off, one way and the other."""
    chunked: bool
    """Files are uploaded in parts."""
    part_checksums: bool
    """S3 has a checksum of the whole of what was uploaded in parts."""
    prefix: str
    encoding: Encoding
    pages: bool
    redirects: bool
    redrives: bool
    outage: tuple[float, float]
    """Seconds from the begin: when handlers reach nothing."""
    visits: float
    """Chance that a change of an object is seen by a visitor, before and after."""
    brake: int
    """Files that may be deleted within a day without a person's word."""
    approves: float
    """Chance that an operator who looks approves what is held; at last they do."""
    rules: tuple[tuple[float, int], ...]
    """When other header rules are deployed, in seconds from the begin, and which of `HEADER_RULES`."""
    reforms: tuple[tuple[float, int], ...]
    """When other copy rules are deployed, or pages or redirects are turned on or off, and which of `REFORMS`."""
    tagging: tuple[tuple[float, int], ...]
    """When another way to invalidate is deployed, and which of `INVALIDATIONS`."""
    losses: tuple[tuple[float, str], ...]
    """When the index is lost: seconds from the begin, or a cue, and the seconds for which it is waited for at most."""
    meddling: tuple[float, ...]
    """When somebody changes the bucket behind the site's back."""
    audits: float
    """Chance that an agent audits and mends."""
    hints: float
    """Chance that a one-shot sync looks at hinted directories only, and that a daemon hears of some in a while."""
    excludes: tuple[tuple[float, int], ...]
    """When the hosts' excludes change, and to which of `EXCLUDES`."""
    small: int
    """Entries of a leaf, leaves of a transaction and names of a message at most; 0: as they are."""
    steers: tuple[Steer, ...] = ()
    """Requests that are met on purpose."""

    @property
    def copy_rules(self) -> tuple[tuple[CopyRule, ...], ...]:
        """All that are deployed at any time."""
        return COPY_RULES, *(REFORMS[number][0] for _, number in self.reforms)

    @property
    def ends_with_an_audit(self) -> bool:
        """Whether only an audit that mends can bring all to what it must be.

        A handler that is at work while other copy rules are deployed may still make a duplicate by those it began with.
        Of a lost index nobody knows what it was about to delete.
        """
        return self.ends_without_its_files or bool(self.losses)

    @property
    def ends_without_its_files(self) -> bool:
        """Whether before that audit even something may be missing in the bucket."""
        return bool(self.meddling or self.reforms)
