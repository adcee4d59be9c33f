"""Rule 5: the agent checks its re-adds."""

from typing import Any
from unittest.mock import patch

import siteferry.run
from siteferry.commit import edit_directory
from siteferry.publish import Publisher
from siteferry.recheck import Recheck
from siteferry.run import Effects
from tests.simulation.mutations.patches import Patches


def check() -> Patches:
    """Re-adds are not read back."""
    return [patch.object(Effects, "_recheck", lambda *_: None)]


def check_others() -> Patches:
    """Anybody's object will do."""
    return [patch.object(Publisher, "is_ours", lambda self, key, _: self._store.head(key) is not None)]


def check_gone() -> Patches:
    """What is missing, and gone from the tree, stays committed."""
    real = Recheck._again

    def again(self: Recheck, change: Any) -> Any:
        return real(self, change) if self.tree.is_regular_file(change.path, change.raw) else []

    return [patch.object(Recheck, "_again", again)]


def rebuilt() -> Patches:
    """The leaves of a rebuilt index count as if nothing had ever been deleted under them."""

    def edit(*args: Any, rebuilt: bool, **named: Any) -> Any:
        return edit_directory(*args, **named)

    return [patch.object(siteferry.run, "edit_directory", edit)]
