"""Typed access to a TOML document, in which every refusal names the file, the key path, the reason and the remedy."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class SettingsError(ValueError):
    """A settings file is refused; the text is for the operator and complete. Only an edit of the file helps."""


_TYPE_NAMES: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "an array",
    dict: "a table",
}


def _described(value: object) -> str:
    name = _TYPE_NAMES.get(type(value), f"a {type(value).__name__}")
    return name if isinstance(value, (dict, list)) else f"{value!r} ({name})"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a document."""

    source: str
    """The file's name, for messages."""
    path: str
    """The table's own key path, "" for the document."""
    values: Mapping[str, Any]

    def error(self, key: str, reason: str, remedy: str) -> SettingsError:
        """Make the error about `key` of this table, "" for the table itself."""
        place = ".".join(part for part in (self.path, key) if part)
        return SettingsError(f"{self.source}: {place}: {reason}; {remedy}")

    def only(self, *known: str) -> None:
        """Refuse any key that is not among `known`."""
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                remedy = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"
                raise self.error(key, "there is no such setting", remedy)

    def text(self, key: str, *, default: str | None = None) -> str | None:
        """Give a string, or `default` where the key is missing."""
        value = self.values.get(key, default)
        if value is not None and not isinstance(value, str):
            raise self.error(key, f"{_described(value)} is not a string", "put it in quotes")
        return value

    def required_text(self, key: str) -> str:
        """Give a string that has to be there."""
        value = self.text(key)
        if value is None:
            raise self.error(key, "is missing", f'add {key} = "..."')
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """Give a boolean, or `default` where the key is missing."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"{_described(value)} is not a boolean", "use true or false, without quotes")
        return value

    def integer(self, key: str, *, default: int, low: int, high: int, unit: str) -> int:
        """Give an integer from `low` to `high`, or `default` where the key is missing."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            remedy = f"use a whole number of {unit}, without quotes"
            raise self.error(key, f"{_described(value)} is not an integer", remedy)
        if not low <= value <= high:
            raise self.error(key, f"{value} is out of range", f"use {low} to {high} {unit}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Give an array of strings, empty where the key is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"{_described(value)} is not an array", 'use ["...", "..."]')
        for number, element in enumerate(value):
            if not isinstance(element, str):
                raise self.error(f"{key}[{number}]", f"{_described(element)} is not a string", "put it in quotes")
        return tuple(value)

    def tables(self, key: str) -> tuple["Table", ...]:
        """Give an array of tables, empty where the key is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"{_described(value)} is not an array", "use [{...}, {...}]")
        return tuple(self._table(f"{key}[{number}]", element) for number, element in enumerate(value))

    def table(self, key: str) -> "Table":
        """Give a table, empty where the key is missing."""
        return self._table(key, self.values.get(key, {}))

    def _table(self, key: str, value: object) -> "Table":
        if not isinstance(value, dict):
            raise self.error(key, f"{_described(value)} is not a table", "use { key = value }")
        path = ".".join(part for part in (self.path, key) if part)
        return Table(self.source, path, value)
