"""Uploads that a server's log calls cut short: what they left on disk is not published."""

import os

import pytest

from siteferry.compare import CUT_SHORT
from siteferry.hints import LogSource
from siteferry.plan import Problem
from siteferry.sync import Site
from tests.unit.agent.fakes import World

LINE = b"Mon Nov  2 09:05:01 2026 1 192.0.2.7 %d %s b _ i r bob ftp 0 * %s\n"


@pytest.fixture
def published(world: World) -> World:
    """A site with a published file and an empty log."""
    world.write("my docs/a", b"published")
    world.settle()
    (world.base / "log").touch()
    return world


def hear(world: World, site: Site, *lines: bytes) -> None:
    """Have a log say something."""
    source = LogSource(world.base / "log", world.root, site.parts.cache)
    with (world.base / "log").open("ab") as log:
        log.writelines(lines)
    source.poll()
    source.close()


def test_a_fragment_is_not_published_until_it_is_written_again(published: World) -> None:
    """However old it grows; its published version stays, the reason is told, and another upload is published."""
    published.write("my docs/a", b"frag")
    with published.agent() as site:
        hear(published, site, LINE % (4, b"/my_docs/a", b"i"))
        for _ in range(2):
            assert site.sync().deferred == 1
            assert site.unsettled == {}
        assert site.parts.cache.problems() == [Problem(b"my docs/a", CUT_SHORT)]
    assert published.objects.current["my docs/a"].body == b"published"
    published.write("my docs/a", b"uploaded again")
    with published.agent() as site:
        assert site.sync().uploaded == 1
        assert site.parts.cache.problems() == []
        assert not site.parts.cache.has_fragments()
    published.handle()
    published.check()


def test_a_fragment_that_is_touched_is_published(published: World) -> None:
    """A person who knows that it is whole has a way to say so."""
    published.write("my docs/a", b"whole")
    with published.agent() as site:
        hear(published, site, LINE % (5, b"/my docs/a", b"i"))
        assert site.sync().deferred == 1
        os.utime(published.root / "my docs/a", (1, 1))
        assert site.sync().uploaded == 1


@pytest.mark.parametrize(
    "lines",
    [
        [LINE % (3, b"/my_docs/b", b"i")],
        [LINE % (4, b"/my_docs/?", b"i")],
        [LINE % (4, b"/nowhere/b", b"i")],
        [LINE % (4, b"/my_docs/c", b"i")],
        [LINE % (4, b"/my_docs/b", b"c")],
        [LINE % (4, b"/my_docs/b", b"i"), LINE % (4, b"/my_docs/b", b"c")],
    ],
)
def test_what_may_be_another_file_is_published(published: World, lines: list[bytes]) -> None:
    """Of another size, with a name that two files may have, not there, complete, or complete in the end."""
    for name in "de":
        published.write(f"my docs/{name}", b"four")
    published.write("my docs/b", b"four")
    with published.agent() as site:
        hear(published, site, *lines)
        assert site.sync().deferred == 0
    published.handle()
    published.check()


def test_a_published_file_stays_published(published: World) -> None:
    """A log that calls what is live cut short changes nothing."""
    with published.agent() as site:
        hear(published, site, LINE % (9, b"/my_docs/a", b"i"))
        summary = site.sync()
        assert (summary.run, summary.deferred) == (None, 0)
