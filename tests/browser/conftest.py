"""A headless browser, where the machine has one, and a server that answers as CloudFront with S3 behind it does."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
KINDS = {"index.html": "html", "own.css": "css"}
"""Everything else is shown as plain text, so that a browser does not offer to save it."""


def find_browser(known: str) -> str | None:
    """Give the path of a Chromium: SITEFERRY_BROWSER, one of the machine, or Playwright's own."""
    named = os.environ.get("SITEFERRY_BROWSER")
    if named:
        return named
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return found or (known if Path(known).exists() else None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start it once; each test has a context of its own."""
    with sync_playwright() as playwright:
        program = find_browser(playwright.chromium.executable_path)
        if program is None:
            pytest.skip("no Chromium on this machine: `make browser` installs one, or name one by SITEFERRY_BROWSER")
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@dataclass
class Cdn:
    """Serves objects by key; what was asked for is kept."""

    address: str
    objects: Mapping[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    """Serve on the loopback."""

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            # S3 takes what is between the slashes, percent-decoded once; a directory has its page.
            key = unquote(path.removeprefix("/"), errors="strict")
            served.asked.append(key)
            key = f"{key}index.html" if path.endswith("/") else key
            body = served.objects.get(key)
            self.send_response(200 if body is not None else 404)
            kind = KINDS.get(key.rpartition("/")[2], "plain")
            self.send_header("content-type", f"text/{kind}; charset=utf-8")
            self.send_header("content-length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name of the base class)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    served = Cdn(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Visit:
    """A page that is looked at, and all that it should not have done."""

    page: Page
    trouble: list[str]


Visitor = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visitor]:
    """Give a function that opens an address; keywords are options of the context."""
    contexts: list[BrowserContext] = []

    def open_page(address: str, **options: object) -> Visit:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        visit = Visit(page, [])

        def dismiss(dialog: Dialog) -> None:
            visit.trouble.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("console", lambda message: visit.trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: visit.trouble.append(f"error: {error}"))
        page.on("dialog", dismiss)
        page.on("popup", lambda popup: visit.trouble.append(f"popup: {popup.url}"))
        page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            " violation => console.error(`policy: ${violation.violatedDirective} ${violation.blockedURI}`))"
        )
        page.goto(address)
        return visit

    yield open_page
    for context in contexts:
        context.close()
