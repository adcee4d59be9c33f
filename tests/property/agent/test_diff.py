"""The plan covers every difference between tree and index, and plans nothing else."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from siteferry.commit import Edit, edit_leaf
from siteferry.diff import Excludes, Naming, choose, diff
from siteferry.plan import Action
from siteferry.scan import DirectoryScan
from siteferry.tree import FileState
from siteferry_contract.keys import Encoding, decode_name
from siteferry_contract.leaf import Entry, FileEntry, Leaf, SubdirectoryEntry, sort_name, sorted_entries

RAWS = [b"a", b"b", b"\xe9", b"\xc3\xa9", b"\xff\n", b"x.bak", b"index.html", b"m"]
KINDS = {"f": b"f", "d": b"d", "l": b"l", "o": b"o"}

on_disk = st.dictionaries(
    st.sampled_from(RAWS),
    st.tuples(st.sampled_from("ffffddlo"), st.integers(0, 2), st.integers(0, 1), st.integers(0, 1)),
)


def scan_of(files: Mapping[bytes, tuple[str, int, int, int]]) -> DirectoryScan:
    """Give a directory as it would be scanned."""
    scan = DirectoryScan(b"d", "d", 1)
    for raw, (kind, size, mtime, ctime) in files.items():
        scan.names.append(raw.decode("utf-8", "surrogateescape"))
        scan.kinds += KINDS[kind]
        for column, value in zip(
            (scan.inodes, scan.sizes, scan.mtimes, scan.ctimes), (7, size, mtime, ctime), strict=True
        ):
            column.append(value)
    return scan


@st.composite
def indexes(draw: st.DrawFn, naming: Naming) -> dict[str, Entry]:
    """Give what the index may have of such a directory."""
    found: dict[str, Entry] = {}
    for raw, (kind, size, mtime, ctime) in draw(on_disk).items():
        try:
            name = decode_name(raw, naming.encoding)
        except ValueError:
            continue
        recorded = naming.raw_if_differs(name, raw)
        entry: Entry = (
            SubdirectoryEntry(name, recorded) if kind == "d" else FileEntry(name, size, mtime, ctime, 5, recorded)
        )
        found[sort_name(entry)] = entry
    return found


@given(st.data(), on_disk, st.sampled_from(["latin-1", "utf-8", "auto"]), st.sets(st.sampled_from(RAWS)), st.booleans())
def test_plan_covers_every_difference(
    data: st.DataObject,
    files: dict[bytes, tuple[str, int, int, int]],
    encoding: Encoding,
    unsettled: set[bytes],
    known: bool,
) -> None:
    """With the plan applied the index has what was scanned; a second diff finds nothing; what is unsettled stays."""
    naming = Naming("", encoding, Excludes(["*.bak"]))
    entries = data.draw(indexes(naming))
    scan = scan_of(files)
    chosen = choose(scan, naming, lambda: entries)

    def settled(path: bytes, _: FileState) -> bool:
        return path.removeprefix(b"d/") not in unsettled

    found = diff(scan, chosen, entries, naming, known=known, settled=settled)
    after = dict(entries)
    for change in found.changes:
        recorded = naming.raw_if_differs(change.name, change.raw)
        if change.action is Action.PUT:
            assert change.state is not None
            assert change.raw not in unsettled
            state = change.state
            wanted_entry = FileEntry(change.name, state.size, state.mtime_ns, state.ctime_ns, 5, recorded)
            assert entries.get(change.name) != wanted_entry, "planned without a difference"
            after[change.name] = wanted_entry
        elif change.action is Action.ADD_DIRECTORY:
            after[f"{change.name}/"] = SubdirectoryEntry(change.name, recorded)
        elif change.action is Action.DELETE:
            del after[change.name]
        elif change.action is Action.DROP_DIRECTORY:
            del after[f"{change.name}/"]
    assert any(change.action is Action.CREATE for change in found.changes) != known
    waiting = {path.removeprefix(b"d/") for path in found.deferred}
    assert waiting <= unsettled

    published: dict[bytes, FileEntry | SubdirectoryEntry] = {}
    for entry in after.values():
        raw = entry.raw if entry.raw is not None else naming.raw_name(entry.name)
        if raw not in waiting and not (isinstance(entry, FileEntry) and entry.name in {
            decode_name(name, encoding) for name in waiting
        }):  # fmt: skip
            published[raw if isinstance(entry, FileEntry) else raw + b"/"] = entry
    reported = {problem.path.removeprefix(b"d/") for problem in found.problems}
    wanted = {
        raw + (b"/" if row[0] == "d" else b""): row
        for raw, row in files.items()
        if row[0] in "fd" and raw not in reported and not raw.endswith(b".bak") and raw not in waiting
    }
    assert published.keys() == wanted.keys()
    for raw, entry in published.items():
        if isinstance(entry, FileEntry):
            assert (entry.size, entry.mtime_ns, entry.ctime_ns) == wanted[raw][1:]
    again = diff(scan, choose(scan, naming, lambda: after), after, naming, known=True, settled=settled)
    assert again.changes == []


@given(
    st.lists(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.none() | st.integers(0, 9)), max_size=6)
)
def test_leaf_edits_are_those_of_a_dict(rounds: list[dict[str, int | None]]) -> None:
    """Whatever is edited, a leaf has what a dict would have, and `had_delete` is never cleared."""
    leaf = Leaf("d", "", 0, had_delete=False, gone=False, entries=())
    model: dict[str, FileEntry] = {}
    deleted = False
    for run, edits in enumerate(rounds, 1):
        new = {name: None if size is None else FileEntry(name, size, 1, 2, 3) for name, size in edits.items()}
        (leaf,), edited = edit_leaf(leaf, {name: Edit(entry) for name, entry in new.items()}, run, gone=False)
        assert {one.name: (one.old, one.had_delete) for one in edited} == {
            name: (model.get(name), deleted) for name in edits
        }
        for name, entry in new.items():
            model.pop(name, None)
            if entry is not None:
                model[name] = entry
        deleted = deleted or None in new.values()
        assert leaf.entries == sorted_entries(model.values())
        assert leaf.had_delete is deleted
    assert replace(leaf, run=0).directory == "d"
