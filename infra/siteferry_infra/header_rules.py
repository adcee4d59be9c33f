"""Header rules of a site: which headers an object gets, by a glob on its name.

A header value reaches the agent's HTTP client as it is written here, so anything that could end a header line is
refused before it is deployed.
"""

import json
import re
from typing import Final

from siteferry_contract.cache_tags import HEADER
from siteferry_contract.descriptor import HeaderRule
from siteferry_infra.toml_reader import Table

HEADERS: Final = (
    "cache-control",
    "content-type",
    "content-disposition",
    "content-language",
    "content-encoding",
)
"""The system metadata that S3 stores with an object and gives back, that a rule may set."""
METADATA_PREFIX: Final = "x-amz-meta-"
RESERVED_METADATA: Final = ("x-amz-meta-mtime", HEADER)
RESERVED_METADATA_PREFIX: Final = "x-amz-meta-siteferry"
"""Metadata that siteferry sets by itself."""
MAX_METADATA_BYTES: Final = 1_200
"""S3 takes 2 KB of user metadata an object, names and values; the rest is for siteferry's own, mostly cache tags."""
MAX_VALUE_CHARACTERS: Final = 1_024
MAX_RULES_BYTES: Final = 4_000
"""Half of what an SSM parameter holds (8 KB); the rest is for what else is in the descriptor."""

_METADATA_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


def read_header_rules(site: Table) -> tuple[HeaderRule, ...]:
    """Read and check `header_rules` of a site; raises SettingsError."""
    rules = tuple(_read_rule(table) for table in site.tables("header_rules"))
    size = len(json.dumps([{"match": rule.match, "headers": dict(rule.headers)} for rule in rules]))
    if size > MAX_RULES_BYTES:
        reason = f"{size} bytes are too many: they are a part of the descriptor, an SSM parameter of at most 8 KB"
        raise site.error("header_rules", reason, f"use fewer or shorter rules, up to {MAX_RULES_BYTES} bytes")
    return rules


def _read_rule(table: Table) -> HeaderRule:
    table.only("match", "headers")
    match = table.required_text("match")
    if not match or match.startswith("/") or not match.isprintable():
        raise table.error(
            "match",
            f"{match!r} can match no file",
            'use a glob on the name without a leading slash, such as "*.html"',
        )
    headers = table.table("headers")
    if not headers.values:
        raise table.error("headers", "is missing or empty", 'add headers = { cache-control = "..." }')
    result: dict[str, str] = {}
    for name in headers.values:
        lower = name.lower()
        _check_name(headers, name)
        if lower in result:
            raise headers.error(name, "the same header is there twice", "keep one of the two")
        result[lower] = _read_value(headers, name)
    metadata = sum(len(name) + len(value) for name, value in result.items() if name not in HEADERS)
    if metadata > MAX_METADATA_BYTES:
        raise headers.error(
            "", f"{metadata} bytes of {METADATA_PREFIX}* are too many", f"use at most {MAX_METADATA_BYTES}"
        )
    return HeaderRule(match, result)


def _check_name(headers: Table, name: str) -> None:
    lower = name.lower()
    if lower in HEADERS:
        return
    if not lower.startswith(METADATA_PREFIX):
        raise headers.error(
            name, "S3 cannot keep this header with an object", f"use {', '.join(HEADERS)} or {METADATA_PREFIX}*"
        )
    if lower in RESERVED_METADATA or lower.startswith(RESERVED_METADATA_PREFIX):
        raise headers.error(name, "siteferry sets this metadata itself", "use another name")
    if not _METADATA_NAME.fullmatch(lower.removeprefix(METADATA_PREFIX)):
        remedy = f"after {METADATA_PREFIX} use letters, digits, '-' and '_'"
        raise headers.error(name, "is no name that S3 takes for metadata", remedy)


def _read_value(headers: Table, name: str) -> str:
    value = headers.required_text(name)
    if not value or value != value.strip():
        raise headers.error(name, f"{value!r} is empty or has space around it", "give the bare value")
    if not value.isascii() or not value.isprintable():
        remedy = "use visible ASCII characters and spaces only"
        raise headers.error(name, f"{value!r} has characters that a header cannot carry", remedy)
    if len(value) > MAX_VALUE_CHARACTERS:
        raise headers.error(name, f"{len(value)} characters are too many", f"use at most {MAX_VALUE_CHARACTERS}")
    return value
