"""Whole runs against a site in memory: what is put, committed and sent, and what a run costs."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from siteferry.config import Brake
from siteferry.errors import (
    BusyError,
    ConfigError,
    LeaseLostError,
    OutcomeUnknownError,
    RefusedError,
    RootError,
    ThrottledError,
    UnavailableError,
)
from siteferry.head import LeaseRecord
from siteferry.report import Summary
from siteferry.state import StateDirectory
from siteferry_contract.descriptor import HeaderRule
from siteferry_contract.job import EVERYTHING
from siteferry_contract.leaf import SubdirectoryEntry
from tests.unit.agent.fakes import DAY, StoredObject, World, descriptor, unavailable


def jobs(world: World) -> dict[str, list[str]]:
    """Give the names of the jobs that were sent, sorted, by kind; without the kinds that have none."""
    kinds = {job.kind for job in world.queues.jobs}
    found: dict[str, list[str]] = {kind: sorted(set(world.jobs(kind))) for kind in sorted(kinds)}
    world.handle()
    return found


def test_first_run_publishes_everything(world: World) -> None:
    """The first run of a new site publishes every file and asks for pages, copies and no invalidation."""
    for path in ("index.html", "a.png", "docs/faq.html", "docs/deep/er.txt", "empty dir/x"):
        world.write(path, path.encode())
    summary = world.sync()
    assert (summary.run, summary.uploaded, summary.failed, summary.closed) == (1, 5, 0, True)
    assert jobs(world) == {
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
    assert jobs(world) == (expected if mtime else expected | {"page": ["docs"]})
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
    assert jobs(world) == {"page": ["docs"]}
    assert world.index.files()["docs/a.txt"].mtime_ns == 10**9


def test_chmod_costs_neither_put_nor_job(world: World) -> None:
    """What no visitor can see, a new ctime alone, costs a leaf commit and no job."""
    world.write("a.txt")
    world.settle()
    (world.root / "a.txt").chmod(0o600)
    assert world.sync().unchanged == 1
    assert jobs(world) == {}


def test_delete_sends_its_jobs(world: World) -> None:
    """A file that is gone is deleted, and its directory's page made again."""
    world.write("docs/a.txt")
    world.write("docs/b.txt")
    world.settle()
    (world.root / "docs/a.txt").unlink()
    summary = world.sync()
    assert summary.deleted == 1
    assert jobs(world) == {"delete": ["docs/a.txt"], "page": ["docs"]}
    assert world.index.all()["docs", ""].had_delete
    world.check()


def test_directory_that_is_gone_keeps_its_leaf(world: World) -> None:
    """A directory that is gone is deleted with all beneath it; its leaves stay, marked."""
    for path in ("d/a", "d/e/b", "keep"):
        world.write(path)
    world.settle()
    shutil.rmtree(world.root / "d")
    world.sync()
    assert jobs(world) == {"delete": ["d/a", "d/e/b"], "page": ["", "d", "d/e"]}
    leaves = world.index.all()
    assert (leaves["d", ""].gone, leaves["d/e", ""].gone, leaves["", ""].gone) == (True, True, False)
    world.check()


def test_empty_directory_has_a_leaf_and_a_page(world: World) -> None:
    """A directory without files is in the index and has a page."""
    (world.root / "empty").mkdir()
    world.write("a")
    world.sync()
    assert "empty" in jobs(world)["page"]
    assert world.index.all()["", ""].entries[1] == SubdirectoryEntry("empty")


def test_own_index_gets_a_page_job_too(world: World) -> None:
    """A change of an index file sends a page job, which may have to give way or to come back."""
    world.write("d/index.html", b"1")
    world.settle()
    world.write("d/index.html", b"22")
    world.sync()
    assert jobs(world) == {"invalidate": ["d/index.html"], "page": ["d"]}
    (world.root / "d/index.html").unlink()
    world.sync()
    assert jobs(world) == {"delete": ["d/index.html"], "page": ["d"]}


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


# ---- rule 5


def with_delete(world: World) -> None:
    """Publish a site whose leaf has had a delete."""
    world.write("a", b"first")
    world.write("b")
    world.settle()
    (world.root / "a").unlink()
    world.settle()


def test_re_add_counts_as_modified(world: World) -> None:
    """An added name in a leaf that had a delete is invalidated; in another leaf it is not."""
    with_delete(world)
    world.write("a", b"again")
    world.write("new/c")
    world.sync()
    assert jobs(world)["invalidate"] == ["a"]
    world.check()


def test_re_add_that_a_late_delete_hit_is_put_again(world: World) -> None:
    """A late delete job takes a re-added object before its commit: it is put and committed again."""
    with_delete(world)
    world.write("a", b"again")
    hits = iter((True, True, False))

    def late_delete(name: str) -> None:
        if name == "commit" and next(hits, False):
            world.objects.current.pop("a", None)

    world.faults.before = late_delete
    summary = world.sync()
    assert (summary.closed, summary.failed) == (True, 0)
    world.handle()
    world.check()


def test_re_add_that_is_gone_again_is_deleted(world: World) -> None:
    """A re-added object is taken, and its file gone: its delete is committed and its job sent."""
    with_delete(world)
    world.write("a", b"again")

    def late_delete(name: str) -> None:
        if name == "commit":
            world.objects.current.pop("a", None)
            (world.root / "a").unlink(missing_ok=True)

    world.faults.before = late_delete
    world.sync()
    assert "a" in world.jobs("delete")
    world.handle()
    world.check()


def test_re_add_that_is_always_hit_leaves_the_run_open(world: World) -> None:
    """If a re-added object never stays, the run ends with an error and stays open."""
    with_delete(world)
    world.write("a", b"again")

    def late_delete(name: str) -> None:
        if name == "commit":
            world.objects.current.pop("a", None)

    world.faults.before = late_delete
    with pytest.raises(UnavailableError, match="re-added"):
        world.sync()
    head = world.index.head
    assert head is not None
    assert head.open is not None
    world.faults.before = lambda _: None
    world.settle()
    world.check()


# ---- outcomes of requests


def test_unknown_put_that_worked_is_committed(world: World) -> None:
    """A PUT without an answer that worked is found by a HEAD and committed, and not put again."""
    world.write("a", b"body")
    world.faults.answer("put", OutcomeUnknownError("timed out"), effect=True)
    summary = world.sync()
    assert (summary.uploaded, summary.closed) == (1, True)
    assert world.faults.log.count("put") == 1
    world.handle()
    world.check()


def test_put_that_stays_unknown_leaves_the_run_open(world: World) -> None:
    """A PUT whose outcome nothing settles fails, leaves the run open, and is recovered."""
    world.write("a", b"body")
    for _ in range(4):
        world.faults.answer("put", OutcomeUnknownError("timed out"))
    world.faults.answer("put", OutcomeUnknownError("timed out"))
    summary = world.sync()
    assert (summary.uploaded, summary.failed, summary.closed) == (0, 1, False)
    assert "left open" in summary.line()
    world.faults.errors.clear()
    recovered = world.sync()
    assert (recovered.recovered, recovered.closed) == (True, True)
    world.handle()
    world.check()


@pytest.mark.parametrize("error", [RefusedError("403"), ThrottledError("503")])
def test_put_without_effect_fails_one_file(world: World, error: Exception) -> None:
    """A PUT that had no effect fails its file alone; the run closes, and the next one tries again."""
    world.write("a")
    world.write("b")
    for _ in range(4 if isinstance(error, ThrottledError) else 1):
        world.faults.answer("put", error)
    summary = world.sync()
    assert (summary.uploaded, summary.failed, summary.closed) == (1, 1, True)
    assert "a" in summary.failures[0][0]
    world.settle()
    world.check()


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("request_name", ["commit", "replace_head"])
def test_one_unanswered_write_of_the_index_is_settled(world: World, request_name: str, effect: bool) -> None:
    """A write of the index that is not answered once, whether it worked or not, changes nothing."""
    world.write("a")
    world.faults.answer(request_name, unavailable(), effect=effect)
    assert world.sync().closed
    world.handle()
    world.check()


@pytest.mark.parametrize("request_name", ["read_head", "leaves", "commit", "send"])
def test_outage_leaves_everything_to_the_next_run(world: World, request_name: str) -> None:
    """If AWS does not answer, the run ends with an error, and a later one makes everything equal."""
    world.write("a", b"1")
    world.write("docs/b")
    world.settle()
    world.visit_everything()
    world.write("a", b"22")
    (world.root / "docs/b").unlink()
    shutil.rmtree(world.config.state_dir)
    for _ in range(10):
        world.faults.answer(request_name, unavailable())
    with pytest.raises(UnavailableError):
        world.sync()
    world.faults.errors.clear()
    world.settle()
    world.check()


# ---- recovery


def test_recovery_sends_jobs_again_and_invalidates_everything(world: World) -> None:
    """A recovery sends the page and copy jobs of what the run committed, and last the whole site's invalidation."""
    world.write("docs/a", b"1")
    world.settle()
    world.write("docs/a", b"22")
    for _ in range(10):
        world.faults.answer("send", unavailable())
    with pytest.raises(UnavailableError):
        world.sync()
    world.faults.errors.clear()
    world.queues.jobs.clear()
    summary = world.sync()
    assert (summary.recovered, summary.closed) == (True, True)
    assert (world.jobs("copy"), world.jobs("page")) == (["docs/a"], ["docs"])
    assert world.queues.jobs[-1].names == (EVERYTHING,)


def test_recovery_finds_what_the_bucket_lost(world: World) -> None:
    """A recovery puts what index and tree agree on, but the bucket does not have."""
    world.write("a", b"1")
    world.write("b", b"1")
    world.settle()
    world.write("a", b"22")
    assert world.sync_and_die(6, after_effect=True)
    world.objects.current.pop("b")
    world.settle()
    world.check()


def test_recovery_leaves_generated_pages_and_duplicates_alone(world: World) -> None:
    """A recovery takes neither a generated page nor a duplicate for a stray."""
    world.write("docs/a", b"1")
    world.settle()
    world.objects.current["docs/index.html"] = StoredObject(b"page", {}, world.clock.now(), generated=True)
    world.write("b", b"1")
    assert world.sync_and_die(6, after_effect=True)
    world.sync()
    assert world.jobs("delete") == []


def test_recovery_waits_for_a_whole_lease(world: World) -> None:
    """A lease with an open run, even its own, is watched for its whole length before it is taken."""
    world.write("a")
    assert world.sync_and_die(8, after_effect=True)
    begun = world.clock.now()
    world.sync()
    assert world.clock.now() - begun >= world.config.lease


# ---- lease


def test_other_agent_is_named(world: World) -> None:
    """A site that another agent is at work on is left alone, and the other one is named."""
    world.write("a")
    world.settle()
    head = world.index.head
    assert head is not None
    world.index.head = replace(head, lease=LeaseRecord("elsewhere:/var/lib/siteferry/www", "token", 1, 60.0))

    def beat() -> None:
        now = world.index.head
        assert now is not None
        assert now.lease is not None
        world.index.head = replace(now, lease=replace(now.lease, beat=now.lease.beat + 1))

    world.clock.on_wait = beat
    world.write("b")
    with pytest.raises(BusyError, match="elsewhere"):
        world.sync()
    assert "b" not in world.objects.current


def test_lease_taken_by_another_stops_the_run(world: World) -> None:
    """If another agent takes the lease in the middle of a run, nothing more is committed."""
    world.write("a")

    def take(name: str) -> None:
        if name == "commit":
            head = world.index.head
            assert head is not None
            world.index.head = replace(head, lease=LeaseRecord("other", "token", 7, 60.0))

    world.faults.before = take
    with pytest.raises(LeaseLostError):
        world.sync()
    assert world.index.files() == {}
    assert world.queues.jobs == []


def test_run_of_another_agent_makes_a_plan_out_of_date(world: World) -> None:
    """An agent whose plan is older than the last run plans anew after it has the lease."""
    world.write("a", b"1")
    world.settle()
    first = world.config
    world.write("b", b"22")
    done: list[bool] = []

    def other_agent(name: str) -> None:
        if name == "replace_head" and not done:
            done.append(True)
            world.config = replace(first, state_dir=world.base / "other")
            world.sync()
            world.config = first

    world.faults.before = other_agent
    with pytest.raises(BusyError):
        world.sync()
    world.settle()
    world.check()


def test_lease_is_given_up_after_a_run(world: World) -> None:
    """A run that is over leaves no lease."""
    world.write("a")
    world.sync()
    head = world.index.head
    assert head is not None
    assert (head.lease, head.open, head.run) == (None, None, 1)


# ---- settings


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


# ---- the brake


def test_brake_holds_and_an_approval_releases_once(world: World) -> None:
    """Too many deletes are held, the rest is published; an approval lets as many through, once."""
    world.config = replace(world.config, brake=Brake(files=2, percent=10.0))
    for n in range(10):
        world.write(f"d/{n}")
    world.settle()
    shutil.rmtree(world.root / "d")
    world.write("new")
    summary = world.sync()
    assert (summary.held, summary.deleted, summary.uploaded) == (10, 0, 1)
    assert "approve" in summary.hold_reason
    again = world.sync()
    assert (again.run, again.held) == (None, 10)
    state = StateDirectory(world.config.state_dir)
    state.approve(10)
    assert world.sync().deleted == 10
    assert state.approved_deletes() is None
    world.handle()
    world.check()


def test_empty_root_holds_everything(world: World) -> None:
    """An empty root, a file system that is not mounted say, deletes nothing."""
    world.write("d/a")
    world.settle()
    shutil.rmtree(world.root / "d")
    summary = world.sync()
    assert summary.run is None
    assert "mounted" in summary.hold_reason
    assert "d/a" in world.index.files()


def test_missing_root_changes_nothing(world: World) -> None:
    """A root that is not there is an error that names it."""
    world.write("a")
    world.settle()
    shutil.rmtree(world.root)
    with pytest.raises(RootError, match="root"):
        world.sync()
    assert "a" in world.index.files()


def test_deletes_can_be_switched_off(world: World) -> None:
    """Without deletes nothing is deleted, and it is not forgotten."""
    world.write("a")
    world.write("b")
    world.settle()
    (world.root / "a").unlink()
    on = world.config
    world.config = replace(on, delete=False)
    assert (world.sync().deleted, world.jobs("delete")) == (0, [])
    world.config = on
    assert world.sync().deleted == 1


# ---- dry run, stop, cache


def test_dry_run_changes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows every change with its reason, and makes no request that writes."""
    world.write("a", b"1")
    world.write("b", b"1")
    world.settle()
    world.write("a", b"22")
    (world.root / "b").unlink()
    world.write("new\n\x1b[31m.html", b"333")
    world.faults.revive()
    with world.agent() as site:
        summary = site.dry_run(as_json=False)
    assert summary.planned == 3
    assert world.faults.log == ["read_head"]
    out = capsys.readouterr().out
    assert "put    a (size, 2 B)" in out
    assert "delete b (gone)" in out
    assert "put    new\\n\\x1b[31m.html (new, 3 B)" in out


def test_dry_run_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run's JSON is one document with changes, problems and totals."""
    world.write("a")
    world.settle()
    world.write("b", b"22")
    os.symlink("a", world.root / "link")
    with world.agent() as site:
        site.dry_run(as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["changes"] == [
        {"held": False, "action": "put", "reason": "new", "key": "b", "path": "b", "size": 2}
    ]
    assert document["problems"] == [{"path": "link", "reason": "it is a symlink"}]
    assert document["totals"]["puts"] == 1


@pytest.mark.parametrize("stop_at", [0, 1, 2, 3])
def test_stop_closes_cleanly_and_the_next_run_goes_on(world: World, stop_at: int) -> None:
    """A run that is asked to stop finishes what it began and closes; the next one does the rest."""
    for path in ("a.css", "b/c.css", "b/d/e.html", "f.html"):
        world.write(path)
    asked = iter(range(100))
    world.stopping = lambda: next(asked) >= stop_at
    summary = world.sync()
    assert (summary.stopped, summary.closed) == (True, True)
    world.stopping = lambda: False
    world.settle()
    world.check()


def test_lost_cache_costs_time_alone(world: World) -> None:
    """Without its cache an agent reads the index again, puts nothing and sends nothing."""
    world.write("a")
    world.write("docs/b")
    world.settle()
    shutil.rmtree(world.config.state_dir)
    world.faults.revive()
    assert world.sync().run is None
    assert world.faults.log == ["read_head", "leaves"]


def test_cache_of_another_index_is_not_trusted(world: World) -> None:
    """A cache that another agent's run made old is read again."""
    world.write("a", b"1")
    world.settle()
    mine = world.config
    world.config = replace(mine, state_dir=world.base / "other")
    world.write("a", b"22")
    world.settle()
    world.config = mine
    world.faults.revive()
    assert world.sync().run is None
    assert "leaves" in world.faults.log


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
