"""What a changed descriptor makes of a run."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from siteferry.config import Brake
from siteferry.errors import ConfigError, OutcomeUnknownError, RefusedError, UsageError
from siteferry.publish import TRIES
from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import StoredObject, World, descriptor

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


@pytest.mark.parametrize("case", ["kept", "held", "being written", "directory gone"])
def test_objects_get_their_headers_whatever_their_files_are(world: World, case: str) -> None:
    """What is served gets the present headers, once; no later run has to do with it, though its file is not there."""
    for path in ("d/a.html", "d/b.html", "c.html"):
        world.write(path, path.encode())
    world.settle()
    world.config = replace(world.config, brake=Brake(files=0), delete=case != "kept")
    if case in ("kept", "held"):
        (world.root / "d/a.html").unlink()
    elif case == "being written":
        world.write("d/a.html", b"half")
        world.clock.time = (world.root / "d/a.html").stat().st_ctime
    else:
        (world.root / "d").rename(world.base / "elsewhere")
        (world.root / "d").symlink_to(world.base / "elsewhere")
        world.config = replace(world.config, delete=False)
    world.descriptor = descriptor(header_rules=CACHED)
    summary = world.sync()
    assert (summary.headers, summary.uploaded, summary.deleted, summary.failed) == (3, 0, 0, 0)
    assert set(_cached(world).values()) == {"max-age=5"}
    assert world.index.head is not None
    assert world.index.head.applied is not None
    assert len(world.index.head.applied.header_rules) == 1
    world.faults.log.clear()
    world.sync()
    assert world.faults.log == ["read_head"]


def test_a_copy_that_may_still_come_leaves_the_run_open_though_its_file_changed(world: World) -> None:
    """That nothing can be put instead does not settle what became of the copy."""
    world.write("a.html", b"1")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    world.faults.answer("replace_headers", OutcomeUnknownError("no answer"))
    world.faults.answer("replace_headers", RefusedError("no"))

    def change(request: str) -> None:
        if request == "replace_headers":
            world.write("a.html", b"another")

    world.faults.before = change
    assert not world.sync().closed
    world.faults.before = lambda _: None
    world.settle()
    world.check()


def test_only_what_failed_is_tried_again(world: World) -> None:
    """One object that S3 refuses costs later runs a look at that one, not at all."""
    for n in range(5):
        world.write(f"{n}.html")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    refused = [RefusedError("no")] * 9
    world.faults.errors["put", False] = list(refused)
    world.faults.errors["replace_headers", False] = [RefusedError("no")]
    assert (world.sync().headers, len(world.jobs("invalidate"))) == (4, 4)
    world.faults.errors["replace_headers", False] = list(refused)
    world.faults.log.clear()
    summary = world.sync()
    assert (summary.failed, summary.headers) == (1, 0)
    assert world.faults.log.count("head") == 1
    world.faults.errors.clear()
    world.settle()
    assert set(_cached(world).values()) == {"max-age=5"}
    assert world.sync().run is None


def test_a_file_that_changed_with_the_rules_is_put_once(world: World) -> None:
    """A file that differs is put with its new headers, and its object is not copied before."""
    world.write("a.html", b"1")
    world.settle()
    world.descriptor = descriptor(header_rules=CACHED)
    world.write("a.html", b"22")
    summary = world.sync()
    assert (summary.uploaded, summary.headers) == (1, 0)
    assert _cached(world) == {"a.html": "max-age=5"}


def test_changed_copy_rules_are_gone_through(world: World) -> None:
    """Duplicates of a rule that is gone are deleted, those of a new one made, once, by the next sync."""
    for path in ("docs/a.txt", "docs/sub/b.txt", "other/c.txt"):
        world.write(path, path.encode())
    world.settle()
    world.visit_everything()
    world.descriptor = descriptor(copy_rules=(CopyRule("other/", "copies/"),))
    summary = world.sync()
    assert (summary.uploaded, summary.differences) == (0, 6)  # two files and two pages go, one of each comes
    world.settle()
    world.check()
    assert "copies/c.txt" in world.objects.current
    assert not [key for key in world.objects.current if key.startswith("mirror/")]
    assert world.sync().run is None


def test_deletes_of_duplicates_are_braked_too(world: World) -> None:
    """A rule that is removed by mistake costs no more than a look: its many duplicates stay until a person approves."""
    world.config = replace(world.config, brake=Brake(files=1))
    for n in range(5):
        world.write(f"docs/{n}.txt")
    world.settle()
    world.descriptor = descriptor(copy_rules=())
    summary = world.sync()
    assert (summary.held, summary.deleted) == (6, 0)
    assert "mirror/docs/0.txt" in world.objects.current


def test_a_dry_run_tells_of_changed_copy_rules(world: World) -> None:
    """It says that a sync will go through them."""
    world.write("docs/a.txt")
    world.settle()
    world.descriptor = descriptor(copy_rules=())
    with world.agent() as site:
        site.dry_run(as_json=False)
    assert "copy rules, pages or redirects changed" in world.out.getvalue()


def test_a_duplicate_of_the_same_size_follows_another_source(world: World) -> None:
    """What another rule duplicated there before may look the same in a listing."""
    world.write("live/x", b"1")
    world.write("staging/x", b"2")
    world.descriptor = descriptor(copy_rules=(CopyRule("live/", "www/"),))
    world.settle()
    world.descriptor = descriptor(copy_rules=(CopyRule("staging/", "www/"),))
    world.settle()
    world.check()
    assert world.objects.current["www/x"].body == b"2"


def test_redirects_are_made_and_taken_away_with_the_setting(world: World) -> None:
    """Turning them on or off sends one page job for each directory that may have one."""
    for path in ("a.txt", "docs/b.txt", "docs/index.html/c.txt"):
        world.write(path)
    world.settle()
    world.descriptor = descriptor(directory_redirects="exact")
    world.sync()
    assert world.jobs("page") == ["docs"]
    world.queues.jobs.clear()
    world.objects.current["docs"] = StoredObject(b"redirect", {}, world.clock.now(), generated=True)
    world.descriptor = descriptor(directory_redirects="none")
    world.sync()
    assert world.jobs("page") == ["docs"]


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


def test_another_layout_has_every_page_made_again(world: World) -> None:
    """The next sync sends a page job for each directory without an index of its own, once, whatever else it does."""
    for path in ("a", "docs/b", "other/index.html"):
        world.write(path)
    world.settle()
    world.descriptor = descriptor(page_layout="another")
    world.write("a", b"changed")
    assert world.sync().uploaded == 1
    assert sorted(set(world.jobs("page"))) == ["", "docs"]
    world.handle()
    assert world.sync().run is None


@pytest.mark.parametrize("after_effect", [False, True])
def test_another_layout_survives_a_crash(world: World, *, after_effect: bool) -> None:
    """Wherever the run dies that sends the page jobs, they are sent."""
    for path in ("a", "docs/b"):
        world.write(path)
    world.settle()
    for at in range(100):
        world.descriptor = descriptor(page_layout=f"layout {at}")
        died = world.sync_and_die(at, after_effect=after_effect)
        for _ in range(3):
            world.sync()
        assert set(world.jobs("page")) == {"", "docs"}, at
        assert world.sync().run is None
        world.queues.jobs.clear()
        if not died:
            break
    assert at > 3


def test_reindex_sends_a_page_job_for_each_directory(world: World) -> None:
    """That has no index of its own, of the site or beneath one; nothing else is sent, and nothing written."""
    for path in ("a", "docs/b", "docs/sub/c", "gone/d", "other/index.html"):
        world.write(path)
    world.settle()
    shutil.rmtree(world.root / "gone")
    world.settle()
    for top, count, expected in ((b"", 4, ["", "docs", "docs/sub"]), (b"docs", 2, ["docs", "docs/sub"])):
        world.faults.log.clear()
        with world.agent() as site:
            assert site.reindex(top) == count
        assert world.jobs("page") == expected
        assert set(world.faults.log) == {"read_head", "send"}
        world.queues.jobs.clear()


@pytest.mark.parametrize(("changes", "path"), [({}, b"no\nwhere"), ({"directory_pages": False}, b"")])
def test_reindex_of_nothing_is_refused(world: World, changes: dict[str, bool], path: bytes) -> None:
    """A directory that is not published, or a site without pages and redirects."""
    world.write("a")
    world.settle()
    world.descriptor = descriptor(**changes)
    with world.agent() as site, pytest.raises(UsageError):
        site.reindex(path)
    assert world.queues.jobs == []
