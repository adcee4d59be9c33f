"""Beyond the protocol: what holds deletes back, and what the head remembers."""

from typing import Any
from unittest.mock import patch

import siteferry.look
from siteferry.compare import Braked, Comparer
from siteferry.head import Applied
from siteferry.lease import Control
from siteferry.snapshot import Snapshot
from siteferry.sync import Site
from tests.simulation.mutations.patches import Patches


def brake() -> Patches:
    """However much is gone, it is deleted."""
    return [patch.object(siteferry.look, "apply_brake", lambda *_args, **_recent: Braked(""))]


def hold() -> Patches:
    """A root that is empty, or on another file system, is taken as it is."""
    real = Comparer._diff

    def diff(self: Comparer, scan: Any, plan: Any, result: Any, _hold: str) -> Any:
        return real(self, scan, plan, result, "")

    return [patch.object(Comparer, "_diff", diff)]


def earlier_rules() -> Patches:
    """The head forgets the header rules of before when a run is opened."""
    return [patch.object(Applied, "with_rules_of", lambda self, _before: self)]


def own_lease() -> Patches:
    """A lease of one's own is taken back at once, over an open run too."""

    def takes_at_once(self: Control) -> bool:
        lease = self._head.lease
        return lease is None or lease.owner == self._owner

    return [patch.object(Control, "takes_at_once", property(takes_at_once))]


def hinted_whole() -> Patches:
    """A run over hinted directories takes the snapshot for the whole tree, whatever it has."""
    real, is_whole = Site._sync, Snapshot.is_whole
    hinted = [False]

    def sync(self: Site, directories: Any) -> Any:
        hinted[0] = directories is not None
        try:
            return real(self, directories)
        finally:
            hinted[0] = False

    return [
        patch.object(Site, "_sync", sync),
        patch.object(Snapshot, "is_whole", lambda self: hinted[0] or is_whole(self)),
    ]
