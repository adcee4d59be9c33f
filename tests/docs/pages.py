"""The Markdown of the docs: where it is, its links, its headings, its commands."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = PROJECT / "docs"
BESIDE: Final = ("README.md", "SECURITY.md", "CHANGELOG.md")
"""Pages that are not in the folder."""

_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"(?<=\n\n)(?: {4}.*\n+)+")
_INLINE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"""(?<=\]\()[^)\s]+(?=\))|(?<=src=")[^"]+|(?<=srcset=")[^"]+""")
_HEADING: Final = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)
_COMMAND: Final = re.compile(r"^ {4,}(?:\$ |sudo )?(?:-u siteferry )?(siteferry .*)$", re.MULTILINE)


def pages() -> Sequence[Path]:
    """Give every page."""
    return [*(PROJECT / name for name in BESIDE), *sorted(FOLDER.rglob("*.md"))]


def links(text: str) -> Iterator[tuple[int, int]]:
    """Give where each link's target is in a text, without those in code."""
    blank = text
    for code in (_FENCED, _INDENTED, _INLINE):
        blank = code.sub(lambda found: " " * len(found[0]), blank)
    for found in _LINK.finditer(blank):
        yield found.span()


def targets(text: str) -> Iterator[str]:
    """Give the targets of the links that lead to files of the project."""
    for begin, end in links(text):
        if not re.match(r"[a-z]+:", text[begin:end]):
            yield text[begin:end]


def anchors(text: str) -> set[str]:
    """Give the anchors of the headings, as both GitHub and the site make them."""
    return {anchor(heading) for heading in _HEADING.findall(_FENCED.sub("", text))}


def anchor(heading: str) -> str:
    """Give the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(text: str) -> Iterator[str]:
    """Give every command of siteferry in a text: in code, or on an indented line of its own."""
    yield from re.findall(r"`(siteferry [^`]*)`", text)
    yield from _COMMAND.findall(text)
