"""An object says the raw path of its file where its key does not tell it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.state import StateDirectory
from siteferry.sync import Site
from siteferry_contract.descriptor import HeaderRule
from siteferry_contract.keys import MAX_KEY_BYTES, Encoding, path_to_key
from siteferry_contract.objects import PATH, parse_path
from tests.unit.agent.fakes import DAY, World, descriptor

LATIN, UTF8 = b"caf\xe9", "café".encode()
METADATA = f"x-amz-meta-{PATH}"


@pytest.fixture
def auto(world: World) -> World:
    """A site whose names are in either encoding, without duplicates."""
    world.descriptor = descriptor(encoding="auto", copy_rules=(), header_rules=())
    return world


def write(world: World, path: bytes, body: bytes = b"body") -> None:
    """Write a file of any name."""
    target = Path(os.fsdecode(os.path.join(os.fsencode(world.root), path)))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)


def said(world: World, key: str) -> bytes | None:
    """Give the raw path that an object says."""
    text = world.objects.current[key].headers.get(METADATA)
    return parse_path(text) if text is not None else None


@pytest.mark.parametrize("prefix", ["", "p/"])
@pytest.mark.parametrize("whole_bytes", [2, 8])
@pytest.mark.parametrize(
    ("encoding", "path", "expected"),
    [
        ("auto", LATIN + b"/\xe9.txt", LATIN + b"/\xe9.txt"),
        ("auto", LATIN + b"/plain.txt", LATIN + b"/plain.txt"),
        ("auto", UTF8 + b"/\xe9.txt", UTF8 + b"/\xe9.txt"),
        ("auto", UTF8 + "/é.txt".encode(), None),
        ("auto", b"plain.txt", None),
        ("latin-1", LATIN + b"/\xe9.txt", None),
        ("latin-1", UTF8 + b"/\xe9.txt", None),
        ("utf-8", UTF8 + "/é.txt".encode(), None),
    ],
)
def test_only_an_object_whose_key_does_not_tell_the_path_says_it(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    encoding: Encoding,
    path: bytes,
    expected: bytes | None,
    whole_bytes: int,
    prefix: str,
) -> None:
    """Of whatever encoding its names are, put whole or in parts."""
    monkeypatch.setattr("siteferry.publish.WHOLE_BYTES", whole_bytes)
    monkeypatch.setattr("siteferry.uploads.SMALL_BYTES", whole_bytes)
    world.descriptor = descriptor(encoding=encoding, prefix=prefix)
    write(world, path)
    world.sync()
    assert ("put" in world.faults.log) == (whole_bytes == 8)
    assert said(world, path_to_key(path, prefix=prefix, encoding=encoding)) == expected


def test_other_headers_leave_the_path(auto: World) -> None:
    """A copy with other headers keeps the path, or adds it."""
    for name in (b"\xe9.txt", b"\xe8.txt"):
        write(auto, name)
    auto.settle()
    bare = auto.objects.current["è.txt"]
    auto.objects.current["è.txt"] = replace(bare, headers={n: v for n, v in bare.headers.items() if n != METADATA})
    auto.descriptor = replace(auto.descriptor, header_rules=(HeaderRule("*", {"cache-control": "no-cache"}),))
    assert auto.sync().headers == 2
    assert "replace_headers" in auto.faults.log
    assert (said(auto, "é.txt"), said(auto, "è.txt")) == (b"\xe9.txt", b"\xe8.txt")


def test_an_object_that_lacks_only_the_path_is_as_it_should_be(auto: World) -> None:
    """One that an earlier release put is not copied for its path, nor does it differ in an audit, nor is its own."""
    write(auto, b"\xe9.txt")
    auto.settle()
    bare = auto.objects.current["é.txt"]
    auto.objects.current["é.txt"] = replace(bare, headers={n: v for n, v in bare.headers.items() if n != METADATA})
    for after in (0.0, DAY):
        auto.clock.time += after
        with auto.agent() as agent:
            own = StateDirectory(auto.config.state_dir)
            cache = own.path / "look.sqlite"
            looking = Site(auto.config, auto.descriptor, agent.parts.services, own, agent.parts.reporter, cache=cache)
            assert looking.audit(deep=True).differences == 0
            looking.close()
    # A rule that changes nothing for it: it is looked at, and left alone.
    auto.descriptor = replace(auto.descriptor, header_rules=(HeaderRule("*", {"content-type": "text/plain"}),))
    auto.sync()
    assert said(auto, "é.txt") is None


@pytest.mark.parametrize("longest", [False, True])
def test_a_path_that_does_not_fit_is_left_out(auto: World, longest: bool) -> None:
    """S3 takes 2 KB of metadata: the longest path fits with none of a rule's, and nothing goes unpublished for it."""
    part = b"x" * 200
    path = b"/".join([*[part] * 5, b"\xe9" + b"x" * 17])
    key = path_to_key(path, prefix="", encoding="auto")
    assert len(key.encode()) == MAX_KEY_BYTES
    if not longest:
        rule = HeaderRule("*", {"x-amz-meta-much": "m" * 1_000})
        auto.descriptor = replace(auto.descriptor, header_rules=(rule,))
    write(auto, path)
    auto.settle()
    assert said(auto, key) == (path if longest else None)


def test_a_file_that_is_renamed_to_the_other_encoding_is_put_again(auto: World) -> None:
    """Its key and its bytes are the same, but the object says its path."""
    write(auto, LATIN)
    auto.settle()
    (auto.root / os.fsdecode(LATIN)).rename(auto.root / os.fsdecode(UTF8))
    auto.settle()
    assert said(auto, "café") is None
    auto.check()
    (auto.root / os.fsdecode(UTF8)).rename(auto.root / os.fsdecode(LATIN))
    auto.settle()
    assert said(auto, "café") == LATIN
    auto.check()


@pytest.mark.parametrize("fresh_cache", [False, True])
def test_all_in_a_directory_that_is_renamed_to_the_other_encoding_is_put_again(auto: World, fresh_cache: bool) -> None:
    """However deep it is, and only that; the run after it has nothing to do."""
    for name in (b"/a", b"/deep/b"):
        write(auto, LATIN + name)
    write(auto, b"\xe8/c")
    auto.settle()
    (auto.root / os.fsdecode(LATIN)).rename(auto.root / os.fsdecode(UTF8))
    if fresh_cache:
        for left in auto.config.state_dir.glob("*.sqlite*"):
            left.unlink()
    assert auto.sync().uploaded == 2
    assert (said(auto, "café/a"), said(auto, "café/deep/b"), said(auto, "è/c")) == (None, None, b"\xe8/c")
    auto.settle()
    assert auto.sync().run is None
    (auto.root / os.fsdecode(UTF8)).rename(auto.root / os.fsdecode(LATIN))
    assert auto.sync().uploaded == 2
    assert said(auto, "café/deep/b") == LATIN + b"/deep/b"
