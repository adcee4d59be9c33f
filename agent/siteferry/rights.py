"""What this process may do on the host, and what others may: said where it is more than siteferry is made for."""

from pathlib import Path
from typing import Final

CAP_DAC_READ_SEARCH: Final = 1 << 2
"""To read every file and directory (capabilities(7)): all that the agent can use."""


def too_much(
    status: Path = Path("/proc/self/status"), hard_links: Path = Path("/proc/sys/fs/protected_hardlinks")
) -> list[str]:
    """Give a line for whatever is allowed that should not be; nothing where it cannot be told."""
    lines = []
    if _effective(status) & ~CAP_DAC_READ_SEARCH:
        lines.append(
            "WARNING: running with more rights than siteferry needs (as root?): give it a user of its own, with"
            " CAP_DAC_READ_SEARCH at most, as siteferry.service does"
        )
    if _text(hard_links).strip() == "0":
        lines.append(
            "WARNING: fs.protected_hardlinks is 0: whoever can run a program on this host could have any file published"
            " by a hard link to it; set it to 1"
        )
    return lines


def _effective(status: Path) -> int:
    for line in _text(status).splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
