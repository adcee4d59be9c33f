"""Adoption: what a bucket has already is not uploaded again."""

import itertools
import os
from collections.abc import Iterable

import pytest

from siteferry.checksum import crc64nvme
from siteferry.errors import UsageError
from siteferry.report import Summary
from tests.unit.agent.fakes import DAY, Crash, StoredObject, World

NAMES = ("a.html", "docs/b", "docs/c", "pictures/d.png")


def fill(world: World, names: Iterable[str] = NAMES, *, older_by: float = 0.0) -> None:
    """Have the bucket as another tool left it: the tree's bytes, without any of siteferry's metadata."""
    for name in names:
        body = f"body of {name}".encode()
        world.write(name, body)
        modified = os.stat(world.root / name).st_mtime + 60 - older_by
        world.objects.current[name] = StoredObject(body, {"content-type": "binary/octet-stream"}, modified)


def adopt(world: World, fudge: float = 0.0) -> Summary:
    """Adopt; the jobs that follow wait."""
    with world.agent() as site:
        return site.adopt(fudge)


def puts(world: World) -> int:
    """Count the uploads since the last agent's start."""
    return world.faults.log.count("put")


def test_what_is_there_is_not_uploaded(world: World) -> None:
    """Every object of its file's size, and not older, is entered in the index without an upload."""
    fill(world)
    world.write("new", b"new")
    summary = adopt(world)
    assert (summary.adopted, summary.uploaded, puts(world)) == (4, 1, 1)
    assert sorted(world.index.files()) == sorted(world.tree())
    world.handle()
    assert {"mirror/docs/b", "mirror/docs/c", "index.html", "pictures/index.html"} <= set(world.objects.current)
    assert world.sync().run is None


def test_a_checksum_is_recorded_when_a_file_is_next_read(world: World) -> None:
    """An adopted file that is touched is read, uploaded once, as its bytes were not known, and then known."""
    fill(world, ["a"])
    adopt(world)
    assert world.index.files()["a"].crc64nvme is None
    os.utime(world.root / "a", (1, 1))
    assert world.sync().uploaded == 1
    assert world.index.files()["a"].crc64nvme == crc64nvme(b"body of a")
    world.handle()
    world.check()


@pytest.mark.parametrize(("fudge", "adopted"), [(0.0, 0), (30.0, 0), (61.0, 1)])
def test_an_older_object_is_taken_within_the_fudge(world: World, fudge: float, adopted: int) -> None:
    """An object that is older than its file is uploaded, and its cached copies end, unless the fudge covers it."""
    fill(world, ["a"], older_by=120)
    world.visit_everything()
    assert adopt(world, fudge).adopted == adopted
    assert world.jobs("invalidate") == ["a"] * (1 - adopted)


def test_another_size_is_uploaded_and_invalidated(world: World) -> None:
    """An object of another size than its file is replaced."""
    fill(world)
    world.write("docs/b", b"longer than what the bucket has")
    world.visit_everything()
    assert adopt(world).uploaded == 1
    world.handle()
    assert world.objects.current["docs/b"].body == b"longer than what the bucket has"
    assert "docs/b" not in world.cached


def test_nothing_is_deleted(world: World) -> None:
    """Objects without a file stay; an audit names them, and its repair deletes them."""
    fill(world)
    world.objects.current["old-page"] = StoredObject(b"x", {}, world.clock.now())
    adopt(world)
    world.handle()
    assert "old-page" in world.objects.current
    assert "1 objects have no file" in world.out.getvalue()
    world.clock.time += DAY
    with world.agent() as site:
        assert site.repair(deep=False).deleted == 1
    world.handle()
    assert "old-page" not in world.objects.current


def test_a_site_in_use_is_not_adopted(world: World) -> None:
    """Where an index is in use, adopt refuses and says what to do."""
    world.write("a")
    world.settle()
    with pytest.raises(UsageError) as refused:
        adopt(world)
    assert "audit" in refused.value.remedy


def test_an_adoption_goes_on_after_a_death_at_every_request(world: World) -> None:
    """Wherever an adoption ends, the next one goes on, and uploads no adopted object again."""
    fill(world)
    world.write("new", b"new")
    for at in itertools.count():
        world.faults.revive()
        world.faults.die_at, world.faults.die_after_effect = at, True
        try:
            adopt(world)
        except UsageError:
            break  # the one before was complete, only that nobody heard of it
        except Crash:
            world.clock.time += world.config.lease
        else:
            break
        assert {key: found.headers for key, found in world.objects.current.items() if key in NAMES} == {
            name: {"content-type": "binary/octet-stream"} for name in NAMES
        }
    world.faults.revive()
    world.handle()
    world.sync()
    world.handle()
    assert sorted(world.index.files()) == sorted(world.tree())
    assert {key: world.objects.current[key].body for key in world.tree()} == world.tree()
    with world.agent() as site:
        site.repair(deep=False)
    world.handle()
    assert world.sync().run is None


def test_a_look_at_an_adoption_changes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run tells what would be adopted and what uploaded, and makes no write."""
    fill(world)
    world.write("new", b"new")
    with world.agent() as site:
        world.faults.revive()
        site.look_at_adoption(0.0, as_json=False)
    assert set(world.faults.log) <= {"read_head", "leaves", "list"}
    out = capsys.readouterr().out
    assert "adopt   docs/b (in the bucket already" in out
    assert "1 to publish" in out
    assert "4 to adopt" in out
