"""A site's own template of directory pages: checked before anything is deployed, since pages are written by Lambdas.

The check is for mistakes, not against the operator: placeholders stand only where what is put in cannot become
something else than it is, and what every page needs is there.
"""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from siteferry_contract.errors import ContractError
from siteferry_contract.page_template import PLACEHOLDERS, page_layout, split_template
from siteferry_infra.toml_reader import Table

HANDLERS: Final = Path(__file__).resolve().parents[2] / "lambdas"
TEMPLATE: Final = "siteferry_lambdas/directory_page.html"
"""Where the handlers' code has the template: the built-in one, or the site's in its place."""
MAX_TEMPLATE_BYTES: Final = 64 * 1024
"""It is a part of every page."""
_ENDS: Final = (".html", ".css", ".js")

_CHARSET_WITHIN: Final = 1024
"""Bytes in which browsers look for it."""
_APART: Final = frozenset(
    {"a", "button", "iframe", "math", "noscript", "script", "select", "style", "svg", "template", "textarea", "title"}
)
"""Elements in which markup is not read as such, or not by every browser, or must not be."""
_REFUSED: Final = ("audio", "form", "iframe", "img", "link", "object", "script", "style", "video")
"""Elements that the built-in policy refuses."""


def read_page_template(table: Table, folder: Path) -> str | None:
    """Read and check the file that `page_template` names, relative to `folder`; raises SettingsError."""
    name = table.text("page_template")
    if name is None:
        return None
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "give the path of an HTML file, relative to the folder of this file"
        raise table.error("page_template", f"{path} cannot be read: {error.strerror}", remedy) from error
    except ValueError as error:
        raise table.error("page_template", f"{name!r} is no path: {error}", "give the path of an HTML file") from error
    if len(content) > MAX_TEMPLATE_BYTES:
        remedy = f"use at most {MAX_TEMPLATE_BYTES}, and files of the site for the rest"
        raise table.error("page_template", f"{path} has {len(content)} bytes, in every page", remedy)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise table.error("page_template", f"{path} is not UTF-8: {error}", "save it as UTF-8") from error
    for reason, remedy in _mistakes(text):
        raise table.error("page_template", f"{path}: {reason}", remedy)
    return text


def layout_of(template: str | None) -> str:
    """Give the page layout of a site with that template, or with the built-in one."""
    built_in, style, script = ((HANDLERS / TEMPLATE).with_suffix(end).read_text("utf-8") for end in _ENDS)
    return page_layout(built_in if template is None else template, style, script)


class _Places(HTMLParser):
    """Finds where the placeholders of a template stand, and what else is there."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.closed: set[str] = set()
        self.titled = False
        self.right: list[str] = []
        self.wrong: list[tuple[str, str]] = []
        """Placeholders and where they stand."""
        self._around: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        here = dict(attrs)
        # The policy has spaces and single quotes.
        if (
            tag == "meta"
            and (here.get("http-equiv") or "").lower() == "content-security-policy"
            and here.get("content") == "{{policy}}"
            and '"{{policy}}"' in (self.get_starttag_text() or "")
        ):
            self.right.append("policy")
            del here["content"]
        self.wrong += [
            (name, f"in a tag <{tag}>") for pair in here.items() for name in _known(" ".join(filter(None, pair)))
        ]
        if tag in _APART:
            self._around.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.closed.add(tag)
        if tag in self._around:
            del self._around[self._around.index(tag) :]

    def handle_data(self, data: str) -> None:
        around = self._around[-1] if self._around else ""
        for name in _known(data):
            if name == "title" and around in ("", "title"):
                self.right.append(name)
                self.titled |= around == "title"
            elif name == "policy" or around:
                self.wrong.append((name, f"inside <{around}>" if around else "in the text"))
            else:
                self.right.append(name)


def _known(text: str) -> list[str]:
    """Give the placeholders in a piece of a template."""
    return [name for name in re.findall(r"\{\{(.*?)\}\}", text) if name in PLACEHOLDERS]


def _mistakes(text: str) -> list[tuple[str, str]]:
    """Give what is wrong with a template, and what to do about it, in the order of weight."""
    try:
        names = split_template(text)[1::2]
    except ContractError as error:
        return [(str(error), "correct it; other text in double braces is not possible")]
    places = _Places()
    places.feed(text)
    places.close()
    # What the parser told nothing of is in a comment, an end tag or the like.
    untold = Counter(names) - Counter(places.right) - Counter(name for name, _ in places.wrong)
    found = [
        (f"{{{{{name}}}}} stands {place}, where it cannot become {PLACEHOLDERS[name]}", _where(name))
        for name, place in [*places.wrong, *((name, "where nothing is shown") for name in untold)]
    ]
    found += [
        (f"{{{{{name}}}}} is there {times} times", "keep one")
        for name, times in Counter(names).items()
        if times > 1 and name != "title"
    ]
    if not re.match(r"\s*<!doctype html>", text, re.IGNORECASE):
        found.append(("it does not begin with <!DOCTYPE html>", "give a whole HTML document"))
    if not re.search(r"</html>\s*\Z", text, re.IGNORECASE):
        found.append(("it does not end with </html>: perhaps it was cut short", "give a whole HTML document"))
    found += [
        (f"it has no <{tag}>", "give a whole HTML document")
        for tag in ("html", "head", "body")
        if tag not in places.tags or tag not in places.closed
    ]
    head = text.encode()[:_CHARSET_WITHIN].decode(errors="ignore")
    if not re.search(r"<meta\s+charset\s*=\s*[\"']?utf-8\b", head, re.IGNORECASE):
        found.append(("it does not say that it is UTF-8, as pages are", 'put <meta charset="utf-8"> first into <head>'))
    if not places.titled:
        found.append(("its pages have no title", "put <title>{{title}}</title> into <head>"))
    refused = [tag for tag in _REFUSED if tag in places.tags]
    if "policy" in names and refused:
        reason = f"{{{{policy}}}} allows the built-in style and script only, and there is <{refused[0]}>"
        found.append((reason, "leave that out, or the <meta> of the policy, or write a policy of your own"))
    if "listing" not in names:
        found.append(("{{listing}} is missing: its pages would list nothing", "put it where the table belongs"))
    elif "script" in names and names.index("script") < names.index("listing"):
        found.append(("{{script}} stands before {{listing}}, and would find no table", "put it before </body>"))
    return found


def _where(name: str) -> str:
    match name:
        case "policy":
            return 'write <meta http-equiv="Content-Security-Policy" content="{{policy}}">, or leave it out'
        case "title":
            return "put it into <title>, or into the text of <body>"
        case _:
            return "put it between elements, where a <div> could stand"
