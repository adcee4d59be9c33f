"""What a template of directory pages may say: fixed placeholders, each filled in once per page.

A placeholder is its name in double braces, exactly. All but `title` and `policy` stand for whole elements, and all are
filled in in one pass, so a file name that looks like a placeholder stays a file name.
"""

import hashlib
import re
from typing import Final

from siteferry_contract.errors import ContractError

PLACEHOLDERS: Final = {
    "title": '"Index of" and the path, as text',
    "policy": "the content of a Content-Security-Policy that allows the built-in style and script and nothing else",
    "style": "the built-in <style>",
    "breadcrumbs": "a <nav> with the folders above, and the name of this one as the <h1>",
    "summary": "how many folders and files, and how large together",
    "listing": "the link to the parent folder, and the table",
    "script": "the built-in <script>: sorting and filtering",
}
LAYOUT_VERSION: Final = 1
"""Counted up when the same listing and template make another page: the pages of every site are then written again."""

_PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def split_template(text: str) -> list[str]:
    """Cut a template into text and names by turns, text first and last; raises ContractError for an unknown name."""
    parts = _PLACEHOLDER.split(text)
    for name in parts[1::2]:
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{{{known}}}}}" for known in PLACEHOLDERS)
            raise ContractError(f"{f'{{{{{name}}}}}'!r} is no placeholder; known are {known}, without spaces")
    return parts


def page_layout(template: str, style: str, script: str) -> str:
    """Give a short hash that changes when the pages of the same listings do."""
    parts = (str(LAYOUT_VERSION), template, style, script)
    return hashlib.sha256(b"".join(hashlib.sha256(part.encode()).digest() for part in parts)).hexdigest()[:12]
