"""Sets of header rules as the head records them: canonical JSON. No I/O."""

import json
from collections.abc import Sequence
from typing import Final

from siteferry_contract.descriptor import HeaderRule

_TAGS: Final = "cache tags"
"""Stands beside the rules where objects carry cache tags as well."""


def rules_to_json(rules: Sequence[HeaderRule], *, tags: bool) -> str:
    """Encode rules, and whether objects carry cache tags."""
    listed = [[rule.match, dict(sorted(rule.headers.items()))] for rule in rules]
    return json.dumps([*listed, _TAGS] if tags else listed)


def rules_from_json(text: str) -> tuple[list[HeaderRule], bool]:
    """Decode what `rules_to_json` gave."""
    listed = json.loads(text)
    return [HeaderRule(*rule) for rule in listed if rule != _TAGS], _TAGS in listed
