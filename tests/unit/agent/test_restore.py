"""Restore: what comes back is what was published, and nothing else is touched."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.config import Brake, Config
from siteferry.diff import Excludes
from siteferry.errors import IndexDamagedError, SiteferryError, UnavailableError, UsageError
from siteferry.restore.entry import UNFINISHED
from siteferry.restore.restore import Asked, Source
from siteferry.restore.scope import Scope
from siteferry_contract.copy_rules import CopyRule
from tests.unit.agent.archive import restore
from tests.unit.agent.fakes import Crash, StoredObject, World, descriptor

HOSTILE = (
    b"plain.html", b"caf\xe9.txt", b"caf\xc3\xa9.txt", b"\xff\xfe", b"new\nline", b" ", b"-rf", b"\x1b[2J", b"a%2Fb",
    b"'quote\"", b"x" * 200, b"index.html", b"404.html", b"sub/index.html", b"sub/caf\xe9/deep.css", b"sub/..a", b"~",
    b"docs/guide.html", b"sub/caf\xe9/caf\xc3\xa9", b"tab\there", b"\\", b"a+b c.html",
)  # fmt: skip
SOURCES = [Source(), Source(from_bucket=True)]


def tree_of(root: Path) -> dict[bytes, tuple[bytes, int] | None]:
    """Give all that is beneath a directory: bytes and mtime_ns of each file, None for a directory."""
    top, found = os.fsencode(root), dict[bytes, tuple[bytes, int] | None]()
    for at, directories, names in os.walk(top):
        for name in directories:
            found[os.path.relpath(os.path.join(at, name), top)] = None
        for name in names:
            path = os.path.join(at, name)
            status = os.lstat(path)
            found[os.path.relpath(path, top)] = (Path(os.fsdecode(path)).read_bytes(), status.st_mtime_ns)
    return found


def write(root: Path, path: bytes, body: bytes, mtime_ns: int = 1_234_567_890_123_456_789) -> None:
    """Write a file of a raw name."""
    target = os.path.join(os.fsencode(root), path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    Path(os.fsdecode(target)).write_bytes(body)
    os.utime(target, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def published(world: World) -> World:
    """A site with two directories and an empty one."""
    for n, path in enumerate((b"index.html", b"docs/guide.html", b"docs/deep/er.css", b"img/a.png")):
        write(world.root, path, b"body %d" % n, 10**18 + n)
    (world.root / "img/none").mkdir()
    world.settle()
    return world


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "auto"])
@pytest.mark.parametrize("prefix", ["", "some/site/"])
def test_what_was_published_comes_back_byte_for_byte(
    tmp_path: Path, dest: Path, encoding: str, prefix: str, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, bytes, mtimes and directories are what they were; and the next sync, on a new host, uploads nothing."""
    monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: False)
    site = descriptor(encoding=encoding, prefix=prefix, copy_rules=(CopyRule("docs/", "mirror/docs/"),))
    world = World(tmp_path / "old", site)
    names = [name for name in HOSTILE if encoding != "utf-8" or _is_utf8(name)]
    if encoding == "auto":
        names.remove(b"caf\xc3\xa9.txt")  # its key is the latin-1 name's
    for n, name in enumerate(names):
        write(world.root, name, name * n, n * 10**15 - 7)
    (world.root / "empty/er").mkdir(parents=True)
    world.settle()
    before = tree_of(world.root)
    lose_the_host(world, dest)
    found = restore(world, dest, Asked(source, Scope()))
    assert (found.failures, found.left) == ({}, {})
    assert tree_of(dest) == before
    world.faults.log.clear()
    world.settle()
    assert not {"put", "put_chunks"} & set(world.faults.log)
    world.check()


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def lose_the_host(world: World, root: Path) -> None:
    """Have the site's agent on a new host with nothing but its configuration."""
    world.root = root
    world.config = replace(world.config, root=root, state_dir=root.parent / "new-state")


@pytest.mark.parametrize("source", SOURCES)
def test_duplicates_and_pages_are_left_out(published: World, dest: Path, source: Source) -> None:
    """What siteferry makes itself is not restored, and not even read."""
    assert "mirror/docs/guide.html" in published.objects.current
    assert published.objects.current["img/index.html"].generated
    found = restore(published, dest, Asked(source, Scope()))
    assert tree_of(dest) == tree_of(published.root)
    assert sorted(found.gets) == ["docs/deep/er.css", "docs/guide.html", "img/a.png", "index.html"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("top", "paths"), [
    (b"docs", {b"docs", b"docs/guide.html", b"docs/deep", b"docs/deep/er.css"}),
    (b"docs/guide.html", {b"docs", b"docs/guide.html"}),
])  # fmt: skip
def test_a_part_of_the_site_comes_back_in_its_place(
    published: World, dest: Path, source: Source, top: bytes, paths: set[bytes]
) -> None:
    """A path that is named is restored where it is in the tree, and with --delete nothing beside it is touched."""
    write(dest, b"img/mine.png", b"stays")
    write(dest, b"docs-not.html", b"stays")
    restore(published, dest, Asked(source, Scope(top), delete=True))
    assert set(tree_of(dest)) == paths | {b"img", b"img/mine.png", b"docs-not.html"}


def test_a_path_that_the_site_has_not_is_an_error(published: World, dest: Path) -> None:
    """A name that was misspelt does not pass for done."""
    with pytest.raises(UsageError, match="nothing at --path dcos"):
        restore(published, dest, Asked(Source(), Scope(b"dcos")))


# ---- updates


def disturb(root: Path) -> None:
    """Change a restored tree in every way."""
    write(root, b"index.html", b"longer than it was")
    write(root, b"docs/guide.html", b"BODY 1", 10**18 + 1)  # only its bytes differ
    os.utime(root / "docs/deep/er.css")
    (root / "img/a.png").unlink()
    write(root, b"extra/one.txt", b"extra")


@pytest.mark.parametrize(("source", "compare", "gets"), [
    (Source(), "checksum", ["docs/guide.html", "img/a.png", "index.html"]),
    (Source(from_bucket=True), "checksum", ["docs/guide.html", "img/a.png", "index.html"]),
    (Source(), "size", ["img/a.png", "index.html"]),
    (Source(from_bucket=True), "size", ["img/a.png", "index.html"]),
    (Source(), "mtime", ["docs/deep/er.css", "img/a.png", "index.html"]),
])  # fmt: skip
def test_only_what_differs_is_downloaded(
    published: World, dest: Path, source: Source, compare: str, gets: list[str]
) -> None:
    """By checksum nothing escapes; by size and by mtime what looks the same is taken for the same."""
    restore(published, dest, Asked(source, Scope()))
    disturb(dest)
    asked = Asked(source, Scope(), compare)  # type: ignore[arg-type]
    assert sorted(restore(published, dest, asked).gets) == gets
    assert (dest / "extra/one.txt").exists()
    if compare == "checksum":
        (dest / "extra/one.txt").unlink()
        (dest / "extra").rmdir()
        if source.from_bucket:  # a listing tells no mtimes, and who has the right bytes is not looked at closer
            os.utime(dest / "docs/deep/er.css", ns=(10**18 + 2, 10**18 + 2))
        assert tree_of(dest) == tree_of(published.root)
        assert restore(published, dest, asked).totals.empty


def test_mtimes_are_compared_only_where_they_are_known(published: World, dest: Path) -> None:
    """Without the index nothing has them: to go by size instead would be something else than asked for."""
    with pytest.raises(UsageError, match="only the index has mtimes"):
        restore(published, dest, Asked(Source(from_bucket=True), Scope(), "mtime"))


def test_a_file_that_is_replaced_keeps_its_mode(published: World, dest: Path) -> None:
    """Who may read and write a file is the host's affair; a new file is as its directory says."""
    dest.mkdir(mode=0o750)
    write(dest, b"index.html", b"other")
    os.chmod(dest / "index.html", 0o640)
    restore(published, dest, Asked(Source(), Scope()))
    assert [oct((dest / name).stat().st_mode & 0o777) for name in ("index.html", "docs", "docs/guide.html")] == [
        "0o640", "0o750", "0o640",
    ]  # fmt: skip


# ---- deletes


def test_extras_go_only_when_asked_for(published: World, dest: Path) -> None:
    """With --delete what the site does not have is removed, with its directories; what is never published stays."""
    restore(published, dest, Asked(Source(), Scope()))
    before = tree_of(dest)
    for extra in (b"extra/deep/one.txt", b"docs/two.txt"):
        write(dest, extra, b"extra")
    kept = (b"docs/.htaccess", b"kept/.ftpquota")
    for path in kept:
        write(dest, path, b"not published")
    os.symlink("/etc", dest / "link")
    asked = Asked(Source(), Scope(), delete=True)
    found = restore(published, dest, asked)
    assert found.summary.deleted == 2
    assert set(tree_of(dest)) - set(before) == {*kept, b"kept", b"link"}


@pytest.mark.parametrize(("approved", "held"), [(None, 30), (29, 30), (30, 0)])
def test_many_deletes_wait_for_a_person(published: World, dest: Path, approved: int | None, held: int) -> None:
    """The brake is that of the site's own deletes, and a person's word is good for a number."""
    published.config = replace(published.config, brake=Brake())
    for n in range(30):
        write(dest, b"extra/%d" % n, b"extra")
    found = restore(published, dest, Asked(Source(), Scope(), delete=True, approved=approved))
    assert (found.totals.held, found.summary.deleted) == (held, 30 - held)
    assert found.summary.restored == 4
    assert len([path for path in tree_of(dest) if path.startswith(b"extra/")]) == held


def test_a_site_without_a_file_deletes_nothing(published: World, dest: Path) -> None:
    """An empty index is rather a mistake than a wish."""
    write(dest, b"one", b"1")
    for name in ("index.html", "docs/guide.html", "docs/deep/er.css", "img/a.png"):
        (published.root / name).unlink()
    published.settle()
    found = restore(published, dest, Asked(Source(), Scope(), delete=True))
    assert (found.totals.held, found.summary.deleted) == (1, 0)
    assert (dest / "one").exists()


def no_index(world: World) -> None:
    """The table is empty."""
    world.index._head = None
    world.index._items.clear()


def no_listing(world: World) -> None:
    """The listing breaks off after some objects."""
    world.faults.answer("archive listed", UnavailableError("cut off"))


def no_versions(world: World) -> None:
    """That of the versions does."""
    world.faults.answer("archive versions", UnavailableError("cut off"))


def no_table(world: World) -> None:
    """The table cannot be read."""
    world.faults.answer("leaves", UnavailableError("no table"))


def no_bucket(world: World) -> None:
    """The bucket is not there."""
    world.faults.answer("archive list", UnavailableError("NoSuchBucket"))


@pytest.mark.parametrize(("source", "trouble"), [
    (Source(), no_index), (Source(), no_table), (Source(from_bucket=True), no_bucket),
    (Source(from_bucket=True), no_listing), (Source(as_of=0), no_versions),
])  # fmt: skip
def test_what_cannot_be_read_deletes_nothing(
    published: World, dest: Path, source: Source, trouble: Callable[[World], None]
) -> None:
    """An error ends the restore before its first effect; the old tool took a listing that failed for an empty site."""
    write(dest, b"mine", b"1")
    write(dest, b"docs/guide.html", b"other")
    before = tree_of(dest)
    lose_the_host(published, published.root)
    trouble(published)
    source = replace(source, as_of=published.clock.now()) if source.as_of is not None else source
    with pytest.raises(SiteferryError):
        restore(published, dest, Asked(source, Scope(), delete=True))
    assert tree_of(dest) == before


def test_without_an_index_the_error_says_what_to_do(published: World, dest: Path) -> None:
    """It names the two ways on."""
    no_index(published)
    with pytest.raises(IndexDamagedError) as caught:
        restore(published, dest, Asked(Source(), Scope()))
    assert "--from-bucket" in caught.value.remedy
    assert "--rebuild" in caught.value.remedy


def test_an_object_that_goes_meanwhile_does_not_take_its_file_along(published: World, dest: Path) -> None:
    """What cannot be looked at is no extra file: the restore ends before its first effect."""
    restore(published, dest, Asked(Source(), Scope()))
    before = tree_of(dest)

    def meanwhile(request: str) -> None:
        if request == "archive head":
            published.objects.current.pop("index.html")

    published.faults.before = meanwhile
    with pytest.raises(UnavailableError, match="went while it was looked for"):
        restore(published, dest, Asked(Source(from_bucket=True), Scope(), delete=True))
    assert tree_of(dest) == before


# ---- hostile trees and keys


def test_nothing_is_written_through_a_symlink(published: World, dest: Path, tmp_path: Path) -> None:
    """A symlink in the place of a directory or file is reported; where it leads to is neither read nor changed."""
    outside = tmp_path / "outside"
    write(outside, b"guide.html", b"secret")
    dest.mkdir()
    os.symlink(outside, dest / "docs")
    os.symlink(outside / "guide.html", dest / "index.html")
    before = tree_of(outside)
    found = restore(published, dest, Asked(Source(), Scope()))
    assert tree_of(outside) == before
    assert found.left == {
        b"docs": "a symlink is in the place of a directory",
        b"index.html": "a symlink is in the place of a file",
    }
    assert (dest / "img/a.png").read_bytes() == b"body 3"
    restore(published, dest, Asked(Source(), Scope(), delete=True))
    assert tree_of(outside) == before
    assert tree_of(dest) == tree_of(published.root)


def test_what_is_in_the_way_goes_only_with_leave_to_delete(published: World, dest: Path) -> None:
    """A file in the place of a directory and the reverse."""
    write(dest, b"docs", b"a file")
    write(dest, b"index.html/inner/deep", b"beneath a directory")
    found = restore(published, dest, Asked(Source(), Scope()))
    assert set(found.left) == {b"docs", b"index.html"}
    restore(published, dest, Asked(Source(), Scope(), delete=True))
    assert tree_of(dest) == tree_of(published.root)


@pytest.mark.parametrize("key", [
    "../out", "docs/../../out", "/out", "a//b", "a/./b", ".", "..", "docs/..", "a\0b", "x" * 300,
    "docs/guide.html/below",
])  # fmt: skip
def test_keys_that_no_file_has_lead_nowhere(published: World, dest: Path, tmp_path: Path, key: str) -> None:
    """Whatever keys a bucket holds, nothing appears outside, all else comes back, and they are told."""
    before = {path for path in tree_of(tmp_path) if not path.startswith(b"restored")}
    published.objects.current[key] = StoredObject(b"evil", {}, published.clock.now())
    found = restore(published, dest, Asked(Source(from_bucket=True), Scope()))
    new = {path for path in tree_of(tmp_path) if not path.startswith(b"restored")} - before
    assert {path for path in new if not path.startswith(b"state")} == set()
    missing = {b"docs/guide.html"} if key.startswith("docs/guide.html/") else set()
    there = tree_of(dest)
    assert {path for path, entry in tree_of(published.root).items() if there.get(path) != entry} == missing
    assert len(found.left) + len(found.failures) == 1


def test_folder_markers_of_consoles_are_passed_over(published: World, dest: Path) -> None:
    """An empty object whose key ends in a slash is nobody's file."""
    published.objects.current["docs/"] = StoredObject(b"", {}, published.clock.now())
    found = restore(published, dest, Asked(Source(from_bucket=True), Scope()))
    assert (found.left, found.failures) == ({}, {})


# ---- whole files or none


def test_an_object_that_is_not_the_indexs_is_not_restored(published: World, dest: Path) -> None:
    """Other bytes or another size leave what is there as it is."""
    write(dest, b"index.html", b"mine")
    for key, body in (("index.html", b"BODY 0"), ("docs/guide.html", b"longer than it was")):
        published.objects.current[key] = replace(published.objects.current[key], body=body)
    found = restore(published, dest, Asked(Source(), Scope()))
    assert set(found.failures) == {"index.html", "docs/guide.html"}
    assert (dest / "index.html").read_bytes() == b"mine"
    assert not (dest / "docs/guide.html").exists()
    assert found.summary.restored == 2


def test_a_file_that_changes_after_the_plan_is_left(published: World, dest: Path) -> None:
    """Who writes into the tree meanwhile loses nothing: neither a changed file nor a new one is overwritten."""
    write(dest, b"index.html", b"older")
    busy = iter([(b"index.html", b"newer"), (b"img/a.png", b"mine")])

    def meanwhile(request: str) -> None:
        if request == "archive get" and (edit := next(busy, None)):
            write(dest, *edit)

    published.faults.before = meanwhile
    found = restore(published, dest, Asked(Source(), Scope()))
    assert set(found.failures) == {"index.html", "img/a.png"}
    assert (dest / "index.html").read_bytes() == b"newer"
    assert (dest / "img/a.png").read_bytes() == b"mine"


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_a_restore_that_dies_leaves_only_whole_files_and_is_gone_on_with(
    published: World, dest: Path, source: Source, monkeypatch: pytest.MonkeyPatch, *, unnamed: bool
) -> None:
    """Killed at each of its requests, it never shows a part of a file, and the same command completes it."""
    if not unnamed:
        really = os.open

        def open_named(path: bytes, flags: int, *arguments: int, **named: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not on this file system")
            return really(path, flags, *arguments, **named)

        monkeypatch.setattr("siteferry.restore.new_file.os.open", open_named)
    whole = tree_of(published.root)
    wanted = {entry[0] for entry in whole.values() if entry}
    step = 0
    asked = Asked(source, Scope())
    while True:
        published.faults.revive()
        published.faults.die_at, published.faults.die_after_effect = step, step % 2 == 1
        try:
            restore(published, dest, asked)
            break
        except Crash:
            step += 1
        finally:
            published.faults.revive()
        there = tree_of(dest) if dest.exists() else {}
        assert {entry[0] for path, entry in there.items() if entry and not UNFINISHED.fullmatch(path)} <= wanted
    assert step > 6
    assert tree_of(dest) == whole


def test_what_a_killed_restore_left_unnamed_is_removed(published: World, dest: Path) -> None:
    """Where a file system makes no files without a name, the next restore clears up, without leave to delete."""
    write(dest, b"docs/.siteferry-0123456789abcdef", b"a part")
    restore(published, dest, Asked(Source(), Scope()))
    assert tree_of(dest) == tree_of(published.root)


def test_many_that_were_left_need_no_persons_word(published: World, dest: Path) -> None:
    """They are nobody's files."""
    published.config = replace(published.config, brake=Brake())
    for n in range(30):
        write(dest, b"docs/.siteferry-%016x" % n, b"a part")
    found = restore(published, dest, Asked(Source(), Scope()))
    assert (found.totals.held, found.summary.deleted) == (0, 30)


def test_the_configuration_keeps_such_names_from_being_published(tmp_path: Path) -> None:
    """A restore into a tree that is published does not publish its own traces."""
    excludes, unfinished = Excludes(Config("www", tmp_path, tmp_path / "state").exclude), b".siteferry-0123456789abcdef"
    assert UNFINISHED.fullmatch(unfinished)
    assert excludes.match(b"docs", unfinished)
