"""How a name is shown: each character of it can be seen, and none acts on what is beside it. No I/O.

The text in the page is the name, character by character. What cannot be seen (controls, marks that turn the direction
of text, spaces where nothing shows them) stands in a <bdi> with a label, which is read aloud and, by the style, shown.
"""

import re
from html import escape
from typing import Final

_HIDDEN: Final = (
    r"\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200b\u200e\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_JOINERS: Final = r"\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""What scripts and emoji are put together with: hidden only where a name has nothing else."""
_MARKED: Final = re.compile(rf"\A[ \u3000]+|[ \u3000]+\Z|([{_HIDDEN}])\1*")
_MARKED_ALL: Final = re.compile(rf"\A[ \u3000]+|[ \u3000]+\Z|([{_HIDDEN}{_JOINERS}])\1*")
_SUSPECT: Final = re.compile(f"[{_HIDDEN}{_JOINERS}]")
_NOTHING_TO_SEE: Final = re.compile(rf"[ \u3000{_HIDDEN}{_JOINERS}]+")
_LABELS: Final = {
    "\t": "TAB",
    "\n": "LF",
    "\r": "CR",
    "\x1b": "ESC",
    " ": "SPACE",
    "\x7f": "DEL",
    "\xa0": "NBSP",
    "\xad": "SHY",
}


def shown_name(name: str) -> str:
    """Give a name as HTML, to stand in a <bdi>; its text is exactly the name."""
    if not _SUSPECT.search(name) and name.strip(" \u3000") == name:
        return escape(name)
    shown: list[str] = []
    end = 0
    for found in _marked(name).finditer(name):
        shown += (escape(name[end : found.start()]), _mark(found[0]))
        end = found.end()
    shown.append(escape(name[end:]))
    return "".join(shown)


def plain_name(name: str) -> str:
    """Give a name as HTML text without markup, each mark of it replaced."""
    return escape(_marked(name).sub("\N{REPLACEMENT CHARACTER}", name))


def _marked(name: str) -> re.Pattern[str]:
    return _MARKED_ALL if _NOTHING_TO_SEE.fullmatch(name) else _MARKED


def _mark(run: str) -> str:
    label = _LABELS.get(run[0]) or f"U+{ord(run[0]):04X}"
    times = f" \N{MULTIPLICATION SIGN}{len(run)}" if len(run) > 1 else ""
    text = run.replace("\r", "&#13;")  # parsers read a bare carriage return as a newline
    return f'<bdi role=img aria-label="{label}{times}">{text}</bdi>'
