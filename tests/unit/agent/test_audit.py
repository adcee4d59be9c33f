"""The audit: what differs between tree, index and bucket is told, and mended."""

import os
import random
import shutil
from dataclasses import replace
from typing import Any

import pytest

from siteferry.cache import Cache
from siteferry.config import Brake
from siteferry.derived import DUPLICATE_DIFFERS, DUPLICATE_MISSING, DUPLICATE_STRAY, PAGE_LEFT, PAGE_MISSING, PAGE_STRAY
from siteferry.disagree import BYTES, GENERATED, MISSING, SIZE, STRAY
from siteferry.report import Finding, JsonReporter
from siteferry.state import StateDirectory
from siteferry.sync import Site
from siteferry_contract.copy_rules import CopyRule
from tests.unit.agent.fakes import DAY, StoredObject, World, descriptor

READS = {"read_head", "leaves", "list", "head"}


@pytest.fixture
def site(world: World) -> World:
    """A published site with pages and duplicates, all jobs done, some time ago."""
    for path in ("docs/a.html", "docs/b", "pictures/c.png", "own/index.html", "d"):
        world.write(path, path.encode())
    world.settle()
    world.clock.time += DAY
    repair(world)
    world.clock.time += DAY
    return world


def audit(world: World, *, deep: bool = False) -> set[tuple[str, str, str]]:
    """Make an audit that changes nothing; gives (kind, key, why)."""
    reporter = JsonReporter()
    state = StateDirectory(world.config.state_dir)
    with world.agent() as agent:
        parts = agent.parts
        own_cache = state.path / "look.sqlite"
        looking = Site(parts.config, parts.descriptor, parts.services, state, reporter, cache=own_cache)
    world.faults.revive()
    totals = looking.audit(deep=deep)
    looking.close()
    found = {(one["kind"], one["key"], one["why"]) for one in reporter.findings()}
    assert totals.differences == len(found)
    assert set(world.faults.log) <= READS
    return found


def repair(world: World, *, deep: bool = False) -> Any:
    """Make an audit that mends, and do all jobs that it sent."""
    with world.agent() as agent:
        summary = agent.repair(deep=deep)
    world.handle()
    return summary


def damage(world: World, key: str, body: bytes | None, *, generated: bool = False) -> None:
    """Put something in the bucket behind the agent's back, or take it away."""
    if body is None:
        del world.objects.current[key]
    else:
        world.objects.current[key] = StoredObject(body, {}, world.clock.now(), generated=generated)


def test_a_site_in_order_has_no_differences(site: World) -> None:
    """Where nothing differs, nothing is found, and a repair makes no run."""
    assert audit(site) == audit(site, deep=True) == set()
    assert repair(site).run is None
    assert audit(site) == set()


@pytest.mark.parametrize(
    ("key", "body", "generated", "finding"),
    [
        ("d", None, False, ("file", "d", MISSING)),
        ("d", b"longer", False, ("file", "d", SIZE)),
        ("d", b"D", False, ("file", "d", BYTES)),
        ("own/index.html", b"own/index.html", True, ("file", "own/index.html", GENERATED)),
        ("pictures/stray", b"x", False, ("stray", "pictures/stray", STRAY)),
        ("nowhere/at/all", b"x", False, ("stray", "nowhere/at/all", STRAY)),
        ("nowhere/index.html", b"page", True, ("stray", "nowhere/index.html", PAGE_STRAY)),
        ("mirror/docs/b", None, False, ("duplicate", "mirror/docs/b", DUPLICATE_MISSING)),
        ("mirror/docs/b", b"longer than it was", False, ("duplicate", "mirror/docs/b", DUPLICATE_DIFFERS)),
        ("mirror/docs/index.html", None, True, ("duplicate", "mirror/docs/index.html", DUPLICATE_MISSING)),
        ("mirror/docs/z", b"x", False, ("duplicate", "mirror/docs/z", DUPLICATE_STRAY)),
        ("pictures/index.html", None, True, ("page", "pictures/index.html", PAGE_MISSING)),
        ("index.html", None, True, ("page", "index.html", PAGE_MISSING)),
    ],
)
def test_a_difference_is_told_and_mended(
    site: World, key: str, body: bytes | None, generated: bool, finding: tuple[str, str, str]
) -> None:
    """Each kind of damage is found by name, an audit leaves it, and a repair ends it."""
    site.visit_everything()
    damage(site, key, body, generated=generated)
    assert audit(site) == {finding}
    assert audit(site) == {finding}
    summary = repair(site)
    assert (summary.differences, summary.closed) == (1, True)
    assert audit(site, deep=True) == set()
    site.check()


def test_a_duplicate_of_the_same_size_is_found_by_a_deep_audit(site: World) -> None:
    """Other bytes of the same length in a duplicate are seen when checksums are looked at."""
    damage(site, "mirror/docs/b", b"DOCS/B")
    assert audit(site) == set()
    assert audit(site, deep=True) == {("duplicate", "mirror/docs/b", DUPLICATE_DIFFERS)}
    repair(site, deep=True)
    site.check()


def test_pages_that_no_longer_belong_are_found(site: World) -> None:
    """A site whose pages were switched off, and a directory that went, keep no page."""
    page = site.objects.current["pictures/index.html"]
    shutil.rmtree(site.root / "pictures")
    site.settle()
    damage(site, "pictures/index.html", page.body, generated=True)
    assert audit(site) == {("page", "pictures/index.html", PAGE_LEFT)}
    site.descriptor = replace(site.descriptor, directory_pages=False)
    assert {key for kind, key, why in audit(site) if (kind, why) == ("page", PAGE_LEFT)} == {
        "index.html", "docs/index.html", "pictures/index.html"
    }  # fmt: skip
    repair(site)
    assert audit(site) == set()
    assert not [key for key, found in site.objects.current.items() if found.generated]


def test_what_was_audited_is_not_looked_at_again(site: World) -> None:
    """After an audit, only what was modified since is looked at one by one, and pages; --deep looks at all."""

    def heads(*, deep: bool) -> int:
        audit(site, deep=deep)
        return site.faults.log.count("head")

    pages = sum(found.generated for key, found in site.objects.current.items() if not key.startswith("mirror/"))
    files = len(site.tree())
    duplicates = sum(key.startswith("docs/") for key in site.tree())
    assert heads(deep=False) == pages
    assert heads(deep=True) == pages + files + duplicates
    site.write("new")
    site.settle()
    assert heads(deep=False) == pages + 1


def test_a_first_audit_compares_sizes(world: World) -> None:
    """Without an audit before it, only a deep one looks at checksums."""
    world.write("a")
    world.settle()
    damage(world, "a", b"y")
    assert audit(world) == set()
    assert audit(world, deep=True) == {("file", "a", BYTES)}


def test_strays_pass_the_brake(site: World) -> None:
    """More strays than may be deleted without a person's word are held."""
    site.config = replace(site.config, brake=Brake(files=2, percent=10))
    for n in range(3):
        damage(site, f"stray{n}", b"x")
    summary = repair(site)
    assert (summary.held, summary.deleted) == (3, 0)
    assert "stray0" in site.objects.current
    StateDirectory(site.config.state_dir).approve(3, of_audit=True)
    site.write("meanwhile")
    site.settle()
    (site.root / "meanwhile").unlink()
    site.settle()
    assert repair(site).deleted == 3
    assert audit(site) == set()


def test_an_unfinished_run_is_recovered_by_a_repair(site: World) -> None:
    """A repair that finds an open run recovers it as well."""
    site.write("e")
    die_at = 0
    while site.index.head is None or site.index.head.open is None:
        assert site.sync_and_die(die_at, after_effect=True)
        die_at += 1
    damage(site, "d", None)
    site.clock.time += site.config.lease
    summary = repair(site)
    assert summary.recovered
    site.settle()
    site.check()


def test_what_is_in_order_at_a_second_look_is_not_told(site: World) -> None:
    """What a running daemon mends between the listing and the end is no difference."""
    whole = site.objects.current["d"]
    damage(site, "d", None)
    listed = False

    def before(request: str) -> None:
        nonlocal listed
        if request == "list":
            listed = True
        elif listed and request == "read_head":
            site.objects.current["d"] = whole

    site.faults.before = before
    assert audit(site) == set()
    assert listed


def test_keys_that_no_file_can_have_are_left_alone(site: World) -> None:
    """What cannot be a file's key is counted, and stays."""
    damage(site, "a//b", b"x")
    assert audit(site) == set()
    repair(site)
    assert "a//b" in site.objects.current


def test_deletes_switched_off_leave_strays(site: World) -> None:
    """Where nothing may be deleted, a stray is told and stays."""
    site.config = replace(site.config, delete=False)
    damage(site, "stray", b"x")
    assert repair(site).differences == 1
    assert "stray" in site.objects.current


def test_a_duplicate_of_a_duplicate_is_deleted(world: World) -> None:
    """Where everything is duplicated, what lies among the duplicates and can be none of any file's goes."""
    world.descriptor = descriptor(copy_rules=(CopyRule("", "mirror/"),))
    world.write("a")
    world.settle()
    damage(world, "mirror/mirror/a", b"x")
    assert audit(world) == {("stray", "mirror/mirror/a", DUPLICATE_STRAY)}
    repair(world)
    assert audit(world) == set()
    world.check()


@pytest.mark.parametrize("seed", range(30))
def test_any_damage_is_mended(world: World, seed: int) -> None:
    """Whatever happens to objects, duplicates and pages, one repair brings all back."""
    chance = random.Random(seed)
    names = [f"{directory}{name}" for directory in ("", "docs/", "docs/deep/", "x/") for name in "abc"]
    for path in chance.sample(names, 9):
        world.write(path, chance.randbytes(3))
    if chance.random() < 0.5:
        world.write("x/index.html", b"own")
    world.settle()
    world.clock.time += DAY
    world.visit_everything()
    for _ in range(chance.randint(1, 8)):
        keys = sorted({*names, *world.objects.current, "new/stray", "mirror/docs/deep/q", "x/index.html"})
        key = chance.choice(keys)
        if chance.random() < 0.4:
            world.objects.current.pop(key, None)
        else:
            damage(world, key, chance.randbytes(3), generated=key.endswith("index.html") and chance.random() < 0.7)
    if chance.random() < 0.3:
        (world.root / chance.choice([os.path.relpath(key) for key in world.tree()])).unlink()
    repair(world, deep=True)
    world.settle()
    assert audit(world, deep=True) == set()
    world.cached.clear()
    world.check()


def test_findings_name_hostile_keys_harmlessly(site: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A stray's name is text on a terminal."""
    from siteferry.report import PlainReporter  # noqa: PLC0415

    PlainReporter().differs(Finding("stray", "\x1b[2Jx\n", STRAY))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("\n") == 1


def test_the_audits_memory_is_on_disk(site: World) -> None:
    """The cache of an audit beside a daemon is its own: the daemon's stays as it was."""
    state = StateDirectory(site.config.state_dir)
    before = Cache(state.cache, read_only=True)
    version = before.version()
    before.close()
    audit(site)
    after = Cache(state.cache, read_only=True)
    assert after.version() == version
    after.close()


@pytest.mark.parametrize("glob", ["e", "away", "away/*"])
def test_a_run_ends_though_its_file_is_excluded_by_now(site: World, glob: str) -> None:
    """What an unfinished run put and the operator then excluded is deleted, and the run is closed."""
    site.write("away/e")
    die_at = 0
    while "away/e" not in site.objects.current:
        assert site.sync_and_die(die_at, after_effect=True)
        site.clock.time += site.config.lease
        die_at += 1
    site.config = replace(site.config, exclude=(glob,))
    site.settle()
    assert "away/e" not in site.objects.current
    assert site.index.head is not None
    assert site.index.head.open is None


def test_what_could_not_be_mended_is_looked_at_again(site: World) -> None:
    """An audit that leaves a difference, of a file that is being written, does not count as one that looked at all."""
    damage(site, "d", b"D")
    site.clock.time -= 3 * DAY  # by this clock the file was written just now
    before = StateDirectory(site.config.state_dir).audited_at()
    assert repair(site).left == 1
    assert StateDirectory(site.config.state_dir).audited_at() == before
    site.clock.time += 4 * DAY
    assert repair(site).left == 0
    site.check()
