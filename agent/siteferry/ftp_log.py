"""What an FTP server's log says of changes: xferlog(5), vsftpd's own format, and Pure-FTPd's CLF. No I/O.

FTP users choose the names in there, so a line is a hint and nothing more: whatever it says, it can only have a
directory looked at.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

LONGEST_LINE: Final = 16_384
"""Bytes: a path has at most 4,096, and as many as 12,288 percent-encoded."""

_DATE: Final = rb"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"
_XFERLOG: Final = re.compile(
    rb"^" + _DATE + rb" +\d+ \S+ (\d{1,19}) (.+) [abAB] \S+ ([id]) [arg] (\S+) \S+ \d \S+ ([ci])\s*$", re.ASCII
)
_VSFTPD: Final = re.compile(
    rb"^" + _DATE + rb" \[pid \d+\] \[([^\]]*)\] (OK|FAIL) (UPLOAD|DELETE|MKDIR|RMDIR|RENAME|CHMOD):"
    rb' Client "[^"]*", "(.+)"(?:, (\d{1,19}) bytes)?',
    re.ASCII,
)
_CLF: Final = re.compile(rb'^\S+ \S+ (\S+) \[[^\]"]{1,40}\] "PUT (\S+)(?: [^"]*)?" \d{3} ', re.ASCII)


@dataclass(frozen=True, slots=True)
class Logged:
    """A change that a line tells of."""

    path: bytes
    """As the server has it: absolute, or relative to where its user is confined."""
    user: bytes
    lossy: bool
    """Bytes of the name may have become `?`, spaces and control characters `_`."""
    written: bool
    """A file was written, which must settle first."""
    cut_short: int | None = None
    """Bytes after which an upload was; None: it was not."""


def parse(line: bytes) -> tuple[Logged, ...]:
    """Give the changes that a line tells of: none, one, or two for a rename."""
    if len(line) > LONGEST_LINE:
        return ()
    if found := _XFERLOG.match(line):
        size, path, direction, user, status = found.groups()
        written = direction == b"i"
        cut_short = int(size) if written and status == b"i" else None
        return (Logged(path, user, lossy=True, written=written, cut_short=cut_short),)
    if found := _VSFTPD.match(line):
        user, outcome, what, path, size = found.groups()
        return _vsftpd(user, what, path, int(size or 0), succeeded=outcome == b"OK")
    if found := _CLF.match(line):
        user, path = found.groups()
        return (Logged(unquote_to_bytes(path), user, lossy=False, written=True),)
    return ()


def _vsftpd(user: bytes, what: bytes, path: bytes, size: int, *, succeeded: bool) -> tuple[Logged, ...]:
    if what == b"UPLOAD":
        return (Logged(path, user, lossy=True, written=True, cut_short=None if succeeded else size),)
    if not succeeded:
        return ()
    paths = [path]
    if what == b"RENAME":  # "FROM TO", and either may have spaces
        parts = path.split(b" /")
        paths = [parts[0], b"/" + parts[-1]]
    return tuple(Logged(one, user, lossy=True, written=what == b"CHMOD") for one in paths)


def may_be(logged: bytes, name: bytes) -> bool:
    """Tell whether a name on disk may be what a lossy log made `logged` of."""
    return len(logged) == len(name) and all(map(_may_be_byte, logged, name))


def _may_be_byte(logged: int, byte: int) -> bool:
    if logged == byte or logged == ord("?"):
        return True
    return logged == ord("_") and not ord(" ") < byte < 0x7F  # noqa: PLR2004  ASCII that is seen
