"""Which part of a tree is meant."""

from dataclasses import dataclass, field

from siteferry.errors import UsageError
from siteferry.names import printable


@dataclass(frozen=True, slots=True)
class Scope:
    """A path and all beneath it, or of that only some paths."""

    top: bytes = b""
    """A file or a directory, relative to the root; b"": everything."""
    only: frozenset[bytes] | None = None
    """The files that are meant; None: all."""
    _directories: frozenset[bytes] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        found: set[bytes] = set()
        for path in self.only or ():
            directory = path.rpartition(b"/")[0]
            while directory not in found:
                found.add(directory)
                directory = directory.rpartition(b"/")[0]
        object.__setattr__(self, "_directories", frozenset(found))

    def has(self, path: bytes) -> bool:
        """Tell whether a file is meant."""
        return self._is_within(path) and (self.only is None or path in self.only)

    def has_directory(self, path: bytes) -> bool:
        """Tell whether a directory is meant as such, whatever is in it."""
        return self.only is None and self._is_within(path)

    def leads_to(self, path: bytes) -> bool:
        """Tell whether a directory may have something in it that is meant."""
        leads = self._is_within(path) or self.top.startswith(path + b"/")
        return leads and (self.only is None or path in self._directories)

    def clears(self, path: bytes) -> bool:
        """Tell whether what is in the way of something that is meant may be removed."""
        return self.only is None or path in self.only

    def _is_within(self, path: bytes) -> bool:
        return not self.top or path == self.top or path.startswith(self.top + b"/")


def scope_of(argument: bytes) -> Scope:
    """Give the scope that a person names by a path; raises UsageError."""
    parts = [part for part in argument.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise UsageError(f"--path {printable(argument)} has '..'", "give a path relative to the site's root")
    return Scope(b"/".join(parts))
