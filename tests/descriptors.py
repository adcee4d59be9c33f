"""Which descriptors this process holds, told by what they lead to: a shared process opens and closes others' too."""

import os
from contextlib import suppress
from pathlib import Path


def descriptors_beneath(place: Path) -> list[str]:
    """Give what is open of a place, removed or not: a path for each descriptor, sorted."""
    leading: list[str] = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists
            leading.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return sorted(
        path for path in leading if path == str(place) or path.startswith((f"{place}/", f"{place} (deleted)"))
    )
