"""Where a restore goes to, from its plan to its last effect."""

import os
from pathlib import Path
from typing import Self

from siteferry.errors import RootError, UsageError
from siteferry.restore.destination import Destination


class Target:
    """A directory, opened once: what was compared is what is written to. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open it, unless it is not there; raises RootError."""
        self.path = path
        self.there = Destination(path) if os.path.lexists(path) else None
        """None: it is not there yet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.there:
            self.there.close()

    def made(self) -> Destination:
        """Give it, made if it was not there; raises RootError."""
        if self.there is None:
            try:
                self.path.mkdir(parents=True)
            except FileExistsError:
                raise RootError(f"{self.path}: something was put there meanwhile", "try again") from None
            except OSError as error:
                remedy = "name a directory that this user may write in"
                raise RootError(f"{self.path}: {error.strerror}", remedy) from None
            self.there = Destination(self.path, follow=False)
        return self.there


def check_apart(destination: Path, root: Path) -> bool:
    """Tell whether a destination is the published root itself; raises UsageError if one is within the other."""
    one, other = destination.resolve(), root.resolve()
    if one == other:
        return True
    if other in one.parents:
        raise UsageError(
            f"{destination} is in the published tree {root}: all that is restored there would be published",
            "restore into a directory elsewhere, or into the root itself",
        )
    if one in other.parents:
        raise UsageError(
            f"{destination} has the published tree {root} in it, which would look like something extra",
            "restore into a directory of its own, or into the root itself",
        )
    return False
