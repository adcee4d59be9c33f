"""Copy rules: every key under `source` is duplicated under `destination`.

Both are prefixes of the site's own namespace (what an FTP user sees), without the site's prefix.
`source` may be empty: everything. Destinations are reserved: nothing under one is ever a source or an upload, so
a duplicate never fights a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from siteferry_contract.errors import ContractError


@dataclass(frozen=True, slots=True)
class CopyRule:
    """Duplicate every key under `source` under `destination`."""

    source: str
    destination: str


def check_rules(rules: Sequence[CopyRule]) -> None:
    """Raise ContractError, naming the rule and the reason, unless the rules can hold together."""
    for number, rule in enumerate(rules, 1):
        where = f"copy rule {number} ({rule.source!r} to {rule.destination!r})"
        _check_folder(rule.source, f"{where}: 'from'")
        if not rule.destination:
            raise ContractError(f"{where}: 'to' is empty: every key would be its own duplicate")
        _check_folder(rule.destination, f"{where}: 'to'")
        for other_number, other in enumerate(rules, 1):
            if _overlap(rule.destination, other.source) and other.source:
                raise ContractError(
                    f"{where}: 'to' overlaps the 'from' of rule {other_number} ({other.source!r}): a duplicate"
                    " is never a source, so copies of copies are refused; copy from the original instead"
                )
            if number < other_number and _overlap(rule.destination, other.destination):
                raise ContractError(
                    f"{where}: 'to' overlaps the 'to' of rule {other_number} ({other.destination!r}):"
                    " two originals would fight for one key"
                )


def is_reserved(name: str, rules: Sequence[CopyRule]) -> bool:
    """Tell whether a key without the site's prefix lies where only duplicates may be."""
    return any(name.startswith(rule.destination) for rule in rules)


def is_reserved_directory(name: str, rules: Sequence[CopyRule]) -> bool:
    """Tell the same of a directory, given without a trailing slash."""
    return is_reserved(f"{name}/", rules)


def duplicates(key: str, prefix: str, rules: Sequence[CopyRule]) -> Iterator[str]:
    """Give the keys at which `key` is duplicated; none if `key` is itself under a destination."""
    name = key.removeprefix(prefix)
    if is_reserved(name, rules):
        return
    for rule in rules:
        if name.startswith(rule.source):
            yield prefix + rule.destination + name.removeprefix(rule.source)


def original_of(key: str, prefix: str, rules: Sequence[CopyRule]) -> str | None:
    """Give the key of which `key` is a duplicate; None: it is none's."""
    name = key.removeprefix(prefix)
    for rule in rules:
        if name.startswith(rule.destination):
            original = rule.source + name.removeprefix(rule.destination)
            return None if not original or is_reserved(original, rules) else prefix + original
    return None


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _check_folder(value: str, where: str) -> None:
    if not value:
        return
    if not value.endswith("/") or any(part in ("", ".", "..") for part in value[:-1].split("/")):
        raise ContractError(
            f"{where} {value!r} is refused: it must end with one '/', begin with none, and have no component"
            " that is empty, '.' or '..'"
        )
