"""What a changed descriptor makes of a run."""

import shutil

import pytest

from siteferry.errors import (
    ConfigError,
    RefusedError,
)
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import World, descriptor


def test_changed_header_rules_put_again(world: World) -> None:
    """Changed header rules put again exactly what they change, once, and invalidate it."""
    world.write("a.html")
    world.write("b.css")
    world.settle()
    world.descriptor = descriptor(header_rules=(HeaderRule("*.html", {"cache-control": "max-age=5"}),))
    summary = world.sync()
    assert (summary.uploaded, world.jobs("invalidate")) == (1, ["a.html"])
    assert world.objects.current["a.html"].headers["cache-control"] == "max-age=5"
    assert world.sync().run is None


def test_changed_header_rules_are_not_forgotten(world: World) -> None:
    """A file that waits while header rules change gets the new headers later."""
    world.write("a.html", b"1")
    world.write("b.html", b"1")
    world.settle()
    world.descriptor = descriptor(header_rules=(HeaderRule("*.html", {"cache-control": "max-age=5"}),))
    world.faults.answer("put", RefusedError("no"))
    assert world.sync().failed == 1
    world.settle()
    assert {found.headers["cache-control"] for found in world.objects.published().values()} == {"max-age=5"}


@pytest.mark.parametrize(("field", "value"), [("prefix", "other/"), ("encoding", "utf-8")])
def test_changed_prefix_or_encoding_is_refused(world: World, field: str, value: str) -> None:
    """A changed prefix or encoding is refused with what to do instead, and nothing is changed."""
    world.write("a")
    world.settle()
    world.descriptor = descriptor(**{field: value})
    world.write("b")
    with pytest.raises(ConfigError, match=field) as caught:
        world.sync()
    assert "sites.toml" in caught.value.remedy
    assert sorted(world.objects.published()) == ["a"]


def test_site_under_a_prefix(world: World) -> None:
    """A site with a prefix is published beneath it, duplicates and directories too."""
    world.descriptor = descriptor(prefix="some/prefix/")
    for path in ("a", "docs/b", "c/d/e.html"):
        world.write(path, path.encode())
    world.settle()
    world.check()
    assert sorted(world.objects.published()) == [
        "some/prefix/a",
        "some/prefix/c/d/e.html",
        "some/prefix/docs/b",
        "some/prefix/mirror/docs/b",
    ]
    shutil.rmtree(world.root / "c")
    (world.root / "docs/b").unlink()
    world.settle()
    world.check()


def test_reserved_place_is_reported_and_not_published(world: World) -> None:
    """A real file where duplicates belong is reported and not published, and stops nothing."""
    world.write("mirror/docs/real.txt")
    world.write("docs/a")
    summary = world.sync()
    assert (summary.uploaded, summary.problems, summary.failed) == (1, 1, 0)
    assert "mirror/docs/real.txt" not in world.objects.current
