"""Names, entries and leaves as hostile users could make them."""

from hypothesis import strategies as st

from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry, sorted_entries

I64 = st.integers(-(2**63), 2**63 - 1)

raw_names = st.binary(min_size=1, max_size=40).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"-").replace(b".", b",")
)
"""One component of a path, as bytes. No dots, so never "." or ".."."""

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20)
"""One decoded component."""


@st.composite
def entries(draw: st.DrawFn, *, max_size: int = 30) -> tuple[Entry, ...]:
    """Give sorted entries of one directory."""
    found: dict[str, Entry] = {}
    for name in draw(st.lists(names, max_size=max_size)):
        raw = draw(st.none() | raw_names)
        if draw(st.booleans()):
            crc = draw(st.none() | st.integers(0, 2**64 - 1))
            found[name] = FileEntry(name, draw(st.integers(0, 2**62)), draw(I64), draw(I64), crc, raw)
        else:
            found[f"{name}/"] = SubdirectoryEntry(name, raw)
    return sorted_entries(found.values())
