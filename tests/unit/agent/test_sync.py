"""Whole runs against a site in memory: what is put, committed and sent, and what a run costs."""

import os
import shutil

import pytest

from siteferry.report import Summary
from siteferry_contract.leaf import SubdirectoryEntry
from tests.unit.agent.fakes import DAY, World, sent_jobs


def test_first_run_publishes_everything(world: World) -> None:
    """The first run of a new site publishes every file and asks for pages, copies and no invalidation."""
    for path in ("index.html", "a.png", "docs/faq.html", "docs/deep/er.txt", "empty dir/x"):
        world.write(path, path.encode())
    summary = world.sync()
    assert (summary.run, summary.uploaded, summary.failed, summary.closed) == (1, 5, 0, True)
    assert sent_jobs(world) == {
        "copy": ["docs/deep/er.txt", "docs/faq.html"],
        "page": ["", "docs", "docs/deep", "empty dir"],
    }
    world.check()
    assert world.objects.current["index.html"].headers["content-type"] == "text/html"
    assert world.objects.current["index.html"].headers["cache-control"] == "max-age=60"
    assert float(world.objects.current["a.png"].headers["x-amz-meta-mtime"]) == pytest.approx(
        (world.root / "a.png").stat().st_mtime, abs=1e-6
    )


def test_run_without_a_change_reads_the_head_alone(world: World) -> None:
    """A run that finds no change makes one request: it reads the head."""
    for path in ("a", "b/c", "b/d/e.html"):
        world.write(path)
    world.settle()
    world.faults.revive()
    summary = world.sync()
    assert summary.line() == "nothing to do"
    assert world.faults.log == ["read_head"]


def test_agent_that_holds_the_lease_makes_no_request(world: World) -> None:
    """A cycle of a daemon that finds no change makes no request at all."""
    world.write("a")
    with world.agent() as site:
        site.tenancy.acquire()
        site.sync()
        world.faults.revive()
        assert site.sync().run is None
        assert world.faults.log == []


def test_pages_are_published_after_what_they_refer_to(world: World) -> None:
    """Every other file is put, and committed, before the first HTML page is put."""
    for path in ("a.html", "b.css", "d/c.HTM", "d/z.png"):
        world.write(path)
    order: list[str] = []
    store = world.objects._store
    world.objects._store = lambda key, body, headers: (order.append(key), store(key, body, headers))[1]  # type: ignore[method-assign, func-returns-value]
    world.faults.before = lambda name: order.append("commit") if name == "commit" else None
    world.sync()
    assert order[:3] == ["b.css", "d/z.png", "commit"]
    assert sorted(order[3:5]) == ["a.html", "d/c.HTM"]


@pytest.mark.parametrize(
    ("body", "mtime", "reason"),
    [(b"longer than before", None, "size"), (b"same len", None, "mtime"), (b"same len", -1, "ctime")],
)
def test_edit_is_seen_and_invalidated(world: World, body: bytes, mtime: int | None, reason: str) -> None:
    """An edit that changes size, mtime or only ctime is published, mirrored and taken out of the caches."""
    world.write("docs/a.txt", b"original"[:8])
    world.settle()
    before = (world.root / "docs/a.txt").stat()
    world.write("docs/a.txt", body)
    if mtime:
        os.utime(world.root / "docs/a.txt", ns=(before.st_mtime_ns, before.st_mtime_ns))
    summary = world.sync()
    assert (summary.uploaded, summary.unchanged) == (1, 0)
    assert f"({reason}," in world.out.getvalue().splitlines()[-1]
    expected = {"copy": ["docs/a.txt"], "invalidate": ["docs/a.txt"]}
    assert sent_jobs(world) == (expected if mtime else expected | {"page": ["docs"]})
    world.check()


def test_touch_costs_no_put(world: World) -> None:
    """A touch costs a leaf commit and a page, and neither a PUT nor an invalidation of the file."""
    world.write("docs/a.txt", b"x")
    world.settle()
    os.utime(world.root / "docs/a.txt", (1, 1))
    world.faults.revive()
    summary = world.sync()
    assert (summary.uploaded, summary.unchanged) == (0, 1)
    assert "put" not in world.faults.log
    assert sent_jobs(world) == {"page": ["docs"]}
    assert world.index.files()["docs/a.txt"].mtime_ns == 10**9


def test_chmod_costs_neither_put_nor_job(world: World) -> None:
    """What no visitor can see, a new ctime alone, costs a leaf commit and no job."""
    world.write("a.txt")
    world.settle()
    (world.root / "a.txt").chmod(0o600)
    assert world.sync().unchanged == 1
    assert sent_jobs(world) == {}


def test_delete_sends_its_jobs(world: World) -> None:
    """A file that is gone is deleted, and its directory's page made again."""
    world.write("docs/a.txt")
    world.write("docs/b.txt")
    world.settle()
    (world.root / "docs/a.txt").unlink()
    summary = world.sync()
    assert summary.deleted == 1
    assert sent_jobs(world) == {"delete": ["docs/a.txt"], "page": ["docs"]}
    assert world.index.all()["docs", ""].had_delete
    world.check()


def test_directory_that_is_gone_keeps_its_leaf(world: World) -> None:
    """A directory that is gone is deleted with all beneath it; its leaves stay, marked."""
    for path in ("d/a", "d/e/b", "keep"):
        world.write(path)
    world.settle()
    shutil.rmtree(world.root / "d")
    world.sync()
    assert sent_jobs(world) == {"delete": ["d/a", "d/e/b"], "page": ["", "d", "d/e"]}
    leaves = world.index.all()
    assert (leaves["d", ""].gone, leaves["d/e", ""].gone, leaves["", ""].gone) == (True, True, False)
    world.check()


def test_empty_directory_has_a_leaf_and_a_page(world: World) -> None:
    """A directory without files is in the index and has a page."""
    (world.root / "empty").mkdir()
    world.write("a")
    world.sync()
    assert "empty" in sent_jobs(world)["page"]
    assert world.index.all()["", ""].entries[1] == SubdirectoryEntry("empty")


def test_own_index_gets_a_page_job_too(world: World) -> None:
    """A change of an index file sends a page job, which may have to give way or to come back."""
    world.write("d/index.html", b"1")
    world.settle()
    world.write("d/index.html", b"22")
    world.sync()
    assert sent_jobs(world) == {"invalidate": ["d/index.html"], "page": ["d"]}
    (world.root / "d/index.html").unlink()
    world.sync()
    assert sent_jobs(world) == {"delete": ["d/index.html"], "page": ["d"]}


def test_kinds_swap_places(world: World) -> None:
    """A file becomes a directory of the same name, and the reverse."""
    world.write("x", b"file")
    world.write("y/inside", b"2")
    world.settle()
    (world.root / "x").unlink()
    world.write("x/inside", b"3")
    shutil.rmtree(world.root / "y")
    world.write("y", b"file")
    world.settle()
    world.check()


def test_rename_to_another_case(world: World) -> None:
    """A rename is a delete and an add."""
    world.write("Docs/A.txt", b"1")
    world.settle()
    (world.root / "Docs").rename(world.root / "docs")
    world.settle()
    world.check()


def test_unsettled_file_waits(world: World) -> None:
    """A file that is still being written waits; its published version stays, and the run says so."""
    world.write("a", b"1")
    world.write("b", b"1")
    world.settle()
    world.write("a", b"22")
    world.clock.time = (world.root / "a").stat().st_ctime + 0.5
    summary = world.sync()
    assert (summary.run, summary.deferred) == (None, 1)
    assert world.objects.current["a"].body == b"1"
    world.clock.time += 1
    assert world.sync().uploaded == 1
    world.handle()
    world.check()


def test_file_that_changes_while_it_is_published_waits(world: World) -> None:
    """A file that changes between scan and PUT is deferred, and the next run publishes it."""
    world.write("a", b"1")
    world.write("b", b"1")

    def change(name: str) -> None:
        if name == "replace_head":
            world.write("a", b"changed since")
            world.faults.before = lambda _: None

    world.faults.before = change
    summary = world.sync()
    assert (summary.uploaded, summary.deferred, summary.failed) == (1, 1, 0)
    assert "a" not in world.objects.current
    world.settle()
    world.check()


def test_delete_is_looked_at_once_more(world: World) -> None:
    """What comes back between scan and commit is not deleted."""
    for path in ("a", "b", "c", "d/x", "d/y"):
        world.write(path)
    world.settle()
    (world.root / "a").unlink()
    (world.root / "b").unlink()
    shutil.rmtree(world.root / "d")

    def come_back(name: str) -> None:
        if name == "replace_head" and not (world.root / "a").exists():
            world.write("a")
            world.write("d/x")

    world.faults.before = come_back
    summary = world.sync()
    assert summary.deleted == 1
    assert sorted(world.jobs("delete")) == ["b"]
    world.settle()
    world.check()


def test_names_of_any_bytes(world: World) -> None:
    """Names of any bytes are published in latin-1, and deleted again."""
    for name in (b"\xe9t\xe9", b"a b+c%d#e?f&g\"h'", b"new\nline", b"\xff\x01", b"x" * 255):
        with open(os.fsencode(world.root) + b"/" + name, "wb") as file:
            file.write(name)
    world.settle()
    world.check()
    assert "été" in world.objects.current
    shutil.rmtree(world.root)
    world.root.mkdir()
    world.write("one")
    world.settle()
    world.check()


def test_symlinks_and_fifos_are_reported(world: World) -> None:
    """What is neither file nor directory is reported, and neither followed nor published."""
    world.write("a")
    (world.base / "secret").write_text("secret")
    os.symlink(world.base / "secret", world.root / "link")
    os.symlink(world.base, world.root / "up")
    os.mkfifo(world.root / "fifo")
    summary = world.sync()
    assert (summary.uploaded, summary.problems) == (1, 3)
    assert sorted(world.objects.published()) == ["a"]


def test_large_directory_splits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of more names than a leaf holds is kept in several leaves, through edits and deletes."""
    monkeypatch.setattr("siteferry_contract.leaf.MAX_ENTRIES", 4)
    for n in range(30):
        world.write(f"d/{n:02}", b"%d" % n)
    world.settle()
    world.check()
    assert len([leaf for leaf in world.index.all().values() if leaf.directory == "d"]) >= 8
    for n in range(0, 30, 3):
        (world.root / f"d/{n:02}").unlink()
    for n in range(40):
        world.write(f"d/{n % 20:02}-{n}", b"more")
    world.settle()
    world.check()
    shutil.rmtree(world.config.state_dir)
    assert world.sync().run is None


def test_summary_says_what_happened() -> None:
    """A summary's line names everything that is not as it should be."""
    summary = Summary(run=3, uploaded=2, uploaded_bytes=1500, deleted=1, failed=1, deferred=2, held=4, problems=5)
    assert summary.line() == (
        "run 3: 2 published (1.5 kB), 1 deleted, 1 failed, 2 deferred (still being written), 4 deletes held,"
        " 5 names not published"
    )


def test_clock_going_back_does_not_publish_too_soon(world: World) -> None:
    """A ctime in the future is judged by two looks, not trusted."""
    world.write("a")
    world.clock.time = (world.root / "a").stat().st_ctime - DAY
    assert world.sync().deferred == 1
    world.clock.time += 2
    assert world.sync().uploaded == 1
