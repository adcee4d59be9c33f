"""What can go wrong in the agent, as one tree.

SiteferryError            ends the command; has an exit code and says what to do next
├── UsageError            the command line
├── ConfigError           /etc/siteferry.toml or the descriptor
├── RootError             the tree is not there
├── AccessError           no credentials, or AWS refuses them
├── UnavailableError      AWS cannot be reached, or answers with an error of its own
├── StateError            the state directory cannot be used
├── DiskError             what is restored to is full, or cannot be written
├── BusyError             another sync is running
├── PausedError           somebody paused the site on this host
├── LeaseLostError        another agent took the site over
└── IndexDamagedError     the index cannot be read, or is not what the head says
StoreError                one request about one object
├── RefusedError          had no effect, and would have none again
├── ThrottledError        had no effect, and may work later
└── OutcomeUnknownError   may have had its effect
FileError                 one file
├── FileChangedError      it changed while it was read: a later run looks again
│   └── FileLockedError   another process has it locked to write it
└── FileUnreadableError   it cannot be read
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `siteferry`. From 64 on they are those of sysexits.h."""

    DONE = 0
    FAILED = 1
    HELD = 3
    USAGE = 64
    NO_INPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    IO_ERROR = 74
    BUSY = 75
    NO_PERMISSION = 77
    CONFIG = 78


class SiteferryError(Exception):
    """Ends the command. `remedy` says what to do next; a retry helps only if `retryable`."""

    exit = Exit.SOFTWARE
    retryable = False

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class UsageError(SiteferryError):
    """The command line makes no sense."""

    exit = Exit.USAGE


class ConfigError(SiteferryError):
    """A setting is missing or wrong."""

    exit = Exit.CONFIG


class RootError(SiteferryError):
    """The tree's directory is not there or cannot be read."""

    exit = Exit.NO_INPUT
    retryable = True


class AccessError(SiteferryError):
    """There are no credentials, or they do not allow what the agent needs."""

    exit = Exit.NO_PERMISSION


class UnavailableError(SiteferryError):
    """AWS cannot be reached or does not answer as it should."""

    exit = Exit.UNAVAILABLE
    retryable = True


class StateError(SiteferryError):
    """The state directory cannot be used."""

    exit = Exit.IO_ERROR


class DiskError(SiteferryError):
    """What is restored to is full, or cannot be written."""

    exit = Exit.IO_ERROR
    retryable = True


class BusyError(SiteferryError):
    """Another sync of this site is running."""

    exit = Exit.BUSY
    retryable = True


class PausedError(SiteferryError):
    """The site is paused on this host."""

    exit = Exit.BUSY
    retryable = True


class LeaseLostError(SiteferryError):
    """The lease ended or another agent holds it: nothing more may be written."""

    exit = Exit.BUSY
    retryable = True


class IndexDamagedError(SiteferryError):
    """The index is not readable; nothing is deleted on its word."""


class StoreError(Exception):
    """A request about one object failed."""


class RefusedError(StoreError):
    """The request had no effect and would have none again."""


class ThrottledError(StoreError):
    """The request had no effect, but may work later."""


class OutcomeUnknownError(StoreError):
    """The request may have had its effect."""


class FileError(Exception):
    """One file cannot be published now; the text says why."""


class FileChangedError(FileError):
    """The file is not what the scan saw: it is left for a later run."""


class FileLockedError(FileChangedError):
    """Another process holds a write lock on the file: it is not finished."""


class FileUnreadableError(FileError):
    """The file cannot be read."""
