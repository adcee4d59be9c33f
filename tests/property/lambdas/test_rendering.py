"""Directory pages, for any names."""

import re
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry
from siteferry_contract.urls import quote_name
from siteferry_lambdas.names import shown_name
from siteferry_lambdas.rendering import format_size, format_time, render

NAMES = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40)
    | st.sampled_from(
        ["javascript:alert(1)", "<script>", "a&amp;b", '"', "'", "a b", "%2F", "?q#f", "..a", "\u202ex", "\r\n"]
    )
    | st.sampled_from(["{{listing}}", "<title>", "-->", "]]>", " ", "\u200d", "e\u0301", "\ufeff", "\x85", "\u2028"])
    | st.text(" \n\r\t\x0c\x1b\x7f\xa0\u200b\u200d\u202e\u2066\u3000\u3164\ufe0f&;<", min_size=1, max_size=12)
).filter(lambda name: name not in (".", ".."))
TIMES = st.integers(-(2**63), 2**63 - 1)
FILES = st.builds(FileEntry, NAMES, st.integers(0, 2**60), TIMES, st.just(0), st.none())
ALL_TAGS = set(
    "html head meta title style body header nav ol li a bdi h1 p span main div table thead tbody tr th td time"
    " script".split()
)
TURNING_OR_HIDDEN = "\n\r\t\x1b\x7f\xa0\u200b\u200e\u200f\u202a\u202d\u202e\u2066\u2067\u2068\u2069\u3164\ufeff"
ENTRIES = st.lists(FILES | st.builds(SubdirectoryEntry, NAMES), max_size=8, unique_by=lambda entry: entry.name)


class _Reader(HTMLParser):
    """Reads back the rows of the table, the name of the page, and every tag."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.rows: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.heading = ""
        self._in_body = False
        self._in_heading = False
        self._text: list[str] | None = None
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tbody":
            self._in_body = True
        elif tag == "h1":
            self._in_heading = True
        elif tag == "a" and self._in_body:
            self.rows.append((dict(attrs)["href"] or "", ""))
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._text is not None:
            self.rows[-1] = (self.rows[-1][0], "".join(self._text))
            self._text = None
        elif tag == "h1":
            self._in_heading = False

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
        elif self._in_heading:
            self.heading += data


def _expected(entries: list[Entry]) -> list[str]:
    shown = [entry for entry in entries if not entry.name.startswith(".")]
    directories = sorted(entry.name for entry in shown if isinstance(entry, SubdirectoryEntry))
    files = sorted(entry.name for entry in shown if isinstance(entry, FileEntry))
    return [*(f"{name}/" for name in directories), *files]


@given(ENTRIES)
def test_a_parser_reads_back_exactly_the_names(entries: list[Entry]) -> None:
    """Directories first, each group in order, dot files left out, and nothing of a name becomes markup."""
    page = _Reader(render("docs", entries))
    assert [text for _, text in page.rows] == _expected(entries)
    assert set(page.tags) <= ALL_TAGS
    assert page.tags.count("script") == 1


@given(ENTRIES)
def test_links_lead_to_the_keys(entries: list[Entry]) -> None:
    """For any name, from the directory's URL."""
    base = "https://site.test/docs/"
    for href, text in _Reader(render("docs", entries)).rows:
        assert href.startswith("./")
        assert not set(href) & set(' \t\r\n?#\\<>"')
        assert unquote(href, errors="strict") == f"./{text}"
        if ";" not in href:  # the standard library still splits parameters off, which no browser does
            assert unquote(urlsplit(urljoin(base, href)).path, errors="strict") == f"/docs/{text}"


@given(NAMES, ENTRIES)
def test_the_title_is_text(name: str, entries: list[Entry]) -> None:
    """The name of the directory itself is as hostile as any."""
    page = _Reader(render(f"a/{name}", entries))
    assert page.heading == name
    assert set(page.tags) <= ALL_TAGS
    assert (page.tags.count("title"), page.tags.count("script")) == (1, 1)


@given(NAMES, st.integers(0, 2**40), TIMES)
def test_the_short_way_of_ordinary_names_leads_to_the_same(name: str, size: int, mtime_ns: int) -> None:
    """A row has the name as text and as a link as every other does."""
    row = f'<a href="./{escape(quote_name(name))}"><bdi>{shown_name(name)}</bdi></a>'
    shown = render("", [FileEntry(name, size, mtime_ns, 0, None)]).decode()
    assert (row in shown) is not name.startswith(".")


@given(NAMES)
def test_nothing_of_a_name_is_invisible(name: str) -> None:
    """Outside of what is labelled there is something to see, and nothing that turns the direction of text."""
    bare = re.sub(r"<bdi role=img aria-label=.*?</bdi>", "#", shown_name(name), flags=re.DOTALL)
    assert not set(bare) & set(TURNING_OR_HIDDEN)
    assert bare == bare.strip(" ")
    assert bare.strip("\u200d\ufe0f \u3000")


@given(ENTRIES)
def test_pages_are_deterministic(entries: list[Entry]) -> None:
    """The order in which entries come makes no other bytes."""
    assert render("docs", entries) == render("docs", list(reversed(entries)))


@given(NAMES)
def test_a_quoted_name_is_ascii_and_comes_back(name: str) -> None:
    """Quoting loses nothing, and leaves neither a wildcard nor anything that ends a path."""
    quoted = quote_name(name)
    assert quoted.isascii()
    assert quoted.isprintable()
    assert not set(quoted) & set("*?#~ /")
    assert unquote(quoted, errors="strict") == name


@given(st.integers(0, 2**63), TIMES)
def test_any_size_and_time_can_be_shown(size: int, mtime_ns: int) -> None:
    """FTP users may set any time."""
    assert format_size(size)
    assert format_time(mtime_ns).isascii()
