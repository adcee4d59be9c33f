"""Rule 7: one writer, fenced."""

from collections.abc import Sequence
from unittest.mock import patch

from siteferry.lease import Control
from siteferry_contract.leaf import Leaf
from tests.simulation.mutations.patches import Patches
from tests.simulation.table import Table


def fence() -> Patches:
    """Commits do not check the lease."""
    real = Table.transact

    def transact(self: Table, leaves: Sequence[Leaf], own: str) -> bool:
        held, self.head_item = self.head_item, {"lease_token": {"S": own}}
        try:
            return real(self, leaves, own)
        finally:
            self.head_item = held

    return [patch.object(Table, "transact", transact)]


def require() -> Patches:
    """Requests begin whatever is left of the lease."""

    def require(self: Control, _: float) -> None:
        self.left()  # a look at the clock, that decides nothing

    return [patch.object(Control, "require", require)]


def watch() -> Patches:
    """A lease is taken at once, whoever has it."""
    return [patch.object(Control, "_watch", lambda *_: None)]
