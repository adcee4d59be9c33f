"""The docs site as a browser shows it."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.docs import site

PAGES = ("index", "operate", "quotas", "design", "reference/settings", "reference/telling", "runbooks/dead-letters")
WIDTHS = (390, 1280)


def test_no_page_is_wider_than_its_window_and_nothing_is_asked_of_others(
    browser: Browser, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """On a phone and on a desk: what is wide in a page can be moved by itself. All that is loaded is the site's."""
    first = site.build(tmp_path)
    asked: set[str] = set()
    for width in WIDTHS:
        with browser.new_context(viewport={"width": width, "height": 800}) as context:
            page = context.new_page()
            page.on("request", lambda request: asked.add(request.url.partition(":")[0]))
            for name in PAGES:
                with subtests.test(page=name, width=width):
                    page.goto((first.parent / f"{name}.html").as_uri())
                    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "file" in asked
    assert asked <= {"file", "data", "blob"}
