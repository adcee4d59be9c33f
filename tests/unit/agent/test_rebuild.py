"""A lost index is made again from bucket and tree, and nothing that is the same is uploaded again."""

import itertools
import os
from collections.abc import Iterable
from dataclasses import replace

import pytest

from siteferry.checksum import crc64nvme
from siteferry.errors import IndexDamagedError, RootError, UsageError
from siteferry.report import Summary
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import DAY, Crash, MemoryIndex, StoredObject, World

NAMES = ("a.html", "docs/b", "docs/index.html", "pictures/deep/d.png", "pictures/d.png")


def fill(world: World, names: Iterable[str] = NAMES) -> None:
    """Publish a site as siteferry does, pages and duplicates too."""
    for name in names:
        world.write(name, f"body of {name}".encode())
    world.settle()
    world.clock.time += DAY


def lose(world: World) -> None:
    """Lose the table, and have an empty one in its place."""
    world.index = MemoryIndex(world.faults)
    world.faults.revive()


def rebuild(world: World) -> Summary:
    """Rebuild the index; the jobs that follow wait."""
    with world.agent() as site:
        return site.adopt(None)


def puts(world: World) -> int:
    """Count the uploads since the last agent's start."""
    return world.faults.log.count("put") + world.faults.log.count("put_chunks")


def heads(world: World) -> int:
    """Count the looks at objects since then."""
    return world.faults.log.count("head")


def test_the_same_is_entered_with_its_checksum_and_not_uploaded(world: World) -> None:
    """Every file whose object has its bytes is committed with their checksum, and the next sync has nothing to do."""
    fill(world)
    before = dict(world.objects.current)
    lose(world)
    summary = rebuild(world)
    assert (summary.adopted, summary.uploaded, summary.headers, puts(world)) == (len(NAMES), 0, 0, 0)
    assert {key: entry.crc64nvme for key, entry in world.index.files().items()} == {
        name: crc64nvme(f"body of {name}".encode()) for name in NAMES
    }
    world.handle()
    assert {key: found.body for key, found in world.objects.current.items()} == {
        key: found.body for key, found in before.items()
    }
    world.check()
    assert world.sync().run is None


def test_an_object_is_looked_at_once(world: World) -> None:
    """A rebuild makes one HEAD for each file, and one for each page: none twice."""
    fill(world)
    lose(world)
    pages = sum(found.generated for key, found in world.objects.current.items() if not key.startswith("mirror/"))
    rebuild(world)
    assert heads(world) == len(NAMES) + pages


def test_a_second_look_is_for_what_comes_after_a_leaf(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a directory that is committed in parts, those of the first need no look after the commit, the others do."""
    for number in range(10):
        world.write(f"{number}", b"%d" % number)
    world.settle()
    lose(world)
    monkeypatch.setattr("siteferry.plan.CHUNK", 5)
    assert rebuild(world).adopted == 10
    page, first = 1, 4  # the first part has the directory itself as well
    assert heads(world) == 10 + page + (10 - first)


def test_age_does_not_matter(world: World) -> None:
    """A file that was touched since, and so is younger than its object, is still not uploaded."""
    fill(world)
    lose(world)
    os.utime(world.root / "docs/b", (world.clock.time, world.clock.time))
    assert (rebuild(world).adopted, puts(world)) == (len(NAMES), 0)


@pytest.mark.parametrize("body", [b"body of docs/B", b"longer than what the bucket has"], ids=["size", "bytes"])
def test_what_differs_is_uploaded_and_invalidated(world: World, body: bytes) -> None:
    """A file of other bytes than its object, of the same size too, is uploaded, and nobody sees the old one."""
    fill(world)
    world.visit_everything()
    lose(world)
    world.write("docs/b", body)
    summary = rebuild(world)
    assert (summary.adopted, summary.uploaded) == (len(NAMES) - 1, 1)
    assert "docs/b" in world.jobs("invalidate")
    world.handle()
    world.check()


def test_a_generated_object_is_never_a_files(world: World) -> None:
    """A file in whose place a directory page of its very bytes is gets uploaded."""
    fill(world)
    lose(world)
    page = world.objects.current["pictures/index.html"]
    assert page.generated
    world.write("pictures/index.html", page.body)
    assert rebuild(world).uploaded == 1
    assert not world.objects.current["pictures/index.html"].generated


def test_an_object_without_a_checksum_of_the_whole_is_uploaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what S3 has no checksum nothing is known, so its file is uploaded."""
    fill(world)
    lose(world)
    look = world.objects.head

    def head(key: str) -> object:
        found = look(key)
        return replace(found, crc64nvme=None) if found and key == "docs/b" else found

    monkeypatch.setattr(world.objects, "head", head)
    summary = rebuild(world)
    assert (summary.adopted, summary.uploaded) == (len(NAMES) - 1, 1)


@pytest.mark.parametrize("large", [False, True])
def test_other_headers_become_those_of_the_rules(world: World, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that the rules of now would put with other headers gets these by a copy, and its file is adopted."""
    if large:
        monkeypatch.setattr("siteferry.uploads.SMALL_BYTES", 3)
        monkeypatch.setattr("siteferry.publish.WHOLE_BYTES", 3)
    fill(world)
    world.visit_everything()
    lose(world)
    world.descriptor = replace(world.descriptor, header_rules=(HeaderRule("docs/b", {"cache-control": "no-cache"}),))
    summary = rebuild(world)
    assert (summary.adopted, summary.uploaded, summary.headers, puts(world)) == (len(NAMES), 0, 3, 0)
    assert world.objects.current["docs/b"].headers["cache-control"] == "no-cache"
    assert "cache-control" not in world.objects.current["a.html"].headers
    assert {"docs/b", "a.html"} <= set(world.jobs("invalidate"))
    world.handle()
    world.check()
    assert world.sync().run is None


def test_what_the_lost_run_may_not_have_said_is_said(world: World) -> None:
    """Pages, duplicates and caches are brought up to date, since a run may have been cut short by the loss."""
    fill(world)
    world.visit_everything()
    for name in ("docs/b", "pictures/d.png"):
        world.write(name, b"put, but neither copied nor invalidated")
    world.sync()
    world.queues.jobs.clear()
    lose(world)
    assert rebuild(world).uploaded == 0
    world.handle()
    assert world.objects.current["mirror/docs/b"].body == b"put, but neither copied nor invalidated"
    assert "pictures/d.png" not in world.cached
    world.check()


def test_every_leaf_counts_as_one_that_had_a_delete(world: World) -> None:
    """So do those of directories that come later: jobs of the lost index's time may still come."""
    fill(world)
    lose(world)
    rebuild(world)
    world.write("new directory/c.html", b"c")
    world.sync()
    assert {leaf.directory for leaf in world.index.all().values()} > {"new directory"}
    assert all(leaf.had_delete for leaf in world.index.all().values())


def test_the_shape_is_written_again(world: World) -> None:
    """What the invalidate handler estimates by was lost with the index, and is there again."""
    fill(world)
    lose(world)
    rebuild(world)
    assert world.index.shape is not None
    assert world.index.shape.total > len(NAMES)


def test_a_late_delete_of_the_lost_index_is_noticed(world: World) -> None:
    """A delete job from before the loss that hits an upload between its PUT and its commit is taken back (rule 5)."""
    fill(world)
    lose(world)
    del world.objects.current["a.html"]
    hit: list[StoredObject] = []

    def delete_what_is_put(request: str) -> None:
        # A page is put in a later phase than the first commit of its directory's leaf, so that there is one.
        if request == "commit" and "a.html" in world.objects.current and not hit:
            hit.append(world.objects.current.pop("a.html"))

    world.faults.before = delete_what_is_put
    summary = rebuild(world)
    assert hit
    assert "a.html" in world.objects.current, summary.line()
    world.handle()
    world.check()


def test_objects_without_a_file_stay_until_an_audit_repairs(world: World) -> None:
    """What the tree no longer has stays, page and duplicate too; after an audit's repair all agree."""
    fill(world)
    lose(world)
    for name in ("docs/b", "pictures/deep/d.png"):
        (world.root / name).unlink()
    (world.root / "pictures/deep").rmdir()
    assert rebuild(world).deleted == 0
    # The file of the directory that is gone, its page, and the one of the directory that is there.
    assert "3 objects have no file: they stay" in world.out.getvalue()
    world.handle()
    assert "pictures/deep/d.png" in world.objects.current
    world.visit_everything()
    with world.agent() as site:
        site.repair(deep=False)
    world.handle()
    world.check()
    assert not {key for key in world.objects.current if key.startswith("pictures/deep/")}
    assert all(leaf.had_delete for leaf in world.index.all().values())
    with world.agent() as site:
        assert site.audit(deep=True).differences == 0


def test_a_lost_tree_is_not_taken_for_an_empty_one(world: World) -> None:
    """Where the root is empty and the bucket is not, nothing is rebuilt."""
    fill(world)
    lose(world)
    world.root.rename(world.base / "elsewhere")
    world.root.mkdir()
    with pytest.raises(RootError) as refused:
        rebuild(world)
    assert "mounted" in refused.value.remedy
    assert "commit" not in world.faults.log


def test_an_index_in_use_is_not_rebuilt(world: World) -> None:
    """Where the index is there, rebuild refuses and says what to do."""
    fill(world)
    with pytest.raises(UsageError) as refused:
        rebuild(world)
    assert "audit" in refused.value.remedy


def test_leaves_of_a_sync_that_came_before_had_deletes_too(world: World) -> None:
    """Those that a sync wrote to the empty index before it was cut short count as leaves that had a delete."""
    fill(world)
    lose(world)
    (world.config.state_dir / "cache.sqlite").unlink()
    for at in itertools.count():
        world.faults.die_at, world.faults.die_after_effect = at, True
        with pytest.raises(Crash):
            world.sync()
        world.clock.time += world.config.lease
        if world.index.files():
            break
        world.faults.revive()
    assert not all(leaf.had_delete for leaf in world.index.all().values())
    world.faults.revive()
    rebuild(world)
    assert all(leaf.had_delete for leaf in world.index.all().values())


def test_a_sync_does_not_begin_anew_where_the_index_is_lost(world: World) -> None:
    """An agent that published with a table says so when it is empty, and what to do; with another table it begins."""
    fill(world)
    lose(world)
    with pytest.raises(IndexDamagedError) as refused:
        world.sync()
    assert "adopt --rebuild" in refused.value.remedy
    with world.agent() as site:
        for work in (site.audit, site.repair):
            with pytest.raises(IndexDamagedError):
                work(deep=False)
        with pytest.raises(IndexDamagedError):
            site.dry_run(as_json=False)
    assert set(world.faults.log) == {"read_head"}
    with pytest.raises(UsageError) as wrong, world.agent() as site:
        site.adopt(0.0)
    assert "adopt --rebuild" in wrong.value.remedy
    rebuild(world)
    assert world.sync().run is None
    lose(world)
    world.descriptor = replace(world.descriptor, table="another")
    assert world.sync().uploaded == len(NAMES)


def test_a_look_at_a_rebuild_changes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run tells by sizes what would be compared and what uploaded, and makes no write."""
    fill(world)
    world.write("new", b"new")
    lose(world)
    with world.agent() as site:
        world.faults.revive()
        site.look_at_adoption(None, as_json=False)
    assert set(world.faults.log) <= {"read_head", "leaves", "list"}
    out = capsys.readouterr().out
    assert "compare docs/b (in the bucket with its size" in out
    assert "1 to publish (3 B), 5 to compare with the bucket" in out


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_rebuild_goes_on_after_a_death_at_every_request(world: World, after_effect: bool) -> None:
    """Wherever a rebuild ends, the next one goes on, and neither uploads nor looks at what is committed again."""
    fill(world)
    world.write("new", b"new")
    lose(world)
    uploads, committed = 0, 0
    for at in itertools.count():
        world.faults.revive()
        world.faults.die_at, world.faults.die_after_effect = at, after_effect
        try:
            rebuild(world)
        except UsageError:
            break  # the one before was complete, only that nobody heard of it
        except Crash:
            world.clock.time += world.config.lease
        else:
            break
        finally:
            uploads += puts(world)
        there = len(world.index.files())
        assert there >= committed
        committed = there
    world.faults.revive()
    world.handle()
    assert uploads <= 2  # one that died at its PUT, and one more
    assert world.sync().uploaded == 0
    world.handle()
    world.check()
    assert all(leaf.had_delete for leaf in world.index.all().values())


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_sync_goes_on_after_a_rebuild_that_died(world: World, after_effect: bool) -> None:
    """Wherever a rebuild ends, a plain sync brings all to agree as well, and its leaves had deletes."""
    for at in itertools.count():
        here = World(world.base / f"{at}")
        fill(here, ["docs/b", "c.html"])
        here.write("new", b"new")
        lose(here)
        here.faults.die_at, here.faults.die_after_effect = at, after_effect
        try:
            rebuild(here)
        except Crash:
            pass
        else:
            break
        here.faults.revive()
        here.clock.time += here.config.lease
        head = here.index.head
        if head is None or not head.run:
            with pytest.raises(IndexDamagedError):
                here.sync()
            continue
        here.settle()
        with here.agent() as site:
            site.repair(deep=False)
        here.handle()
        here.check()
        assert all(leaf.had_delete for leaf in here.index.all().values())
    assert at > 10


def test_nothing_that_is_committed_is_read_again(world: World) -> None:
    """A rebuild that follows one that died looks at no object of a file that is committed."""
    for number in range(3):
        for name in range(40):
            world.write(f"{number}/{name}", b"%d %d" % (number, name))
    world.settle()
    world.clock.time += DAY
    lose(world)
    commits = 0

    def die_at_the_last_commit(request: str) -> None:
        nonlocal commits
        commits += request == "commit"
        if commits == 2:
            world.faults.dead = True
            raise Crash

    world.stopping = lambda: False
    world.faults.before = die_at_the_last_commit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("siteferry.run.BATCH_LEAVES", 2)
        with pytest.raises(Crash):
            rebuild(world)
    world.faults.before = lambda _: None
    committed = len(world.index.files())
    assert 0 < committed < 120
    world.faults.revive()
    world.clock.time += world.config.lease
    summary = rebuild(world)
    assert (summary.adopted, puts(world)) == (120 - committed, 0)
    world.handle()
    world.check()
