"""The template, the style and the script of directory pages, read once.

Where a site has a template of its own, that is what its bundle has as `directory_page.html`.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from siteferry_contract.page_template import split_template

_FILLER: Final = re.compile(r"^[ \t]*(?://.*|/\*.*\*/)?\n|^[ \t]+", re.MULTILINE)
"""What browsers need not get: indentation, lines that are blank or a comment."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the pages of a site have in common: the template, filled in as far as all pages agree."""

    texts: tuple[str, ...]
    names: tuple[str, ...]
    """Of the placeholders between the texts."""


def make_layout(template: str, style: str, script: str) -> Layout:
    """Prepare a template; raises ContractError for a placeholder that is unknown."""
    style, script = _FILLER.sub("", style), _FILLER.sub("", script)
    policy = (
        f"default-src 'none'; style-src '{_source(style)}'; script-src '{_source(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    constant = {"policy": policy, "style": f"<style>{style}</style>", "script": f"<script>{script}</script>"}
    first, *rest = split_template(template)
    texts, names = [first], []
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        if name in constant:
            texts[-1] += constant[name] + text
        else:
            names.append(name)
            texts.append(text)
    return Layout(tuple(texts), tuple(names))


def _source(text: str) -> str:
    """Give the source expression by which a policy allows an inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _read(name: str) -> str:
    return files("siteferry_lambdas").joinpath(name).read_text(encoding="utf-8")


LAYOUT: Final = make_layout(_read("directory_page.html"), _read("directory_page.css"), _read("directory_page.js"))
"""The layout that is deployed."""
