"""What a changed descriptor makes of a run."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from siteferry.errors import ConfigError, OutcomeUnknownError, RefusedError
from siteferry.publish import TRIES
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import World, descriptor

CACHED = (HeaderRule("*.html", {"cache-control": "max-age=5", "x-amz-meta-owner": "web"}),)


def _cached(world: World) -> dict[str, str | None]:
    return {key: found.headers.get("cache-control") for key, found in world.objects.published().items()}


def test_changed_header_rules_are_applied_by_copies(world: World) -> None:
    """Changed header rules copy exactly the objects that they change, upload nothing, and duplicate and invalidate."""
    for path in ("a.html", "b.css", "docs/c.html"):
        world.write(path, path.encode())
    world.settle()
    requests = Counter(world.faults.log)
    world.descriptor = descriptor(header_rules=CACHED)
    summary = world.sync()
    assert (summary.uploaded, summary.headers) == (0, 2)
    made = Counter(world.faults.log) - requests
    assert (made["put"], made["replace_headers"], made["commit"]) == (0, 2, 0)
    assert {(job.kind, job.names) for job in world.queues.jobs} == {
        ("copy", ("docs/c.html",)),
        ("invalidate", ("a.html", "docs/c.html")),
    }
    world.settle()
    world.check()
    assert _cached(world) == {
        "a.html": "max-age=5",
        "b.css": None,
        "docs/c.html": "max-age=5",
        "mirror/docs/c.html": "max-age=5",
    }
    assert world.objects.current["a.html"].headers["x-amz-meta-owner"] == "web"
    assert world.sync().run is None


def test_changed_header_rules_are_not_forgotten(world: World) -> None:
    """An object that cannot get its headers now gets them in a later run."""
    world.write("a.html", b"1")
    world.write("b.html", b"1")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    for request in ("replace_headers", "put"):
        world.faults.answer(request, RefusedError("no"))
    summary = world.sync()
    assert (summary.failed, summary.headers) == (1, 1)
    world.settle()
    assert _cached(world) == {"a.html": "max-age=5", "b.html": "max-age=5"}


def test_an_object_that_is_not_the_indexs_is_put_with_its_headers(world: World) -> None:
    """What is not in the bucket as the index has it is not copied: its file is put."""
    for path in ("another.html", "kept.html", "missing.html"):
        world.write(path, b"file")
    world.settle()
    world.objects.current["another.html"] = replace(world.objects.current["another.html"], body=b"else")
    del world.objects.current["missing.html"]
    world.descriptor = descriptor(header_rules=CACHED)
    summary = world.sync()
    assert (summary.uploaded, summary.headers) == (2, 1)
    world.settle()
    world.check()


@pytest.mark.parametrize("effect", [False, True])
def test_a_copy_whose_outcome_is_unknown_is_settled(world: World, *, effect: bool) -> None:
    """A copy without an answer is looked at: it is counted if it had its effect, and made again if not."""
    world.write("a.html")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    world.faults.answer("replace_headers", OutcomeUnknownError("no answer"), effect=effect)
    before = world.faults.log.count("replace_headers")
    assert world.sync().headers == 1
    assert world.faults.log.count("replace_headers") - before == (1 if effect else 2)
    assert _cached(world) == {"a.html": "max-age=5"}


def test_a_copy_that_stays_unknown_leaves_the_run_open(world: World) -> None:
    """A copy whose outcome nothing settles may still come: the head stays open, and recovery sees to it."""
    world.write("a.html")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    for _ in range(TRIES):
        world.faults.answer("replace_headers", OutcomeUnknownError("no answer"))
    assert not world.sync().closed
    world.settle()
    world.check()
    assert _cached(world) == {"a.html": "max-age=5"}


def test_a_file_that_changed_with_the_rules_is_put_once(world: World) -> None:
    """A file that differs is put with its new headers, and its object is not copied before."""
    world.write("a.html", b"1")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    world.write("a.html", b"22")
    summary = world.sync()
    assert (summary.uploaded, summary.headers) == (1, 0)
    assert _cached(world) == {"a.html": "max-age=5"}


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
