"""What a directory page shows."""

import pytest

from siteferry_contract.leaf import SubdirectoryEntry
from siteferry_lambdas.rendering import format_size, format_time, render
from tests.unit.lambdas.fakes import file


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
        (0, "1970-01-01 00:00"),
        (1_700_000_000_999_999_999, "2023-11-14 22:13"),
        (-1, "1969-12-31 23:59"),
        (2**63 - 1, "2262-04-11 23:47"),
    ],
)
def test_times_are_in_utc(mtime_ns: int, text: str) -> None:
    """To the minute, before 1970 too."""
    assert format_time(mtime_ns) == text


def test_breadcrumbs_are_relative() -> None:
    """So they also hold for the duplicate of a page."""
    page = render("a/b&c/d", []).decode()
    assert (
        '<h1>Index of <a href="../../../">/</a><a href="../../"><bdi>a</bdi></a>/<a href="../"><bdi>b&amp;c</bdi></a>/'
        "<bdi>d</bdi>/</h1>"
    ) in page
    assert "<h1>Index of /</h1>" in render("", []).decode()


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    """Its policy allows its own style by hash and no more."""
    page = render("", [file("a"), SubdirectoryEntry("d")]).decode()
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
