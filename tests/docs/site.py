"""The docs site: docs/*.md, and every file that they lead to, as pages that need no network.

The Markdown is written to be read in a checkout, where links lead to sources too. Those become pages of the site, so
that it holds whole wherever it is put: no address of a repository is written into it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tests.docs.pages import FOLDER, PROJECT, links

CACHE: Final = PROJECT / ".cache"
BESIDE: Final = {
    PROJECT / "README.md": "project/overview.md",
    PROJECT / "CHANGELOG.md": "project/changelog.md",
    PROJECT / "SECURITY.md": "project/reporting.md",
}
"""Where pages that are not in docs are in the site."""
NAVIGATION: Final = (
    ("Begin", ("index.md", "quick-start.md", "deploy.md", "upgrade.md")),
    ("Run", ("operate.md", "restore.md", "lost-index.md", "credentials.md", "cost.md", "quotas.md")),
    ("Runbooks", ("runbooks/index.md", "runbooks/*.md")),
    ("Features", ("directory-pages.md", "invalidation.md")),
    ("Understand", ("design.md", "security.md", "reference/proof.md", "unproven.md", "benchmarks.md")),
    ("Reference", ("reference/settings.md", "reference/commands.md", "reference/telling.md")),
    ("Develop", ("local-stack.md", "project/overview.md", "project/changelog.md", "project/reporting.md")),
)
"""What is in docs and not here is at the end."""
TITLES: Final = {"project/overview.md": "The project", "runbooks/index.md": "All runbooks"}
"""Where a page's own does not tell it from others."""
_LANGUAGES: Final = {".py": "python", ".toml": "toml", ".js": "javascript", ".service": "ini", ".html": "html"}
_FENCE: Final = "`" * 7
_NOT_SEARCHED: Final = "---\nsearch:\n  exclude: true\n---\n\n"
"""Of a page: who searches the docs asks for words of theirs."""
_ADDRESS: Final = re.compile(r"""<(a|link|img|script|source)\b[^>]*?\s(?:href|src)="([^"]*)\"""")
_ID: Final = re.compile(r"""<[a-z0-9]+\b[^>]*?\sid="([^"]*)\"""")
_STYLE: Final = """\
/* Room for tables and for the diagram of how it goes. */
.md-grid { max-width: 84rem; }
.md-typeset pre > code { font-size: .6rem; }
"""


class SiteError(Exception):
    """The site cannot be built, or has a link that leads nowhere."""


def build(folder: Path = CACHE) -> Path:
    """Build it in `site` of a folder; gives its first page. Raises SiteError."""
    work, built = folder / "docs-site", folder / "site"
    for old in (work, built):
        shutil.rmtree(old, ignore_errors=True)
    pages = work / "pages"
    _Staging(pages).stage()
    (work / "zensical.toml").write_text(_settings(pages), "utf-8")
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run(
        [program, "build", "--strict"], cwd=work, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise SiteError(f"zensical: {done.stdout}{done.stderr}")
    shutil.move(work / "site", built)
    if faults := list(check(built)):
        raise SiteError("\n".join(faults))
    return built / "index.html"


def _settings(pages: Path) -> str:
    there = {file.relative_to(pages).as_posix() for file in pages.rglob("*.md") if "source" not in file.parts}
    sections, named = [], set()
    for title, patterns in NAVIGATION:
        found: list[str] = []
        for pattern in patterns:
            found += [page for page in sorted(there - set(found)) if fnmatch(page, pattern)]
        sections.append((title, found))
        named |= set(found)
    rest = sorted(there - named)
    sections += [("More", rest)] if rest else []
    navigation = [
        {title: [{TITLES[page]: page} if page in TITLES else page for page in found]} for title, found in sections
    ]
    return f"""[project]
site_name = "siteferry"
site_description = "Publishes web sites that people manage over FTP to S3 and CloudFront."
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = {_toml(navigation)}
extra_css = ["wide.css"]

[project.theme]
font = false
features = ["navigation.sections", "navigation.footer", "content.code.copy", "search.highlight", "toc.follow"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
"""


def _toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return json.dumps(value)


class _Staging:
    """Puts the pages together, with what they lead to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: set[Path] = set()

    def stage(self) -> None:
        """Write all into the folder."""
        for file in sorted(FOLDER.rglob("*")):
            place = self._folder / file.relative_to(FOLDER)
            if file.suffix == ".md":
                self._page(file, place)
            elif file.is_file():
                _write(place, file.read_bytes())
        for file, name in BESIDE.items():
            self._page(file, self._folder / name)
        _write(self._folder / "wide.css", _STYLE.encode())

    def _page(self, file: Path, place: Path) -> None:
        text = file.read_text("utf-8")
        for begin, end in reversed(list(links(text))):
            text = text[:begin] + self._led(file, place, text[begin:end]) + text[end:]
        _write(place, text.encode())

    def _led(self, file: Path, place: Path, link: str) -> str:
        parts = urlsplit(link)
        if parts.scheme or not parts.path:
            return link
        target = Path(os.path.normpath(file.parent / unquote(parts.path)))
        if not target.exists() or not target.is_relative_to(PROJECT):
            raise SiteError(f"{file.relative_to(PROJECT)}: {link} leads nowhere")
        way = Path(os.path.relpath(self._place(target), place.parent)).as_posix()
        return way + (f"#{parts.fragment}" if parts.fragment else "")

    def _place(self, target: Path) -> Path:
        """Give where a file is in the site, and see to it that it is there."""
        if target in BESIDE:
            return self._folder / BESIDE[target]
        if target.is_relative_to(FOLDER):
            inside = self._folder / target.relative_to(FOLDER)
            return self._listing(target, inside / "index.md", "*.md") if target.is_dir() else inside
        inside = self._folder / "source" / target.relative_to(PROJECT)
        if target.is_dir():
            return self._listing(target, inside / "index.md", "*")
        place = inside.with_name(f"{inside.name}.md")
        if target not in self._done:
            self._done.add(target)
            name, language = target.relative_to(PROJECT), _LANGUAGES.get(target.suffix, "")
            text = f"{_NOT_SEARCHED}# {name}\n\n{_FENCE}{language}\n{target.read_text('utf-8').rstrip()}\n{_FENCE}\n"
            _write(place, text.encode())
        return place

    def _listing(self, folder: Path, place: Path, pattern: str) -> Path:
        if folder not in self._done:
            self._done.add(folder)
            rows = []
            for file in sorted(folder.glob(pattern)):
                name = file.name + "/" * file.is_dir()
                if folder.is_relative_to(FOLDER):
                    way = Path(os.path.relpath(self._place(file), place.parent)).as_posix()
                    name = f"[{file.stem}]({way})"
                if not name.startswith("__"):
                    rows.append(f"- {name}\n")
            title = folder.name.title() if folder.is_relative_to(FOLDER) else str(folder.relative_to(PROJECT))
            _write(place, f"{_NOT_SEARCHED}# {title}\n\n{''.join(rows)}".encode())
        return place


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


class _Html:
    """What a page leads to, loads, and can be led to in it."""

    def __init__(self, text: str) -> None:
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids = {unescape(found) for found in _ID.findall(text)}
        for element, address in _ADDRESS.findall(text):
            (self.links if element == "a" else self.loaded).append(unescape(address))


def check(site: Path) -> Iterator[str]:
    """Tell what is wrong with a built site: links that lead nowhere, and what is loaded from elsewhere."""
    found = {file: _Html(file.read_text("utf-8")) for file in site.rglob("*.html")}
    for file, page in found.items():
        if file.name == "404.html":
            continue  # its links are from the root of wherever it is put
        name = file.relative_to(site)
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    yield f"{name}: loads {link}"
                continue
            target = Path(os.path.normpath(file.parent / unquote(parts.path))) if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{name}: {link} leads nowhere"
            elif parts.fragment and target in found and unquote(parts.fragment) not in found[target].ids:
                yield f"{name}: {link}: there is no such heading"
