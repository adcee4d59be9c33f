"""Markdown as the reference writes it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; a cell may have anything in it but a line's end."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def literal(value: Any) -> str:
    """Give a value as TOML has it, in code; nothing if there is none."""
    match value:
        case None:
            return ""
        case tuple() | list():
            return "`[]`" if not value else f"`{json.dumps([str(one) for one in value])}`"
        case float() if value.is_integer():
            return f"`{int(value)}`"
        case Path():
            return f'`"{value}"`'
        case _:
            return f"`{json.dumps(value)}`"
