"""Which file of the host an object is, where the object itself does not say so."""

from collections.abc import Callable

from siteferry.diff import Naming
from siteferry.runs import RunRecord
from siteferry_contract.errors import ContractError

PathOf = Callable[[str], bytes]
"""Gives the path that a key stands for."""


def by_key(naming: Naming) -> PathOf:
    """Tell paths by keys alone, which with the encoding `auto` is a guess."""
    return lambda key: b"/".join(map(naming.raw_name, key.removeprefix(naming.prefix).split("/")))


def by_record(record: RunRecord, since: float, naming: Naming, otherwise: PathOf) -> PathOf:
    """Tell paths by this host's record of what changed since a time, or otherwise."""
    recorded = {}
    for path in record.paths(since):
        try:
            key = naming.key(path)
        except ContractError:  # it had one under the settings of its time
            continue
        if naming.may_collide(key):
            recorded[key] = path
    return lambda key: recorded.get(key) or otherwise(key)
