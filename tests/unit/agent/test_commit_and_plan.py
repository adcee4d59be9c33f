"""Edits of leaves, and the plan."""

import json
from pathlib import Path

import pytest

from siteferry.cache import Cache, Version
from siteferry.commit import Edit, Edited, edit_directory, edit_leaf, shows_on_page
from siteferry.compare import apply_brake
from siteferry.config import Brake
from siteferry.plan import Action, Change, Phase, Plan, Problem
from siteferry.plan_report import print_plan
from siteferry.tree import FileState
from siteferry_contract.leaf import Entry, FileEntry, Leaf, SubdirectoryEntry, sorted_entries


def file(name: str, size: int = 1) -> FileEntry:
    """Give a file's entry."""
    return FileEntry(name, size, 2, 3, 4)


def leaf(directory: str, *entries: Entry, bound: str = "", gone: bool = False) -> Leaf:
    """Give a leaf."""
    return Leaf(directory, bound, 1, had_delete=False, gone=gone, entries=sorted_entries(entries))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache.sqlite")


# ---- leaves


def test_delete_is_remembered_for_ever() -> None:
    """A leaf that had a delete says so through every later edit; a dropped subdirectory is no delete."""
    (one,), _ = edit_leaf(leaf("d", file("a"), SubdirectoryEntry("s")), {"s/": Edit(None)}, 2, gone=False)
    assert not one.had_delete
    (two,), edited = edit_leaf(one, {"a": Edit(None)}, 3, gone=False)
    assert two.had_delete
    assert edited == [Edited("a", file("a"), None, had_delete=False)]
    (three,), edited = edit_leaf(two, {"a": Edit(file("a", 9))}, 4, gone=False)
    assert three.had_delete
    assert edited == [Edited("a", None, file("a", 9), had_delete=True)]
    assert (three.run, three.entries) == (4, (file("a", 9),))


def test_split_writes_upper_parts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full leaf splits, uppermost part first; all inherit `had_delete`, and the lowest keeps its bound."""
    monkeypatch.setattr("siteferry_contract.leaf.MAX_ENTRIES", 2)
    old = Leaf("d", "b", 1, had_delete=True, gone=False, entries=(file("b"), file("d")))
    leaves, _ = edit_leaf(old, {name: Edit(file(name)) for name in "cef"}, 2, gone=False)
    assert [(one.bound, [entry.name for entry in one.entries]) for one in leaves] == [
        ("e", ["e", "f"]),
        ("d", ["d"]),
        ("b", ["b", "c"]),
    ]
    assert all(one.had_delete for one in leaves)


def test_stale_upper_half_is_dropped() -> None:
    """What a leaf still has past its end, after a split that was cut short, does not come back by an edit."""
    (one,), _ = edit_leaf(leaf("d", file("a"), file("x")), {"b": Edit(file("b"))}, 2, gone=False, end="m")
    assert [entry.name for entry in one.entries] == ["a", "b"]


def test_only_touched_leaves_are_written(cache: Cache) -> None:
    """An edit writes the leaf in whose range the name lies, and no other; the bound itself is the upper leaf's."""
    cache.put_leaves([leaf("d", file("a")), leaf("d", file("m"), bound="m")])
    for name, bound in (("b", ""), ("m", "m"), ("z", "m")):
        leaves, _ = edit_directory(cache, "d", {name: Edit(file(name))}, 2)
        assert [one.bound for one in leaves] == [bound]


def test_directory_without_a_leaf_gets_one(cache: Cache) -> None:
    """A new directory gets its first leaf, even without an entry."""
    leaves, edited = edit_directory(cache, "d", {}, 2)
    assert leaves == [Leaf("d", "", 2, had_delete=False, gone=False, entries=())]
    assert edited == []


def test_gone_marks_every_leaf(cache: Cache) -> None:
    """A directory that is gone has all its leaves marked; one that comes back, all unmarked."""
    cache.put_leaves([leaf("d", file("a")), leaf("d", file("m"), bound="m")])
    leaves, _ = edit_directory(cache, "d", {"a": Edit(None)}, 2, gone=True)
    assert [(one.bound, one.gone) for one in leaves] == [("", True), ("m", True)]
    cache.put_leaves(leaves)
    leaves, _ = edit_directory(cache, "d", {}, 3)
    assert [(one.bound, one.gone) for one in leaves] == [("", False), ("m", False)]


@pytest.mark.parametrize(
    ("name", "old", "new", "shows"),
    [
        ("a", None, file("a"), True),
        ("a", file("a"), None, True),
        ("a", file("a"), file("a", 2), True),
        ("a", file("a"), FileEntry("a", 1, 2, 99, 98), False),
        (".a", None, file(".a"), False),
        ("s/", None, SubdirectoryEntry("s"), True),
        ("s/", SubdirectoryEntry("s"), SubdirectoryEntry("s"), False),
    ],
)
def test_what_a_page_shows(name: str, old: Entry | None, new: Entry | None, shows: bool) -> None:
    """A page shows names, sizes and mtimes, and no dot files."""
    assert shows_on_page(Edited(name, old, new, had_delete=False)) is shows


# ---- cache


def test_entries_of_an_interrupted_split(cache: Cache) -> None:
    """While a leaf splits, what the upper leaf has decides, and the lower one's rest is stale."""
    cache.put_leaves([leaf("d", file("a"), file("m"), file("x")), leaf("d", file("m", 7), bound="m")])
    assert cache.entries("d") == {"a": file("a"), "m": file("m", 7)}
    assert cache.entry("d", "m") == file("m", 7)
    assert cache.entry("d", "x") is None
    assert cache.entry("d", "a") == file("a")
    assert cache.entry("nowhere", "a") is None


def test_beneath_is_not_beside(cache: Cache) -> None:
    """What is beneath a directory is told from names that merely begin like it."""
    for name in ("", "a", "a-b", "a.", "a/b", "a/b/c", "a0", "a/\U0001f600", "b"):
        cache.put_leaves([leaf(name)])
    cache.put_leaves([leaf("a/gone", gone=True)])
    assert cache.beneath("a") == ["a", "a/b", "a/b/c", "a/\U0001f600"]
    assert cache.beneath("a/b") == ["a/b", "a/b/c"]
    assert len(cache.beneath("")) == 9
    assert cache.beneath("zzz") == []


def test_known_directories(cache: Cache) -> None:
    """A directory is known while it has a leaf that is not gone."""
    cache.put_leaves([leaf("d", gone=True)])
    assert not cache.is_known("d")
    cache.put_leaves([leaf("d", bound="m")])
    assert cache.is_known("d")
    assert not cache.is_known("e")


def test_cache_of_another_schema_starts_anew(tmp_path: Path) -> None:
    """A cache of another schema, or what is no database at all, is made anew."""
    path = tmp_path / "cache.sqlite"
    for spoil in ("schema", "bytes"):
        cache = Cache(path)
        cache.put_leaves([leaf("d", file("a"))])
        cache.set_version(Version("epoch", 3))
        if spoil == "schema":
            cache._db.execute("PRAGMA user_version = 99")
        cache.close()
        if spoil == "bytes":
            path.write_bytes(b"this is no database, but it is long enough to be looked at as one" * 100)
        cache = Cache(path)
        assert (cache.version(), cache.file_count()) == (None, 0)
        cache.close()


def see(cache: Cache, directory: str, digest: bytes, device: int) -> None:
    """Have a directory in the snapshot."""
    cache.snapshot.begin_walk()
    cache.snapshot.see(directory.encode(), directory, digest, device, 1)
    cache.snapshot.end_walk(set())


def test_cache_lasts(tmp_path: Path) -> None:
    """A cache is what it was when it is opened again."""
    cache = Cache(tmp_path / "cache.sqlite")
    cache.put_leaves([leaf("d", file("a"), SubdirectoryEntry("s", b"\xff"))])
    cache.set_version(Version("epoch", 3))
    see(cache, "d", b"x" * 16, 7)
    cache.close()
    cache = Cache(tmp_path / "cache.sqlite")
    assert cache.version() == Version("epoch", 3)
    assert cache.leaves("d") == [leaf("d", file("a"), SubdirectoryEntry("s", b"\xff"))]
    assert (cache.file_count(), cache.snapshot.row("d")) == (1, (b"x" * 16, 7))
    cache.close()


def test_load_replaces_everything(cache: Cache) -> None:
    """A load replaces leaves, digests and problems, and leaves the version to be set."""
    cache.put_leaves([leaf("old", file("a"))])
    cache.set_version(Version("epoch", 1))
    see(cache, "old", b"x", 1)
    cache.set_problems("old", [Problem(b"old/p", "why")])
    assert cache.load([leaf("new", file("b")), leaf("", file("c"))]) == 2
    assert cache.beneath("") == ["", "new"]
    assert (cache.version(), cache.snapshot.row("old"), cache.problem_count()) == (None, None, 0)


def test_failed_load_leaves_no_version(cache: Cache) -> None:
    """A load that is cut short leaves a cache that is valid for nothing."""
    cache.put_leaves([leaf("old")])
    cache.set_version(Version("epoch", 1))

    def broken() -> object:
        yield leaf("new")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        cache.load(broken())  # type: ignore[arg-type]
    assert cache.version() is None


def test_other_settings_forget_digests(cache: Cache) -> None:
    """Digests are good for the settings that they were made under."""
    cache.set_settings("one")
    see(cache, "d", b"x", 1)
    see(cache, "e", b"y", 1)
    cache.set_settings("one")
    assert cache.snapshot.row("d") == (b"x", 1)
    cache.set_settings("two")
    assert (cache.snapshot.row("d"), cache.snapshot.row("e")) == (None, None)


def test_looks_begin_anew_with_another_state(cache: Cache) -> None:
    """A look counts from when a file was first seen in its state; a clock that goes back starts it anew."""
    assert cache.first_look(b"f", "one", 5.0) == 5.0
    assert cache.first_look(b"f", "one", 9.0) == 5.0
    assert cache.first_look(b"f", "two", 9.0) == 9.0
    assert cache.first_look(b"f", "two", 3.0) == 3.0
    cache.forget_looks(4.0)
    assert cache.first_look(b"f", "two", 8.0) == 8.0


def test_problems_by_directory(cache: Cache) -> None:
    """The problems of a directory replace those it had."""
    cache.set_problems("d", [Problem(b"d/\xff", "one"), Problem(b"d/a", "two")])
    cache.set_problems("e", [Problem(b"e/a", "three")])
    cache.set_problems("d", [Problem(b"d/b", "four")])
    assert cache.problems() == [Problem(b"d/b", "four"), Problem(b"e/a", "three")]
    assert (cache.problem_count(), len(cache.problems(1))) == (2, 1)


# ---- plan


def put(directory: str, name: str, size: int = 1, reason: str = "new") -> Change:
    """Plan to put a file."""
    raw = name.encode("latin-1", "replace")
    state = FileState(2**64 - 1, size, -5, 7)
    return Change(Action.PUT, reason, directory, directory.encode(), name, raw, state)


def change(action: Action, directory: str, name: str = "") -> Change:
    """Plan something else."""
    return Change(action, "gone", directory, directory.encode(), name, name.encode())


def test_totals() -> None:
    """Totals are known as changes are added; the same change twice is one."""
    with Plan() as plan:
        assert plan.totals.empty
        plan.add([put("", "a", 5), put("", "a", 5), put("d", "b", 7, "size"), change(Action.DELETE, "", "c")])
        plan.add([change(Action.CREATE, "d"), change(Action.GONE, "e"), change(Action.DROP_DIRECTORY, "", "e")])
        totals = plan.totals
        assert (totals.puts, totals.put_bytes, totals.deletes, totals.others) == (2, 12, 1, 3)
        assert totals.reasons == {"new": 1, "size": 1, "gone": 1}
        assert not totals.empty


def test_sizes_of_sparse_giants_are_added() -> None:
    """Some file systems hold files of 2**63 - 1 bytes, which any FTP user can make; their sum is still a number."""
    with Plan() as plan:
        plan.add([put("", "a", 2**63 - 1), put("", "b", 2**63 - 1)])
        assert plan.totals.put_bytes >= 2**63


def test_changes_come_back_as_they_were() -> None:
    """Whatever was planned comes back, whatever the names."""
    names = ["a", "\n", "'; DROP TABLE change; --", "\U0001f600", "a\x7f", "index.html"]
    changes = [put(directory, name) for directory in ("", "d/\x01e") for name in names]
    changes += [Change(Action.DELETE, "gone", "d", b"\xff\xfe", "x", b"\xff"), change(Action.GONE, "g")]
    with Plan() as plan:
        plan.add(changes)
        assert sorted(plan.changes(), key=repr) == sorted(changes, key=repr)


def test_chunks_are_of_one_directory_and_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is of one directory and one phase, and not too large; HTML and deletes come last."""
    monkeypatch.setattr("siteferry.plan.CHUNK", 2)
    with Plan() as plan:
        plan.add([put("d", f"{n}.png") for n in range(3)] + [put("a", "p.HTML"), put("a", "q.css")])
        plan.add([change(Action.DELETE, "a", "z.png"), change(Action.ADD_DIRECTORY, "", "a")])
        chunks = {phase: [[c.key for c in chunk] for chunk in plan.chunks(phase)] for phase in Phase}
    assert chunks == {
        Phase.ASSETS: [["a"], ["a/q.css"], ["d/0.png", "d/1.png"], ["d/2.png"]],
        Phase.PAGES: [["a/p.HTML", "a/z.png"]],
        Phase.ENDS: [],
    }


def test_directories_end_after_all_beneath_them() -> None:
    """What ends goes from the deepest directory up, so that none is forgotten wherever a run ends."""
    with Plan() as plan:
        plan.add([change(Action.DROP_DIRECTORY, "", "d"), change(Action.DROP_DIRECTORY, "d", "e")])
        plan.add([change(Action.GONE, "d"), change(Action.GONE, "d/e")])
        found = [one.directory for chunk in plan.chunks(Phase.ENDS) for one in chunk]
    assert found == ["d/e", "d", "d", ""]


def test_held_deletes_leave_the_plan() -> None:
    """Deletes that are held leave the plan and are counted; without them it may be empty."""
    with Plan() as plan:
        plan.add([change(Action.DELETE, "", "a"), change(Action.DROP_DIRECTORY, "", "d"), change(Action.GONE, "d")])
        plan.hold_deletes()
        assert (plan.totals.held, plan.totals.deletes, plan.totals.empty) == (1, 0, True)
        assert list(plan.changes()) == []
    with Plan() as plan:
        plan.add([change(Action.DELETE, "", "a"), put("", "b"), change(Action.CREATE, "c")])
        plan.hold_deletes()
        assert [one.action for one in plan.changes()] == [Action.PUT, Action.CREATE]
        assert plan.totals.others == 1


@pytest.mark.parametrize(
    ("deletes", "published", "approved", "held"),
    [
        (20, 20, None, False),
        (21, 210, None, False),
        (21, 209, None, True),
        (21, 209, 20, True),
        (21, 209, 21, False),
        (101, 10_000, None, True),
        (101, 10_000, 500, False),
        (0, 0, None, False),
        (21, 0, None, True),
    ],
)
def test_brake(deletes: int, published: int, approved: int | None, held: bool) -> None:
    """More than 20 files and 10 %, or more than `most`, are held, unless as many were approved."""
    with Plan() as plan:
        plan.add(change(Action.DELETE, "", f"{n}") for n in range(deletes))
        found = apply_brake(plan, Brake(most=100), published, approved, "")
        assert bool(found.hold_reason) is held
        assert plan.totals.held == (deletes if held else 0)
        assert plan.totals.deletes == (0 if held else deletes)


def test_printed_plan_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """No name in a printed plan acts on the terminal; its JSON is JSON."""
    with Plan() as plan:
        plan.add([put("", "\x1b[2J\r\n")])
        problems = [Problem(b"\x07\xff", "why")]
        print_plan(plan, problems, as_json=False, hold_reason="because")
        lines = capsys.readouterr().out
        print_plan(plan, problems, as_json=True)
        document = json.loads(capsys.readouterr().out)
    assert lines.replace("\n", "").isprintable()
    assert "HELD: because" in lines
    assert document["changes"][0]["key"] == "\x1b[2J\r\n"
