"""The time machine: as of a time, history, undo."""

import functools
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.config import Brake
from siteferry.errors import UsageError
from siteferry.ports import ObjectVersion
from siteferry.report import PlainReporter, Summary
from siteferry.restore.history import History
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document
from siteferry.restore.restore import Asked, Restorer, Source
from siteferry.restore.scope import Scope
from siteferry.restore.target import Target
from siteferry.restore.times import check_kept, shown, time_asked
from siteferry.restore.undo import UNPUBLISHED, UNRECORDED, UNTOLD, Undo
from siteferry.runs import CHANGED, DELETED, NEW, TOUCHED, RunRecord, RunRecorder
from siteferry_contract.objects import PATH
from tests.unit.agent.archive import MemoryArchive, Restored, restore
from tests.unit.agent.fakes import DAY, Crash, World
from tests.unit.agent.test_restore import tree_of, write

NAMES = [
    b"a.html",
    b"b.css",
    b"caf\xe9.txt",
    b"index.html",
    b"sub",
    b"sub/x.html",
    b"sub/deep/y",
    b"docs/z.html",
    b"docs",
]


def sync(world: World) -> Summary:
    """Make a run that is recorded, and have the Lambdas do their work."""
    world.config.state_dir.mkdir(exist_ok=True)
    recorder = RunRecorder(PlainReporter(world.out), world.config.state_dir, world.clock, 90)
    with recorder, world.agent(recorder) as site:
        summary = site.sync()
    world.handle()
    return summary


def bytes_of(root: Path) -> dict[bytes, bytes | None]:
    """Give all that is beneath a directory, without times."""
    return {path: entry and entry[0] for path, entry in tree_of(root).items()}


def edit(root: Path, choose: random.Random) -> None:
    """Change something, in a way that FTP users do."""
    path = Path(os.fsdecode(os.path.join(os.fsencode(root), choose.choice(NAMES))))
    kind = choose.randrange(6)
    if kind == 0 and path.is_dir():
        shutil.rmtree(path)
    elif kind == 1 and path.is_file():
        path.unlink()
    elif kind == 2 and path.is_file():
        path.unlink()
        path.mkdir()
    elif kind == 3 and path.is_file():
        path.touch()
    elif not path.is_dir() and not any(parent.is_file() for parent in path.parents):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(choose.randbytes(choose.randrange(9)))


@pytest.mark.parametrize("seed", range(12))
def test_each_midnight_of_ten_days_comes_back(world: World, tmp_path: Path, seed: int) -> None:
    """As of each midnight the tree is what was published then, name for name and byte for byte."""
    choose, midnights = random.Random(seed), []
    write(world.root, b"always.html", b"an empty root would hold deletes")
    world.clock.time = DAY * (world.clock.time // DAY + 1)
    for _ in range(10):
        for _ in range(choose.randrange(1, 5)):
            world.clock.time += choose.randrange(60, 5 * 3600)
            for _ in range(choose.randrange(4)):
                edit(world.root, choose)
            world.settle()
        world.clock.time = DAY * (world.clock.time // DAY + 1)
        midnights.append((world.clock.time, bytes_of(world.root)))
        world.clock.time += 1
    assert len({tuple(sorted(tree)) for _, tree in midnights}) > 1
    for n, (midnight, tree) in enumerate(midnights):
        dest = tmp_path / f"day-{n}"
        found = restore(world, dest, Asked(Source(as_of=midnight), Scope()))
        assert (found.failures, found.left) == ({}, {})
        assert bytes_of(dest) == tree, n


def test_mtimes_of_earlier_versions_come_back(world: World, tmp_path: Path) -> None:
    """They are those with which each version was uploaded, to the nanosecond."""
    write(world.root, b"a.html", b"one", 10**18 + 1)
    world.settle()
    then = world.clock.time
    world.clock.time += DAY
    write(world.root, b"a.html", b"two", 10**18 + 2)
    world.settle()
    restore(world, tmp_path / "then", Asked(Source(as_of=then), Scope()))
    assert tree_of(tmp_path / "then") == {b"a.html": (b"one", 10**18 + 1)}


# ---- undo


class Undoer:
    """A site of three files, and its undos."""

    def __init__(self, world: World) -> None:
        self.world = world
        for name in (b"a.html", b"docs/b.html", b"docs/c.html"):
            write(world.root, name, b"first " + name)
        self.run(lambda: None)

    def run(self, change: Callable[[], None]) -> int:
        """Change something, and publish it in a run a minute later; gives its number."""
        self.world.clock.time += 60
        change()
        summary = sync(self.world)
        assert summary.run is not None
        self.world.clock.time += 60
        return summary.run

    def undo(
        self, run: int | None = None, since: float | None = None, top: bytes = b"", approved: int | None = None
    ) -> Restored:
        """Undo a run, or all since a time."""
        world, document = self.world, Document()
        archive = MemoryArchive(world.objects, world.faults)
        with (
            world.agent() as site,
            Target(world.root) as target,
            RestorePlan() as plan,
            RunRecord(world.config.state_dir) as record,
        ):
            undo = Undo(Restorer(site.parts, archive), record, approved)
            if run is not None:
                undo.plan_run(run, Scope(top), target, plan)
            else:
                assert since is not None
                undo.plan_since(since, Scope(top), target, plan)
            summary = undo.restorer.carry_out(plan, target, document)
            failures = {failure["path"]: failure["reason"] for failure in document.failures}
            return Restored(plan, summary, failures, archive.gets)


@pytest.fixture
def undoer(world: World) -> Undoer:
    """Such a site, published."""
    return Undoer(world)


def vandalise(root: Path) -> None:
    """Do what a mirror tool does that was given the wrong directory."""
    (root / "a.html").unlink()
    write(root, b"docs/b.html", b"vandalised")
    write(root, b"docs/new/d.html", b"new")


def test_an_undone_run_leaves_the_tree_as_before_it(undoer: Undoer) -> None:
    """What it deleted is back, what it changed is as it was, what it added is gone; the next sync publishes that."""
    root = undoer.world.root
    before = tree_of(root)
    run = undoer.run(lambda: vandalise(root))
    after = bytes_of(root)
    found = undoer.undo(run)
    assert (found.left, found.failures) == ({}, {})
    assert tree_of(root) == before | {b"docs/new": None}
    (root / "docs/new").rmdir()
    second = undoer.run(lambda: None)
    undoer.world.check()
    undoer.undo(second)
    assert bytes_of(root) == after


def test_undoing_since_a_time_takes_back_all_later_runs(undoer: Undoer) -> None:
    """Several runs' changes go at once; directories that are empty by it, too."""
    root, then = undoer.world.root, undoer.world.clock.time
    before = tree_of(root)
    undoer.run(lambda: vandalise(root))
    undoer.run(lambda: write(root, b"docs/b.html", b"vandalised twice"))
    found = undoer.undo(since=then)
    assert (found.left, found.failures) == ({}, {})
    assert tree_of(root) == before


def test_names_that_their_keys_do_not_tell_are_undone_too(world: World) -> None:
    """With the encoding `auto` a latin-1 name is known to the object alone; in part of the tree, too."""
    world.descriptor = replace(world.descriptor, encoding="auto")
    undoer, root = Undoer(world), world.root
    undoer.run(lambda: write(root, b"caf\xe9/na\xefve.txt", b"first"))
    before = bytes_of(root)
    for top in (b"", b"caf\xe9", b"caf\xe9/na\xefve.txt"):
        run = undoer.run(lambda: write(root, b"caf\xe9/na\xefve.txt", b"vandalised"))
        found = undoer.undo(run, top=top)
        assert (found.left, found.failures) == ({}, {})
        assert bytes_of(root) == before
        undoer.run(lambda: None)


def without_paths(world: World) -> None:
    """Have objects as another tool put them, which do not say their path."""
    history = world.objects.current.history
    for key, versions in history.items():
        for n, (at, found) in enumerate(versions):
            if found:
                headers = {name: value for name, value in found.headers.items() if PATH not in name}
                versions[n] = (at, replace(found, headers=headers))
        if key in world.objects.current:
            world.objects.current[key] = replace(world.objects.current[key], headers=headers)


def test_names_that_no_object_tells_are_undone_too(world: World) -> None:
    """An adopted object does not say its path: with `auto`, the index knows a latin-1 name, or the run's record."""
    world.descriptor = replace(world.descriptor, encoding="auto")
    undoer, root = Undoer(world), world.root
    undoer.run(lambda: write(root, b"caf\xe9/na\xefve.txt", b"first"))
    undoer.run(lambda: write(root, b"caf\xe9/d\xe9leted.txt", b"first"))
    before, then = bytes_of(root), world.clock.time
    without_paths(world)
    deleted = root / os.fsdecode(b"caf\xe9/d\xe9leted.txt")
    run = undoer.run(deleted.unlink)
    for since in (then, None):
        found = undoer.undo(since=then) if since else undoer.undo(run)
        assert (found.left, found.failures) == ({}, {})
        assert bytes_of(root) == before
        undoer.run(lambda: None)
        without_paths(world)
        run = undoer.run(deleted.unlink)
    restore(world, world.base / "new", Asked(Source(as_of=world.clock.time), Scope()))
    assert bytes_of(world.base / "new") == bytes_of(root)


def test_only_a_part_is_undone_on_request(undoer: Undoer) -> None:
    """What lies elsewhere stays as it is."""
    root = undoer.world.root
    run = undoer.run(lambda: vandalise(root))
    undoer.undo(run, top=b"docs")
    assert not (root / "a.html").exists()
    assert (root / "docs/b.html").read_bytes() == b"first docs/b.html"


def test_what_is_not_published_is_never_undone(undoer: Undoer) -> None:
    """A file that changed since the last sync, and a new one, are nowhere else: they stay, and are told."""
    root, then = undoer.world.root, undoer.world.clock.time
    run = undoer.run(lambda: vandalise(root))
    write(root, b"docs/b.html", b"repaired by hand")
    write(root, b"docs/new/e.html", b"just uploaded")
    write(root, b".htaccess", b"never published")
    assert undoer.undo(run).left == {b"docs/b.html": UNPUBLISHED}
    assert undoer.undo(since=then).left == {b"docs/b.html": UNPUBLISHED, b"docs/new/e.html": UNPUBLISHED}
    assert (root / "docs/b.html").read_bytes() == b"repaired by hand"
    assert (root / "docs/new/e.html").read_bytes() == b"just uploaded"
    assert (root / "a.html").read_bytes() == b"first a.html"
    assert (root / ".htaccess").exists()


def test_what_a_later_run_changed_again_stays(undoer: Undoer) -> None:
    """An undo of one run takes back nothing of another."""
    root = undoer.world.root
    run = undoer.run(lambda: vandalise(root))
    later = undoer.run(lambda: write(root, b"docs/b.html", b"mended"))
    found = undoer.undo(run)
    assert f"run {later} changed it again" in found.left[b"docs/b.html"]
    assert (root / "docs/b.html").read_bytes() == b"mended"
    assert (root / "a.html").exists()


def test_changes_too_close_to_be_told_apart_stay(undoer: Undoer) -> None:
    """S3 tells whole seconds: of two runs within one, which put what is not guessed."""
    root, world = undoer.world.root, undoer.world
    undoer.run(lambda: write(root, b"a.html", b"second"))
    world.clock.time = round(world.clock.time)
    write(root, b"a.html", b"third")
    sync(world)
    world.clock.time += 0.25
    write(root, b"a.html", b"fourth")
    write(root, b"docs/b.html", b"fourth")
    last = sync(world).run
    found = undoer.undo(last)
    assert found.left == {b"a.html": UNTOLD}
    assert set(found.steps) == {b"docs/b.html"}
    assert (root / "a.html").read_bytes() == b"fourth"
    assert (root / "docs/b.html").read_bytes() == b"first docs/b.html"


def test_many_deletes_of_an_undo_wait_for_a_person(world: World) -> None:
    """To undo the first run would empty the tree: the brake is that of the site's own deletes."""
    world.config = replace(world.config, brake=Brake())
    for n in range(60):
        write(world.root, b"d/%d.html" % n, b"body")
    undoer = Undoer(world)
    before = tree_of(world.root)
    found = undoer.undo(1)
    assert (found.totals.held, found.summary.deleted) == (63, 0)
    assert tree_of(world.root) == before
    assert undoer.undo(1, approved=63).summary.deleted == 63


def test_a_time_before_the_site_is_no_time_to_go_back_to(world: World, tmp_path: Path) -> None:
    """An undo would empty the tree, and a restore give nothing: it is a mistake, and said to be one."""
    then, undoer = world.clock.time - 1, Undoer(world)
    before = tree_of(world.root)
    with pytest.raises(UsageError, match="the site had no file"):
        undoer.undo(since=then)
    with pytest.raises(UsageError, match="the site had no file"):
        restore(world, tmp_path / "new", Asked(Source(as_of=then), Scope(), delete=True))
    assert tree_of(world.root) == before
    assert not (tmp_path / "new").exists()


def test_an_undo_of_a_run_lists_only_what_its_files_have_in_common(
    undoer: Undoer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket may have a million keys, and a run have changed one."""
    root, listed = undoer.world.root, list[str]()
    really = MemoryArchive.versions

    def versions(archive: MemoryArchive, prefix: str) -> Iterator[ObjectVersion]:
        listed.append(prefix)
        return really(archive, prefix)

    monkeypatch.setattr(MemoryArchive, "versions", versions)
    for names, prefix in (((b"docs/b.html", b"docs/c.html"), "docs/"), ((b"a.html",), "a.html")):
        run = undoer.run(functools.partial(vandalise_all, root, names))
        assert undoer.undo(run).summary.restored == len(names)
        assert listed.pop() == prefix
        undoer.run(lambda: None)


def vandalise_all(root: Path, names: Iterable[bytes]) -> None:
    """Write over files."""
    for name in names:
        write(root, name, b"vandalised")


def test_a_name_without_a_key_today_is_left_out_of_an_undo(undoer: Undoer) -> None:
    """The settings may be others than those of the run: the rest is taken back."""
    world, names = undoer.world, (b"caf\xe9.html", b"a.html")
    run = undoer.run(functools.partial(vandalise_all, world.root, names))
    world.descriptor = replace(world.descriptor, encoding="utf-8")
    found = undoer.undo(run)
    assert set(found.left) == {b"caf\xe9.html"}
    assert (world.root / "a.html").read_bytes() == b"first a.html"


def test_a_file_of_which_s3_forgot_the_version_is_not_taken_for_new(undoer: Undoer) -> None:
    """Only a file that is new by the record is removed: versions may be kept for less time than was thought."""
    root, then, current = undoer.world.root, undoer.world.clock.time, undoer.world.objects.current
    undoer.run(lambda: write(root, b"a.html", b"second"))
    current.history["a.html"] = current.history["a.html"][-1:]
    found = undoer.undo(since=then)
    assert (found.left, found.steps) == ({b"a.html": UNRECORDED}, {})
    assert (root / "a.html").read_bytes() == b"second"


def test_a_fast_clock_does_not_hide_what_a_run_changed(undoer: Undoer) -> None:
    """Where S3 had the change before this host says that the run began, what was there before is not claimed."""
    root, world = undoer.world.root, undoer.world
    run = undoer.run(lambda: vandalise(root))
    for versions in world.objects.current.history.values():
        versions[:] = [(at - 70, found) if at > world.clock.time - 100 else (at, found) for at, found in versions]
    found = undoer.undo(run)
    assert found.left == dict.fromkeys((b"a.html", b"docs/b.html", b"docs/new/d.html"), UNTOLD)
    assert found.steps == {}


def test_what_somebody_copied_back_in_s3_is_put_right_on_disk_too(undoer: Undoer) -> None:
    """That the bucket has the old version again does not make the file on disk the old one."""
    root, then, current = undoer.world.root, undoer.world.clock.time, undoer.world.objects.current
    undoer.run(lambda: write(root, b"a.html", b"vandalised"))
    current["a.html"] = next(stored for _, stored in current.history["a.html"] if stored)
    undoer.undo(since=then)
    assert (root / "a.html").read_bytes() == b"first a.html"


@pytest.mark.parametrize("since", [True, False])
def test_a_directory_that_a_file_took_the_place_of_comes_back(undoer: Undoer, *, since: bool) -> None:
    """And the reverse: what is in the way is removed if it is published exactly as it is."""
    root, then = undoer.world.root, undoer.world.clock.time
    before = bytes_of(root)

    def swap() -> None:
        shutil.rmtree(root / "docs")
        write(root, b"docs", b"a file")
        (root / "a.html").unlink()
        write(root, b"a.html/deep/inner.html", b"in a directory")

    run = undoer.run(swap)
    found = undoer.undo(since=then) if since else undoer.undo(run)
    assert (found.left, found.failures) == ({}, {})
    assert bytes_of(root) == before


def test_what_is_in_the_way_and_published_nowhere_stays(undoer: Undoer) -> None:
    """A file that somebody put there since is told, and what it is in the way of is not restored."""
    root, then = undoer.world.root, undoer.world.clock.time

    def swap() -> None:
        (root / "a.html").unlink()
        write(root, b"a.html/inner.html", b"in a directory")

    undoer.run(swap)
    write(root, b"a.html/mine.html", b"just uploaded")
    found = undoer.undo(since=then)
    assert set(found.left) == {b"a.html/mine.html"}
    assert set(found.failures) == {"a.html"}
    assert (root / "a.html/mine.html").read_bytes() == b"just uploaded"


def test_empty_directories_stay_unless_an_undo_empties_them(undoer: Undoer) -> None:
    """Somebody may be about to fill one."""
    root, then = undoer.world.root, undoer.world.clock.time
    undoer.run(lambda: write(root, b"new/deep/d.html", b"new"))
    (root / "empty/deep").mkdir(parents=True)
    undoer.undo(since=then)
    assert (root / "empty/deep").is_dir()
    assert not (root / "new").exists()


def test_a_run_without_a_whole_record_is_refused(undoer: Undoer) -> None:
    """An undo that would forget some of it is none; the error says which way there is."""
    with pytest.raises(UsageError, match="no record of run 99"):
        undoer.undo(99)
    write(undoer.world.root, b"a.html", b"again")
    undoer.world.faults.revive()
    undoer.world.faults.before = _dies_at("send")
    with pytest.raises(Crash):
        sync(undoer.world)
    undoer.world.faults.revive()
    undoer.world.faults.before = lambda _: None
    with pytest.raises(UsageError, match="run 2 was cut short") as caught:
        undoer.undo(2)
    assert "--since" in caught.value.remedy


def _dies_at(request: str) -> Callable[[str], None]:
    def die(name: str) -> None:
        if name == request:
            raise Crash(name)

    return die


# ---- records and history


def test_a_run_is_recorded_with_what_it_did(undoer: Undoer) -> None:
    """New, changed, deleted and touched files, by run."""
    root = undoer.world.root
    run = undoer.run(lambda: (vandalise(root), os.utime(root / "docs/c.html")))  # type: ignore[func-returns-value, arg-type]
    with RunRecord(undoer.world.config.state_dir) as record:
        assert dict(record.changes(run)) == {
            b"a.html": DELETED, b"docs/b.html": CHANGED, b"docs/new/d.html": NEW, b"docs/c.html": TOUCHED,
        }  # fmt: skip
        newest, first = record.runs(10)
    assert (newest.number, newest.new, newest.changed, newest.deleted, newest.touched) == (run, 1, 1, 1, 1)
    assert (first.number, first.new) == (1, 3)
    assert newest.opened >= (first.closed or 0)


def test_records_are_forgotten_with_the_versions(undoer: Undoer) -> None:
    """What can no longer be undone is not listed, and an index that began anew takes the numbers over."""
    undoer.world.clock.time += 91 * DAY
    run = undoer.run(lambda: write(undoer.world.root, b"a.html", b"much later"))
    with RunRecord(undoer.world.config.state_dir) as record:
        assert [found.number for found in record.runs(10)] == [run]
        assert list(record.changes(1)) == []


def test_a_record_that_cannot_be_written_stops_no_run(world: World) -> None:
    """The record is for people; what is published does not depend on it."""
    world.config.state_dir.mkdir()
    (world.config.state_dir / "runs.sqlite").write_bytes(b"this is no database, " * 100)
    write(world.root, b"a.html", b"1")
    assert sync(world).run == 1
    world.check()


def test_history_tells_what_became_of_a_file(undoer: Undoer) -> None:
    """Every version that was live, newest first, with its run; pages and duplicates are nobody's changes."""
    root = undoer.world.root
    undoer.run(lambda: write(root, b"docs/b.html", b"second"))
    undoer.run((root / "docs/b.html").unlink)
    undoer.run(lambda: write(root, b"docs/b.html", b"third!"))
    with undoer.world.agent() as site, RunRecord(undoer.world.config.state_dir) as record:
        history = History(MemoryArchive(undoer.world.objects, undoer.world.faults), site.parts.naming, record)
        found = history.events(Scope(b"docs/b.html"), 0.0, 10)
        everything = history.events(Scope(), 0.0, 100)
    assert [(event.what, event.size, event.run) for event in found] == [
        (NEW, 6, 4), (DELETED, None, 3), (CHANGED, 6, 2), (NEW, 17, 1),
    ]  # fmt: skip
    assert {event.path for event in everything} == {b"a.html", b"docs/b.html", b"docs/c.html"}


def test_history_names_a_file_as_the_host_does(world: World) -> None:
    """With the encoding `auto` too, where its key does not tell the bytes of a name."""
    world.descriptor = replace(world.descriptor, encoding="auto")
    undoer = Undoer(world)
    run = undoer.run(lambda: write(world.root, b"caf\xe9/na\xefve.txt", b"first"))
    with world.agent() as site, RunRecord(world.config.state_dir) as record:
        (event,) = History(MemoryArchive(world.objects, world.faults), site.parts.naming, record).events(
            Scope(b"caf\xe9"), 0.0, 10
        )
    assert (event.path, event.run) == (b"caf\xe9/na\xefve.txt", run)


# ---- times


@pytest.mark.parametrize(("text", "expected"), [
    ("2h", 1_000_000 - 7200), ("1d", 1_000_000 - 86_400), ("1970-01-05T00:00:00Z", 345_600),
    ("1970-01-05T01:00:00+01:00", 345_600), ("2h ago", 1_000_000 - 7200),
])  # fmt: skip
def test_times_are_named_as_people_do(text: str, expected: float) -> None:
    """By date and time, or by how long ago."""
    assert time_asked(text, "--since", 1_000_000) == expected


def test_a_time_that_was_shown_can_be_asked_for() -> None:
    """As it stands in a remedy or in the history; and by the day, in this host's zone."""
    assert time_asked(shown(345_600), "--since", 1_000_000) == 345_600
    today, yesterday = (time_asked(day, "--since", 1_000_000) for day in ("today", "yesterday"))
    assert shown(today)[11:19] == shown(yesterday)[11:19] == "00:00:00"
    assert yesterday < today <= 1_000_000


@pytest.mark.parametrize("text", ["", "2026-13-01", "12", "1970-02-01T00:00:00Z"])
def test_what_is_no_time_past_is_refused(text: str) -> None:
    """The error names the option."""
    with pytest.raises(UsageError, match="--since"):
        time_asked(text, "--since", 1_000_000)


def test_a_time_before_all_versions_is_refused(world: World, tmp_path: Path) -> None:
    """What was replaced then may be gone for good; a partial tree would pass for the whole."""
    write(world.root, b"a.html", b"1")
    world.settle()
    world.descriptor = replace(world.descriptor, retention_days=30)
    with pytest.raises(UsageError, match="longer ago than what was replaced is kept \\(30 days"):
        restore(world, tmp_path / "dest", Asked(Source(as_of=world.clock.time - 31 * DAY), Scope()))
    check_kept(world.clock.time - 29 * DAY, world.clock.time, 30)
