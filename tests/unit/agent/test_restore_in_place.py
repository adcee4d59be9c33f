"""A restore into the tree that users work in: what nobody else has is not touched."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.errors import RootError, UsageError
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document
from siteferry.restore.restore import Asked, Restorer, Source
from siteferry.restore.rules import COVERED, UNPUBLISHED
from siteferry.restore.scope import Scope
from siteferry.restore.target import Target
from siteferry.tree import FileState, OpenFile
from tests.unit.agent.archive import MemoryArchive, restore
from tests.unit.agent.fakes import StoredObject, World
from tests.unit.agent.test_restore import published, tree_of, write

__all__ = ["published"]

SOURCES = [Source(), Source(from_bucket=True)]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("delete", [True, False])
def test_what_users_changed_since_the_last_sync_stays(published: World, source: Source, *, delete: bool) -> None:
    """A new file and a newer version are nowhere else: they stay and are told, and what is missing comes back."""
    root = published.root
    write(root, b"fresh.html", b"uploaded a moment ago")
    write(root, b"img/a.png", b"newer than what is published")
    (root / "docs/guide.html").unlink()
    found = restore(published, root, Asked(source, Scope(), delete=delete))
    extra = {b"fresh.html": UNPUBLISHED} if delete else {}
    assert found.left == {b"img/a.png": UNPUBLISHED} | extra
    assert set(found.steps) == {b"docs/guide.html"}
    tree = tree_of(root)
    assert tree[b"docs/guide.html"] == (b"body 1", 10**18 + 1)
    assert [entry and entry[0] for entry in (tree[b"fresh.html"], tree[b"img/a.png"])] == [
        b"uploaded a moment ago", b"newer than what is published",
    ]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_it_is_replaced_and_removed_by_a_persons_word(published: World, source: Source) -> None:
    """--overwrite makes the tree as the site is."""
    root = published.root
    before = tree_of(root)
    write(root, b"fresh.html", b"uploaded a moment ago")
    write(root, b"img/a.png", b"newer than what is published")
    found = restore(published, root, Asked(source, Scope(), delete=True, overwrite=True))
    assert (found.left, tree_of(root)) == ({}, before)


def test_what_is_published_as_it_is_may_be_replaced(published: World) -> None:
    """A tree goes back to an earlier state, since the bucket has what is replaced; what is new since then stays."""
    then = published.clock.time
    published.clock.time += 60
    write(published.root, b"index.html", b"second")
    write(published.root, b"new.html", b"second")
    published.settle()
    restore(published, published.root, Asked(Source(as_of=then), Scope()))
    assert (published.root / "index.html").read_bytes() == b"body 0"
    assert (published.root / "new.html").read_bytes() == b"second"


def test_bytes_that_rotted_are_put_right(published: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that looks as published by all but its checksum is the disk's doing and nobody's edit."""
    path = published.root / "index.html"
    path.write_bytes(b"BODY 0")
    # Nothing in a test can keep a ctime as a disk does.
    monkeypatch.setattr("siteferry.restore.from_index.why_changed", lambda *_: None)
    found = restore(published, published.root, Asked(Source(), Scope()))
    assert (found.left, found.gets) == ({}, ["index.html"])
    assert path.read_bytes() == b"body 0"


def test_symlinks_that_are_published_stay(published: World) -> None:
    """With `symlinks = "inside"` a symlink is the file that it leads to: nothing is in the way of anything."""
    published.config = replace(published.config, symlinks="inside")
    os.symlink("docs/guide.html", published.root / "link.html")
    published.settle()
    assert published.objects.current["link.html"].body == b"body 1"
    found = restore(published, published.root, Asked(Source(), Scope(), delete=True))
    assert (found.left, found.steps) == ({}, {})
    assert (published.root / "link.html").is_symlink()


@pytest.mark.parametrize("where", ["root/below", "."])
def test_a_destination_within_the_tree_or_around_it_is_refused(published: World, where: str) -> None:
    """What is restored in the tree would be published, and beside it the tree would look like something extra."""
    before = tree_of(published.root)
    with pytest.raises(UsageError, match="published tree"):
        restore(published, published.base / where, Asked(Source(), Scope(), delete=True))
    assert tree_of(published.root) == before


# ---- anywhere


def test_what_siteferry_refuses_to_publish_stays(world: World, dest: Path) -> None:
    """Too large, where duplicates lie, or of a name that another has: it is no file that the site could have."""
    world.descriptor = replace(world.descriptor, encoding="auto")
    world.config = replace(world.config, max_file_size=0.001)
    write(world.root, b"caf\xe9.txt", b"the winner")
    world.settle()
    restore(world, dest, Asked(Source(), Scope()))
    kept = (b"mirror/docs/mine.html", b"big.bin", b"caf\xc3\xa9.txt")
    for path in kept:
        write(dest, path, b"z" * (2_000_000 if path == b"big.bin" else 2))
    found = restore(world, dest, Asked(Source(), Scope(), delete=True))
    assert (found.totals.deletes, found.totals.kept) == (0, 3)
    assert set(kept) < set(tree_of(dest))


def test_a_file_whose_key_a_page_has_for_a_moment_stays(published: World, dest: Path) -> None:
    """From the bucket alone nobody can tell whether the user has an index.html of their own."""
    restore(published, dest, Asked(Source(), Scope()))
    published.objects.current["index.html"] = StoredObject(b"page", {}, published.clock.now(), generated=True)
    found = restore(published, dest, Asked(Source(from_bucket=True), Scope(), delete=True))
    assert (found.left, found.steps) == ({b"index.html": COVERED}, {})


def test_a_name_that_goes_while_it_is_looked_at_takes_no_other_along(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else in its directory is compared, and what is beneath it."""
    for n in range(8):
        write(published.root, b"f%d.html" % n, b"same %d" % n)
    published.settle()
    restore(published, dest, Asked(Source(), Scope()))
    for n in range(8):
        write(dest, b"f%d.html" % n, b"SAME %d" % n)
    (dest / "docs/guide.html").unlink()
    opened = []

    class Open(OpenFile):
        def __init__(self, parent: int, name: bytes, state: FileState) -> None:
            opened.append(name)
            if len(opened) == 1:
                last = next(f"f{n}.html" for n in range(8) if b"f%d.html" % n != name)
                (dest / last).unlink()
            super().__init__(parent, name, state)

    monkeypatch.setattr("siteferry.restore.rules.OpenFile", Open)
    found = restore(published, dest, Asked(Source(), Scope()))
    assert len(found.left) <= 1
    monkeypatch.undo()
    again = restore(published, dest, Asked(Source(), Scope()))
    assert tree_of(dest) == tree_of(published.root)
    assert len(again.steps) <= 1


@pytest.mark.parametrize("was_there", [True, False])
def test_a_destination_that_is_swapped_after_the_plan_is_not_followed(
    published: World, tmp_path: Path, *, was_there: bool
) -> None:
    """What a user puts in its place meanwhile, to have root write elsewhere, gets nothing."""
    dest, outside = tmp_path / "then", tmp_path / "outside"
    outside.mkdir()
    if was_there:
        dest.mkdir()
    archive = MemoryArchive(published.objects, published.faults)
    with published.agent() as site, Target(dest) as target, RestorePlan() as plan:
        restorer = Restorer(site.parts, archive)
        restorer.plan(Asked(Source(), Scope()), target, plan)
        if was_there:
            dest.rename(tmp_path / "moved")
        os.symlink(outside, dest)
        if was_there:
            restorer.carry_out(plan, target, Document())
            assert tree_of(tmp_path / "moved") == tree_of(published.root)
        else:
            with pytest.raises(RootError, match="put there meanwhile"):
                restorer.carry_out(plan, target, Document())
    assert tree_of(outside) == {}
