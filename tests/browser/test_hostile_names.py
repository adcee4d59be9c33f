"""A directory of names that try to become something else, in a browser."""

import re
import unicodedata
from urllib.parse import quote

import pytest

from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry
from siteferry_lambdas.rendering import render
from tests.browser.conftest import Cdn, Visit, Visitor

ATTACKS = (
    "<script>document.hacked = 1<script>",
    "<img src=x onerror=document.hacked=1>",
    '"><svg onload=document.hacked=1>',
    "' onmouseover='document.hacked=1' x='",
    '" autofocus onfocus="document.hacked=1',
    "<!--",
    "-->",
    "]]>",
    "<title>",
    "<base href=javascript:document.hacked=1>",
    "<meta http-equiv=refresh content='0;javascript:0'>",
    "<plaintext>",
    "javascript:document.hacked=1",
    "data:text\\html,<script>document.hacked=1<script>",
    "http:",
    "http:example.com",
    "mailto:x",
    "\\\\example.com",
    "&lt;b&gt;",
    "&#13;",
    "&amp",
    "{{listing}}",
    "{{script}}",
    "${document.hacked=1}",
)
ODDITIES = (
    " ",
    "   ",
    " lead",
    "trail ",
    "two  spaces",
    "\n",
    "\n" * 255,
    "\r",
    "\r\n",
    "a\nb\rc\td",
    "\x0b\x0c",
    "".join(map(chr, range(1, 32))),
    "\x7f\x80\x85\x9f",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "invoice\u202egpj.exe",
    "\u2066\u2067\u2068\u2069",
    "\u200f\u200e",
    "\u200b",
    "\u200d",
    "\u3000",
    "\u3164",
    "\ufeff",
    "\xa0",
    "\xad",
    "\u2028\u2029",
    "\ufffe\uffff\ufffd",
    "\U000e0041",
    "..a",
    "%",
    "%00",
    "%2F",
    "%2e%2e%2f",
    "%41",
    "a#b",
    "a?b",
    "a?b=c&d;e",
    "a+b",
    "~",
    "*",
    "*.*",
    "-rf",
    "c:\\con",
    "a|b^c`d[e]{f}",
    "!$'(),;:@&=",
    unicodedata.normalize("NFC", "Fähre"),
    unicodedata.normalize("NFD", "Fähre"),
    "日本語.txt",
    "שלום.txt",
    "👩‍👩‍👧‍👦",
    "a" + "\u0301" * 100,
    "x" * 255,
    "ä" * 127,
    "\u202e" * 85,
    "index.htm",
)
NAMES = tuple(name for name in dict.fromkeys(ATTACKS + ODDITIES) if not name.startswith("."))
DIRECTORIES = tuple(dict.fromkeys(f"{name[:60]}_" for name in NAMES))
"""No file system has a directory and a file of one name."""
POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="[^"]*">')
UNHARMED = "document.hacked === undefined && !document.querySelector('main :is(script, img, svg, base, meta)')"


def _files(*names: str) -> list[Entry]:
    return [FileEntry(name, len(name), 10**18, 0, None) for name in names]


def _body(directory: str, name: str) -> bytes:
    return f"the bytes of {name!r} in {directory!r}".encode()


@pytest.fixture
def hostile(cdn: Cdn) -> Cdn:
    """Serve the names as files of the directory `d`, and as its subdirectories, each of them with a file."""
    entries = [*_files(*NAMES, ".htaccess", "..a"), *map(SubdirectoryEntry, DIRECTORIES)]
    objects = {"d/index.html": render("d", entries)}
    objects |= {f"d/{name}": _body("d", name) for name in NAMES}
    for name in DIRECTORIES:
        objects[f"d/{name}/index.html"] = render(f"d/{name}", _files("file"))
        objects[f"d/{name}/file"] = _body(name, "file")
    cdn.objects = objects
    return cdn


def _links(here: Visit) -> list[tuple[str, str]]:
    """Give the text and the address of each link of the table, as the browser has them."""
    script = "all => all.map(link => [link.textContent, link.href])"
    return [(text, href) for text, href in here.page.locator("tbody a").evaluate_all(script)]


def test_every_link_of_a_hostile_directory_leads_to_its_bytes(hostile: Cdn, visit: Visitor) -> None:
    """Followed in the browser one by one; each one's text is the name, character by character."""
    here = visit(f"{hostile.address}d/")
    links = _links(here)
    assert [text for text, _ in links] == [*(f"{name}/" for name in sorted(DIRECTORIES)), *sorted(NAMES)]
    for text, href in links:
        answer, wanted = here.page.goto(href), _body("d", text)
        if text.endswith("/"):
            assert here.page.locator("h1").evaluate("heading => heading.textContent") == text[:-1]
            assert here.page.evaluate(UNHARMED)
            ((_, inner),) = _links(here)
            answer, wanted = here.page.goto(inner), _body(text[:-1], "file")
        assert answer is not None
        assert (answer.status, answer.body()) == (200, wanted), text
    assert here.trouble == []


def test_a_click_follows_a_link(hostile: Cdn, visit: Visitor) -> None:
    """Of a name that looks like a script's address, too."""
    here = visit(f"{hostile.address}d/")
    name = "javascript:document.hacked=1"
    here.page.get_by_role("link", name=name, exact=True).click()
    here.page.wait_for_url(f"{hostile.address}d/{name}")
    assert here.page.locator("body").inner_text() == _body("d", name).decode()
    assert here.trouble == []


def test_breadcrumbs_lead_up_from_the_most_hostile_places(cdn: Cdn, visit: Visitor) -> None:
    """Each to its directory, and the link to the parent folder to the parent."""
    parts = ("<b>", " ", "\u202e\n", "a#?b", "x")
    paths = ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]
    addresses = [cdn.address + "".join(f"{quote(part)}/" for part in parts[:depth]) for depth in range(len(parts) + 1)]
    cdn.objects = {f"{path}/index.html".lstrip("/"): render(path, []) for path in paths}
    here = visit(addresses[-1])
    crumbs = here.page.locator("nav a").evaluate_all("all => all.map(link => [link.textContent, link.href])")
    assert crumbs == [list(crumb) for crumb in zip(["Home", *parts[:-1]], addresses[:-1], strict=True)]
    for address in reversed(addresses[:-1]):
        here.page.get_by_role("link", name="Parent folder").click()
        here.page.wait_for_url(address)
    assert here.page.get_by_role("link").count() == 0
    assert here.trouble == []


@pytest.mark.parametrize("protected", [True, False])
def test_no_name_runs_or_breaks_out(hostile: Cdn, visit: Visitor, *, protected: bool) -> None:
    """Neither when it is shown nor when it is sorted, filtered, hovered and focused; even without a policy."""
    if not protected:
        hostile.objects = {key: POLICY.sub(b"", body) for key, body in hostile.objects.items()}
    assert (b"Content-Security-Policy" in hostile.objects["d/index.html"]) is protected
    here = visit(f"{hostile.address}d/")
    for header in ("Kind", "Size", "Modified (UTC)", "Name", "Name"):
        here.page.get_by_role("button", name=header).click()
    here.page.get_by_role("searchbox").fill("document.hacked")
    assert here.page.locator("tbody tr").count() > 10
    for link in here.page.locator("tbody a").all():
        link.hover()
        link.focus()
    here.page.get_by_role("searchbox").fill("")
    assert {text for text, _ in _links(here)} == {*(f"{name}/" for name in DIRECTORIES), *NAMES}
    assert here.page.evaluate(UNHARMED)
    assert here.trouble == []
    assert hostile.asked == ["d/"]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_name_can_be_seen_and_hit(hostile: Cdn, visit: Visitor, width: int) -> None:
    """None is of no size, none goes over its row or over the edge of the page, and a mouse hits each."""
    here = visit(f"{hostile.address}d/", viewport={"width": width, "height": 800})
    assert here.page.evaluate("document.documentElement.scrollWidth") == width
    wrong = here.page.evaluate(
        """() => [...document.querySelectorAll("tbody tr")].flatMap((row) => {
            row.scrollIntoView({block: "center"});
            const [cell, name] = [row.cells[0], row.querySelector("bdi")];
            const [outer, inner] = [row.getBoundingClientRect(), name.getBoundingClientRect()];
            const at = (box, x, y) => document.elementFromPoint(box.left + x, box.top + y);
            const seen = inner.width > 3 && inner.height > 8 && outer.height < 400;
            const inside = inner.left >= outer.left && inner.right <= outer.right + 0.5;
            const hit = at(cell.getBoundingClientRect(), 60, 18)?.closest("a") === row.querySelector("a");
            return seen && inside && hit ? [] : [JSON.stringify([name.textContent, seen, inside, hit, inner, outer])];
        })"""
    )
    assert wrong == []
