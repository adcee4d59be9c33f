"""The versions of what agent and Lambdas write for one another, and what is said of one that is not known.

The stack goes first: its handlers read what the agents before wrote, and its descriptor says what they read. An agent
writes nothing that they do not. So a format changes in two releases: the first reads both and writes the old one, the
second writes the new one. `tests/contract_history` keeps what each release wrote; docs/upgrade.md has the order.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from siteferry_contract.errors import ContractError, shown

Format = Literal["job", "leaf", "shape"]
"""What the agent writes and the handlers read."""
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

WRITTEN: Final[Mapping[Format, int]] = {"job": 1, "leaf": 1, "shape": 1}
READ: Final[Mapping[Format, tuple[int, ...]]] = {"job": (1,), "leaf": (1,), "shape": (1,)}
DESCRIPTORS: Final = (1,)
"""The versions of a descriptor that are read. Only what no reader may overlook makes another version."""

FIRST: Final[Mapping[Format, tuple[int, ...]]] = {"job": (1,), "leaf": (1,), "shape": (1,)}
"""What the handlers read of a stack that does not say."""

_READER: Final[Mapping[Format, str]] = {
    "job": "the stack",
    "leaf": "the stack, or the agent that says this,",
    "shape": "the stack",
}
AGENT_FIRST: Final = "the stack is newer than this agent: upgrade the agent"
STACK_FIRST: Final = "the stack is older than this agent: deploy the stack of the agent's release, or newer, first"


def check_version(format_: Format, seen: object) -> None:
    """Raise ContractError, with what to upgrade, unless this release reads what has the version."""
    known = READ[format_]
    if type(seen) is int and seen in known:
        return
    remedy = ""
    if type(seen) is int and seen > max(known):
        remedy = f": a newer agent wrote it, so bring {_READER[format_]} to that agent's release, or a newer one"
    elif type(seen) is int:
        remedy = f": an agent wrote it that is too old for this release, so bring back {_READER[format_]}"
    raise ContractError(f"{format_} has version {shown(seen)}, expected {_listed(known)}{remedy}")


def check_descriptor_version(seen: object) -> None:
    """Raise ContractError, with what to upgrade, unless this release reads descriptors of the version."""
    if type(seen) is int and seen in DESCRIPTORS:
        return
    remedy = "is it siteferry's own, as the stack wrote it?"
    if type(seen) is int:
        remedy = AGENT_FIRST if seen > max(DESCRIPTORS) else STACK_FIRST
    raise ContractError(f"the site descriptor has version {shown(seen)}, expected {_listed(DESCRIPTORS)}: {remedy}")


def check_reads(reads: Mapping[Format, tuple[int, ...]]) -> None:
    """Raise ContractError, with what to upgrade, unless handlers that read these versions read what is written here."""
    for format_, written in WRITTEN.items():
        if written not in reads[format_]:
            remedy = STACK_FIRST if written > max(reads[format_]) else AGENT_FIRST
            raise ContractError(
                f"this agent writes a {format_} of version {written}, and the stack's handlers read"
                f" {_listed(reads[format_])}: {remedy}"
            )


def decode_reads(value: Any) -> dict[Format, tuple[int, ...]]:
    """Decode what handlers read, from a descriptor; a format that is not named is read in its first version."""
    if not isinstance(value, dict):
        raise ContractError(f"the site descriptor's 'reads' is {shown(value)}, not an object")
    found: dict[Format, tuple[int, ...]] = {}
    for format_ in FORMATS:
        versions = value.get(format_, list(FIRST[format_]))
        if not isinstance(versions, list) or not versions or any(type(version) is not int for version in versions):
            raise ContractError(
                f"the site descriptor's 'reads' has {format_} {shown(versions)}, not a list of versions"
            )
        found[format_] = tuple(versions)
    return found


def _listed(versions: tuple[int, ...]) -> str:
    return " or ".join(map(str, versions))
