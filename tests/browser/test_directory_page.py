"""What people do with a directory page: look, sort, filter, by mouse, by keyboard, without JavaScript."""

from importlib.resources import files
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry
from siteferry_lambdas.layout import make_layout
from siteferry_lambdas.rendering import render
from tests.browser.conftest import Cdn, Visitor

DAY = 86_400 * 10**9
ENTRIES: list[Entry] = [
    SubdirectoryEntry("zoo"),
    SubdirectoryEntry("Archive"),
    FileEntry("a.txt", 1_048_576, 3 * DAY, 0, None),
    FileEntry("b.jpg", 900, 5 * DAY, 0, None),
    FileEntry("c.pdf", 10_485_760, 1 * DAY, 0, None),
    FileEntry("d.zip", 2_000, 4 * DAY, 0, None),
    FileEntry("e.txt", 900, 2 * DAY, 0, None),
]
BY_NAME = ["Archive/", "zoo/", "a.txt", "b.jpg", "c.pdf", "d.zip", "e.txt"]


def _rows(page: Page) -> list[str]:
    return [text or "" for text in page.locator("tbody a").all_text_contents()]


def _sorting(page: Page) -> dict[str, str]:
    headers = page.locator("th[aria-sort]")
    return {header.inner_text().strip(): header.get_attribute("aria-sort") or "" for header in headers.all()}


def _many(count: int) -> list[Entry]:
    files = [FileEntry(f"photo-{n:06}.jpeg", (n * 7919) % count, n * DAY // 9, 0, None) for n in range(count)]
    return [*files, SubdirectoryEntry("Fähre")]


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        ("Name", BY_NAME[1::-1] + BY_NAME[:1:-1], BY_NAME),
        (
            "Kind",
            ["Archive/", "zoo/", "d.zip", "b.jpg", "c.pdf", "a.txt", "e.txt"],
            ["Archive/", "zoo/", "a.txt", "e.txt", "c.pdf", "b.jpg", "d.zip"],
        ),
        (
            "Size",
            ["Archive/", "zoo/", "c.pdf", "a.txt", "d.zip", "b.jpg", "e.txt"],
            ["Archive/", "zoo/", "b.jpg", "e.txt", "d.zip", "a.txt", "c.pdf"],
        ),
        (
            "Modified (UTC)",
            ["Archive/", "zoo/", "b.jpg", "d.zip", "a.txt", "e.txt", "c.pdf"],
            ["Archive/", "zoo/", "c.pdf", "e.txt", "a.txt", "d.zip", "b.jpg"],
        ),
    ],
)
def test_a_click_on_a_header_sorts(cdn: Cdn, visit: Visitor, header: str, first: list[str], second: list[str]) -> None:
    """Directories stay first, what is equal stays in the order of names, and a second click turns it around."""
    cdn.objects = {"index.html": render("", ENTRIES)}
    here = visit(cdn.address)
    assert _rows(here.page) == BY_NAME
    assert _sorting(here.page) == {"Name": "ascending"}
    button = here.page.get_by_role("button", name=header)
    for wanted in (first, second, first):
        button.click()
        assert _rows(here.page) == wanted
    down = header != "Kind"
    assert _sorting(here.page) == {header: "descending" if down else "ascending"}
    assert here.trouble == []


def test_the_keyboard_reaches_and_sorts_everything(cdn: Cdn, visit: Visitor) -> None:
    """In the order in which it stands, and the focus stays where it is and can be seen."""
    cdn.objects = {"d/index.html": render("d", ENTRIES + [FileEntry(f"f{n}", n, n, 0, None) for n in range(9)])}
    here = visit(f"{cdn.address}d/")
    focused = "document.activeElement.textContent || document.activeElement.placeholder"
    seen = []
    for _ in range(8):
        here.page.keyboard.press("Tab")
        seen.append(here.page.evaluate(focused))
        assert here.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert seen == ["Home", "Parent folder", "Filter by name", "Name", "Kind", "Size", "Modified (UTC)", "Archive/"]
    here.page.keyboard.press("Shift+Tab")
    here.page.keyboard.press("Shift+Tab")
    here.page.keyboard.press("Enter")
    assert _rows(here.page)[:3] == ["Archive/", "zoo/", "c.pdf"]
    here.page.keyboard.press("Space")
    assert _rows(here.page)[:3] == ["Archive/", "zoo/", "f0"]
    assert here.page.evaluate(focused) == "Size"


def test_the_filter_leaves_what_has_the_text(cdn: Cdn, visit: Visitor) -> None:
    """In any case and normal form, together with the sorting; emptied, everything is back."""
    cdn.objects = {"index.html": render("", _many(250))}
    here = visit(cdn.address)
    box = here.page.get_by_role("searchbox", name="Filter by name")
    box.fill("-00024")
    assert len(_rows(here.page)) == 10
    here.page.get_by_role("button", name="Name").click()
    assert _rows(here.page)[0] == "photo-000249.jpeg"
    assert here.page.get_by_role("status").inner_text() == "10 of 251"
    box.fill("FA\u0308HRE")
    assert _rows(here.page) == ["Fähre/"]
    box.fill("nothing has this")
    assert _rows(here.page) == []
    assert here.page.get_by_role("status").inner_text() == "0 of 251"
    box.fill("")
    assert len(_rows(here.page)) == 251
    assert here.page.get_by_role("status").inner_text() == ""


def test_a_page_works_without_javascript(cdn: Cdn, visit: Visitor) -> None:
    """In order, with headers that are text; nothing is there that would do nothing."""
    cdn.objects = {"index.html": render("", ENTRIES + _many(30)), "a.txt": b"bytes"}
    here = visit(cdn.address, java_script_enabled=False)
    assert _rows(here.page)[:4] == ["Archive/", "Fähre/", "zoo/", "a.txt"]
    assert here.page.get_by_role("columnheader").all_inner_texts() == ["Name", "Kind", "Size", "Modified (UTC)"]
    assert here.page.locator("button, input").count() == 0
    here.page.get_by_role("link", name="a.txt").click()
    here.page.wait_for_url(f"{cdn.address}a.txt")


def test_a_small_directory_has_no_filter(cdn: Cdn, visit: Visitor) -> None:
    """It can be seen at a glance. Nor has an empty one."""
    cdn.objects = {"index.html": render("", ENTRIES), "e/index.html": render("e", [])}
    for address in (cdn.address, f"{cdn.address}e/"):
        here = visit(address)
        assert here.page.get_by_role("searchbox").count() == 0
        assert here.trouble == []


def test_a_directory_of_50_000_can_be_sorted_and_filtered(cdn: Cdn, visit: Visitor) -> None:
    """Only what is near is laid out."""
    cdn.objects = {"index.html": render("", _many(50_000))}
    here = visit(cdn.address)
    here.page.locator("th:nth-child(3) button").click()  # roles of 500,000 elements take long to find
    sizes = here.page.locator("tbody td:nth-child(3)").evaluate_all(
        "all => all.slice(1).map(cell => parseInt((cell.title || cell.textContent).replaceAll(',', '')))"
    )
    assert sizes == sorted(range(50_000), reverse=True)
    assert here.page.locator("tbody").nth(300).evaluate("body => body.getBoundingClientRect().height") > 3_000
    assert (
        not here.page.locator("tbody")
        .nth(300)
        .evaluate("body => body.rows[0].checkVisibility({contentVisibilityAuto: true})")
    )
    here.page.locator("input").fill("photo-049999")
    assert _rows(here.page) == ["photo-049999.jpeg"]
    assert here.trouble == []


def test_a_template_of_ones_own_has_a_style_of_its_own(cdn: Cdn, visit: Visitor) -> None:
    """After the built-in one, with its own stylesheet, and sorting as before."""
    template = (
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>{{title}}</title>{{style}}"
        '<link rel=stylesheet href="/own.css"></head><body><p id=own>Ferries</p>{{listing}}{{script}}</body></html>'
    )
    style, script = (files("siteferry_lambdas").joinpath(f"directory_page.{end}").read_text() for end in ("css", "js"))
    page = render("", ENTRIES, make_layout(template, style, script))
    cdn.objects = {"index.html": page, "own.css": b"#own, .sf-listing td a { color: rgb(1, 2, 3) }"}
    here = visit(cdn.address)
    here.page.get_by_role("button", name="Size").click()
    assert _rows(here.page)[2] == "c.pdf"
    for selector in ("#own", "tbody a"):
        color = here.page.locator(selector).first.evaluate("element => getComputedStyle(element).color")
        assert color == "rgb(1, 2, 3)"
    assert here.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("directory", ["", "docs/<b>", "empty"])
def test_axe_finds_no_violation(cdn: Cdn, visit: Visitor, directory: str, width: int, scheme: Any) -> None:
    """By all of axe-core's rules, those of best practice among them."""
    hostile = [FileEntry(name, 5_000, DAY, 0, None) for name in ("\n", "\u202ex", "<i>", "x" * 255, "a.mp3", "a.html")]
    entries = [] if directory == "empty" else [*ENTRIES, *hostile]
    cdn.objects = {"d/index.html": render(directory, entries)}
    here = visit(f"{cdn.address}d/", viewport={"width": width, "height": 800}, color_scheme=scheme)
    results = Axe().run(here.page)
    assert results.violations_count == 0, results.generate_report()
    assert {"color-contrast", "document-title", "html-has-lang"} <= {rule["id"] for rule in results.response["passes"]}
    assert here.trouble == []


@pytest.mark.parametrize("width", [1280, 360])
def test_a_table_stays_a_table_to_assistive_technology(cdn: Cdn, visit: Visitor, width: int) -> None:
    """Its rows are grids to the eye only: the browser's own accessibility tree has rows and cells."""
    cdn.objects = {"index.html": render("", ENTRIES)}
    here = visit(cdn.address, viewport={"width": width, "height": 800})
    nodes = here.page.context.new_cdp_session(here.page).send("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert [roles.count(role) for role in ("table", "columnheader", "row", "cell")] == [1, 4, 8, 28]
    names = [node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == "cell"]
    assert names[8:12] == ["a.txt", "Text", "1.0 MiB", "1970-01-04 00:00Z"]


@pytest.mark.parametrize("width", [1280, 600, 320])
def test_no_page_is_wider_than_its_window(cdn: Cdn, visit: Visitor, width: int) -> None:
    """Down to the smallest phone, and with text of twice the size."""
    cdn.objects = {"index.html": render("a" * 200, [*ENTRIES, FileEntry("W" * 255, 10**12, DAY, 0, None)])}
    here = visit(cdn.address, viewport={"width": width, "height": 800})
    assert here.page.evaluate("document.documentElement.scrollWidth") == width
    here.page.evaluate("document.documentElement.style.fontSize = '150%'")
    assert here.page.evaluate("document.documentElement.scrollWidth") == width
