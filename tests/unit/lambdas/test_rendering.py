"""What a directory page shows."""

import hashlib

import pytest

from siteferry_contract.errors import ContractError
from siteferry_contract.leaf import Entry, SubdirectoryEntry
from siteferry_contract.page_template import LAYOUT_VERSION, PLACEHOLDERS
from siteferry_lambdas.kinds import _KINDS, WORDS, kind_of
from siteferry_lambdas.layout import make_layout
from siteferry_lambdas.names import plain_name, shown_name
from siteferry_lambdas.rendering import format_size, format_time, render
from tests.unit.lambdas.fakes import file

ENTRIES: list[Entry] = [file("b.jpg", size=2_000_000), file("a", size=7), SubdirectoryEntry("d")]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**5, "1024.0 TiB"),
    ],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    """With one decimal, in units of 1,024."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("mtime_ns", "text"),
    [
        (0, "1970-01-01 00:00Z"),
        (1_700_000_000_999_999_999, "2023-11-14 22:13Z"),
        (-1, "1969-12-31 23:59Z"),
        (2**63 - 1, "2262-04-11 23:47Z"),
        (-(2**63), "1677-09-21 00:12Z"),
        (2**80, ""),
    ],
)
def test_times_are_in_utc(mtime_ns: int, text: str) -> None:
    """To the minute, before 1970 too; nothing for what no calendar has."""
    assert format_time(mtime_ns) == text


def test_breadcrumbs_are_relative() -> None:
    """So they also hold for the duplicate of a page."""
    page = render("a/b&c/d", []).decode()
    assert (
        '<ol><li><a href="../../../"><bdi>Home</bdi></a><li><a href="../../"><bdi>a</bdi></a>'
        '<li><a href="../"><bdi>b&amp;c</bdi></a><li aria-current=page><h1><bdi>d</bdi></h1></ol>'
    ) in page
    assert "<ol><li aria-current=page><h1><bdi>Home</bdi></h1></ol>" in render("", []).decode()


def test_all_but_the_root_link_to_the_parent() -> None:
    """The link is there with an empty directory too, and says what it is."""
    assert '<a class=sf-parent href="../">Parent folder</a>' in render("a", []).decode()
    assert 'href="../' not in render("", ENTRIES).decode()


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([], "0 files"),
        ([SubdirectoryEntry("d")], "1 folder"),
        ([file("a", size=1)], '1 file, <span title="1 bytes">1 B</span>'),
        (ENTRIES, '1 folder, 2 files, <span title="2,000,007 bytes">1.9 MiB</span>'),
        ([file(f"{n}", size=0) for n in range(1234)], '1,234 files, <span title="0 bytes">0 B</span>'),
        ([file(".hidden", size=9)], "0 files"),
    ],
)
def test_the_summary_counts(entries: list[Entry], text: str) -> None:
    """Folders, files and their size together, without what is not listed."""
    assert f"<p class=sf-summary>{text}</p>" in render("", entries).decode()


def test_an_empty_directory_says_so() -> None:
    """Instead of a table without rows."""
    page = render("a", [file(".htaccess")]).decode()
    assert "This folder is empty." in page
    assert "<table" not in page


def test_a_row_has_what_people_look_for() -> None:
    """Name, kind, size, and the exact size where the other is rounded, and the time; few bytes around them."""
    lines = render("", ENTRIES).decode().splitlines()
    assert '<tr class=sf-folder><td><a href="./d/"><bdi>d</bdi>/</a><td>Folder<td><td>' in lines
    assert (
        '<tr class=sf-file><td><a href="./a"><bdi>a</bdi></a><td>File<td>7 B<td><time>1970-01-01 00:00Z</time>'
    ) in lines
    assert (
        '<tr class=sf-image><td><a href="./b.jpg"><bdi>b.jpg</bdi></a><td>Image<td title="2,000,000 bytes">1.9 MiB'
        "<td><time>1970-01-01 00:00Z</time>"
    ) in lines


def test_a_directory_of_50_000_stays_below_what_a_cdn_compresses() -> None:
    """CloudFront compresses objects of up to 10,000,000 bytes."""
    entries = [file(f"photo-{n:06}-pier.jpeg", size=10**7 + n, mtime_ns=n * 10**13) for n in range(50_000)]
    assert len(render("photos", entries)) < 9_000_000


def test_rows_stand_in_groups() -> None:
    """Of a hundred: a full group has a height that can be guessed, and is laid out when it is near."""
    page = render("", [file(f"{n:03}") for n in range(250)]).decode()
    groups = page.split("<tbody")[1:]
    assert [group.count("<tr") for group in groups] == [100, 100, 50]
    assert [group.startswith(" class=sf-full>") for group in groups] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.JPG", "image"),
        ("a.tar.gz", "archive"),
        ("a.pdf", "pdf"),
        ("a.flac", "audio"),
        ("a.webm", "video"),
        ("a.odt", "document"),
        ("a.csv", "data"),
        ("a.py", "code"),
        ("a.txt", "text"),
        ("README", "text"),
        ("a.html", "page"),
        ("a.woff2", "font"),
        ("a.deb", "program"),
        ("a.readme", "file"),
        ("a.", "file"),
        ("jpg", "file"),
        ("a.jpg ", "file"),
    ],
)
def test_kinds_go_by_the_extension(name: str, kind: str) -> None:
    """In capitals too; what is unknown is a file."""
    assert kind_of(name) == kind
    assert kind in WORDS


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('a <b> & "c"', "a &lt;b&gt; &amp; &quot;c&quot;"),
        ("a  b", "a  b"),
        (" a ", '<bdi role=img aria-label="SPACE"> </bdi>a<bdi role=img aria-label="SPACE"> </bdi>'),
        ("   ", '<bdi role=img aria-label="SPACE \u00d73">   </bdi>'),
        ("a\nb", 'a<bdi role=img aria-label="LF">\n</bdi>b'),
        ("\r\r\n", '<bdi role=img aria-label="CR \u00d72">&#13;&#13;</bdi><bdi role=img aria-label="LF">\n</bdi>'),
        ("\x1b[0m", '<bdi role=img aria-label="ESC">\x1b</bdi>[0m'),
        ("a\u202egpj", 'a<bdi role=img aria-label="U+202E">\u202e</bdi>gpj'),
        ("a\u200db", "a\u200db"),
        ("\u200d", '<bdi role=img aria-label="U+200D">\u200d</bdi>'),
        ("\u3164", '<bdi role=img aria-label="U+3164">\u3164</bdi>'),
    ],
)
def test_what_cannot_be_seen_is_labelled(name: str, shown: str) -> None:
    """Once for a run of the same; joiners of scripts and emoji only where nothing else is in a name."""
    assert shown_name(name) == shown


def test_a_title_has_no_marks() -> None:
    """It can have no elements, and is shown beside other tabs."""
    assert plain_name("a\u202e<b>\n") == "a\N{REPLACEMENT CHARACTER}&lt;b&gt;\N{REPLACEMENT CHARACTER}"


def test_a_page_loads_nothing() -> None:
    """Its policy allows its own style and script by hash and no more."""
    page = render("", ENTRIES).decode()
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "; script-src 'sha256-" in page
    assert "unsafe" not in page
    assert page.count("<script") == page.count("<style") == 1
    assert "://" not in page
    assert "url(" not in page


def test_a_template_is_filled_in_once() -> None:
    """Around the placeholders it stays as it is, and a name that looks like one stays a name."""
    layout = make_layout("<x>{{title}}|{{listing}}|{{title}}</x>{a}}\n", "", "")
    page = render("{{script}}", [file("{{title}}")], layout).decode()
    assert page.startswith("<x>Index of /{{script}}/|<div class=sf-tools>")
    assert page.endswith("|Index of /{{script}}/</x>{a}}\n")
    assert "<bdi>{{title}}</bdi>" in page


def test_every_placeholder_is_filled_in() -> None:
    """None is left in a page that has them all."""
    template = "\n".join(f"{name}: {{{{{name}}}}}" for name in PLACEHOLDERS)
    page = render("docs", ENTRIES, make_layout(template, "p { margin: 0; }\n", "// alone\n  go();\n")).decode()
    assert "{{" not in page
    assert "<style>p { margin: 0; }\n</style>" in page
    assert "<script>go();\n</script>" in page


def test_an_unknown_placeholder_is_refused() -> None:
    """With what is known."""
    with pytest.raises(
        ContractError, match=r"'{{ listing }}' is no placeholder; known are {{title}}, .*without spaces"
    ):
        make_layout("{{ listing }}", "", "")


def test_the_layout_version_is_that_of_the_pages() -> None:
    """If this fails, what pages look like has changed: count LAYOUT_VERSION up, and write down both here."""
    names = ("title", "breadcrumbs", "summary", "listing")
    layout = make_layout("".join(f"{{{{{name}}}}}" for name in names), "", "")
    entries = [*ENTRIES, *(file(f"x.{kind}\n{n}\u202e ", size=n**5) for n, kind in enumerate(WORDS)), file("c.tar.gz")]
    entries += [file(f"{n}") for n in range(100)]
    entries += [file(f"y.{extension}") for extension in _KINDS]
    seen = hashlib.sha256(render("docs/<b>/ ", entries, layout) + render("", [], layout)).hexdigest()[:16]
    assert (LAYOUT_VERSION, seen) == (1, "c54d5bff3f7a47cd")
