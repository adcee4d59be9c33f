"""What the contract refuses, and what it says then."""

import json
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest

from siteferry_contract import versions
from siteferry_contract.copy_rules import CopyRule, check_rules, duplicates, is_reserved, is_reserved_directory
from siteferry_contract.descriptor import Descriptor, HeaderRule, parameter_name
from siteferry_contract.errors import ContractError
from siteferry_contract.index import HEAD_KEY, is_leaf, item_to_leaf, leaf_to_item
from siteferry_contract.job import EVERYTHING, JOB_KINDS, MAX_NAMES, Job, JobKind, decode_job, encode_job
from siteferry_contract.keys import (
    UnpublishableNameError,
    check_directory,
    check_encoding,
    check_key,
    check_prefix,
    decode_name,
    index_key,
    key_to_path,
    path_to_key,
    root_directory,
)
from siteferry_contract.leaf import (
    MAX_ENTRIES,
    FileEntry,
    Leaf,
    SubdirectoryEntry,
    decode_entries,
    encode_entries,
    sorted_entries,
    split_entries,
)
from siteferry_contract.objects import (
    format_crc64nvme,
    format_mtime,
    format_path,
    is_generated,
    parse_crc64nvme,
    parse_mtime,
    parse_path,
)


def file(name: str, *, crc: int | None = 1) -> FileEntry:
    """Give a file's entry."""
    return FileEntry(name, 1, 2, 3, crc)


# ---- keys


@pytest.mark.parametrize(
    ("path", "encoding", "key"),
    [
        (b"a/b", "latin-1", "a/b"),
        (b"\xe9t\xe9", "latin-1", "été"),
        (b"\xc3\xa9", "latin-1", "Ã©"),
        (b"\xc3\xa9", "utf-8", "é"),
        (b"\xc3\xa9/\xe9", "auto", "é/é"),
        (b"a b+c%d#e?f&g\"h'i\nj", "utf-8", "a b+c%d#e?f&g\"h'i\nj"),
    ],
)
def test_each_component_is_decoded_by_itself(path: bytes, encoding: Any, key: str) -> None:
    """A key is the prefix and the path's components, each decoded by itself."""
    assert path_to_key(path, prefix="p/", encoding=encoding) == f"p/{key}"


@pytest.mark.parametrize("raw", [b"", b"a/b", b"a\0b"])
def test_no_file_name(raw: bytes) -> None:
    """What cannot be a file's name is refused."""
    with pytest.raises(UnpublishableNameError, match="not a file name"):
        decode_name(raw, "latin-1")


def test_undecodable_name_says_what_helps() -> None:
    """A name that is not UTF-8 is refused with what would help."""
    with pytest.raises(UnpublishableNameError, match="'auto' or 'latin-1'"):
        decode_name(b"\xe9", "utf-8")


def test_key_length_counts_utf8_and_prefix() -> None:
    """A key has at most 1,024 bytes of UTF-8, those of its prefix included."""
    assert path_to_key(b"a" * 1022, prefix="p/", encoding="utf-8")
    for path in (b"a" * 1023, b"\xe9" * 512):
        with pytest.raises(UnpublishableNameError, match="at most 1024"):
            path_to_key(path, prefix="p/", encoding="latin-1")


@pytest.mark.parametrize("prefix", ["", "a/", "a/b c/é/"])
def test_good_prefixes(prefix: str) -> None:
    """A prefix is empty or ends with a slash."""
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix", ["a", "/", "/a/", "a//", "a//b/", "./", "../", "a/../", "a\n/", "\ud800/", 7, None, "x" * 600 + "/"]
)
def test_bad_prefixes(prefix: object) -> None:
    """Any other prefix is refused with what was seen."""
    with pytest.raises(ContractError, match="prefix"):
        check_prefix(prefix)


def test_encodings() -> None:
    """An unknown encoding is refused with those that are known."""
    assert check_encoding("auto") == "auto"
    with pytest.raises(ContractError, match="latin-1, utf-8, auto"):
        check_encoding("utf8")


@pytest.mark.parametrize("key", ["p/a", "p/a/b", "p/.../x", "p/a\n"])
def test_good_keys(key: str) -> None:
    """A key that a file can have is taken."""
    assert check_key(key, "p/") == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "p/",
        "a",
        "q/a",
        "p",
        "p//a",
        "p/a/",
        "p/./a",
        "p/../a",
        "p/a\0",
        "p/\ud800",
        "p/" + "é" * 512,
        5,
        None,
        ["p/a"],
    ],
)
def test_hostile_keys(key: object) -> None:
    """A key that no file of the site can have is refused."""
    with pytest.raises(ContractError):
        check_key(key, "p/")


def test_directories() -> None:
    """A directory key is the root's, or one that a file could have."""
    assert (root_directory(""), root_directory("a/b/")) == ("", "a/b")
    assert (check_directory("", ""), check_directory("p", "p/"), check_directory("p/d", "p/")) == ("", "p", "p/d")
    assert (index_key(""), index_key("d")) == ("index.html", "d/index.html")
    for directory in ("p/", "q", "p/../q", 3):
        with pytest.raises(ContractError):
            check_directory(directory, "p/")


def test_key_outside_the_prefix_has_no_path() -> None:
    """A key outside the prefix stands for no path."""
    assert key_to_path("p/\xe9/b", prefix="p/", encoding="latin-1") == b"\xe9/b"
    with pytest.raises(ContractError, match="not under"):
        key_to_path("q/a", prefix="p/", encoding="latin-1")


# ---- leaves


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "no bytes"),
        (b"\x02abc", "leaf has version 2, expected 1: a newer agent wrote it"),
        (b"\x01abc", "damaged"),
        (encode_entries([file("a")])[:-3], "cut short"),
        (encode_entries([file("a")]) + b"x", "after its end"),
        (b"\x01" + zlib.compress(b"\0" * (65 * 1024 * 1024)), "too large"),
        (b"\x01" + zlib.compress(struct.pack("<II", 2, 1) + b"a"), "names 1 entries but counts 2"),
        (b"\x01" + zlib.compress(struct.pack("<II", 1, 1) + b"a" + struct.pack("<II", 0, 0)), "0 bytes of columns"),
        (b"\x01" + zlib.compress(struct.pack("<II", 0, 0) + struct.pack("<I", 2**32 - 1)), "damaged"),
        (b"\x01" + zlib.compress(struct.pack("<II", 0, 0) + struct.pack("<II", 0, 2**32 - 1)), "damaged"),
    ],
)
def test_unknown_blobs(blob: bytes, reason: str) -> None:
    """A blob that is not wholly understood is refused with what was seen."""
    with pytest.raises(ContractError, match=reason):
        decode_entries(blob)


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"]])
def test_entries_must_be_sorted(names: list[str]) -> None:
    """Entries that are not sorted, or not unique, are not encoded."""
    with pytest.raises(ContractError, match="sorted and unique"):
        encode_entries([file(name) for name in names])


def test_file_and_directory_of_one_name() -> None:
    """A subdirectory is no file of its name; only a file makes a name live."""
    entries = sorted_entries([file("a"), SubdirectoryEntry("a"), SubdirectoryEntry("b")])
    leaf = Leaf("", "", 1, had_delete=False, gone=False, entries=entries)
    assert decode_entries(encode_entries(entries)) == entries
    assert leaf.file("a") == file("a")
    assert leaf.file("b") is None
    assert list(leaf.files) == ["a"]


def test_unknown_checksum_is_not_zero() -> None:
    """An unknown checksum stays unknown, and a checksum of zero known."""
    entries = (file("a", crc=None), file("b", crc=0), file("c", crc=2**64 - 1))
    assert decode_entries(encode_entries(entries)) == entries


def test_split_is_as_late_as_possible() -> None:
    """A leaf is cut only when it is full, and an empty one stays one."""
    names = [f"{n:05}" for n in range(MAX_ENTRIES + 1)]
    assert split_entries([]) == [()]
    assert len(split_entries([file(name) for name in names[:-1]])) == 1
    assert [len(part) for part in split_entries([file(name) for name in names])] == [1024, 1025]


def test_leaf_of_full_size_is_small() -> None:
    """An ordinary full leaf is far from the item limit."""
    entries = [
        FileEntry(f"picture-{n:06}.jpeg", n * 37, n * 10**9, n * 10**9 + 7, n * 2**40) for n in range(MAX_ENTRIES)
    ]
    assert len(encode_entries(entries)) < 100_000


LEAF = Leaf("d", "b", 7, had_delete=True, gone=False, entries=(file("c"),))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"blob": None}, "blob"),
        ({"run": None}, "run"),
        ({"run": {"N": "x"}}, "invalid literal"),
        ({"count": {"N": "2"}}, "counts 2 entries but has 1"),
        ({"gone": {"BOOL": "yes"}}, "not a boolean"),
        ({"pk": {"S": "d"}}, "slash"),
        ({"blob": {"B": b"\x09"}}, "version 9"),
    ],
)
def test_unknown_items(change: dict[str, Any], reason: str) -> None:
    """An item that is not wholly understood is refused, and named."""
    item = {name: value for name, value in {**leaf_to_item(LEAF), **change}.items() if value is not None}
    with pytest.raises(ContractError, match=reason) as caught:
        item_to_leaf(item)
    assert "index item" in str(caught.value)


def test_head_is_no_leaf() -> None:
    """The head and the handlers' own items are not taken for leaves."""
    assert not is_leaf(HEAD_KEY)
    assert not is_leaf({})
    assert is_leaf(leaf_to_item(replace(LEAF, directory="", bound="")))


# ---- jobs

FIELDS: dict[str, Any] = {"version": 1, "kind": "copy", "site": "www", "run": 1, "id": "x", "names": ["p/a"]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "list, not an object"),
        ("null", "NoneType"),
        (json.dumps({**FIELDS, "version": 2}), "version 2, expected 1: a newer agent wrote it, so bring the stack to"),
        (json.dumps({**FIELDS, "version": 0}), "version 0, expected 1: an agent wrote it that is too old"),
        (json.dumps({}), "version None"),
        (json.dumps({**FIELDS, "more": 1}), "more"),
        (json.dumps({name: FIELDS[name] for name in FIELDS if name != "id"}), "expected"),
        (json.dumps({**FIELDS, "kind": "delete"}), "'delete' came by the queue for 'copy'"),
        (json.dumps({**FIELDS, "site": "other"}), "site 'other', this is 'www'"),
        (json.dumps({**FIELDS, "run": True}), "wrong types"),
        (json.dumps({**FIELDS, "run": "1"}), "wrong types"),
        (json.dumps({**FIELDS, "id": 7}), "wrong types"),
        (json.dumps({**FIELDS, "names": "p/a"}), "wrong types"),
        (json.dumps({**FIELDS, "names": ["p/a"] * (MAX_NAMES["copy"] + 1)}), "101 names, at most 100"),
        (json.dumps({**FIELDS, "names": ["other/a"]}), "not under"),
        (json.dumps({**FIELDS, "names": ["p/../a"]}), "no file can have"),
        (json.dumps({**FIELDS, "names": [EVERYTHING]}), "not under"),
        (json.dumps({**FIELDS, "names": [None]}), "not a string"),
        (json.dumps({**FIELDS, "names": ["p/\ud800"]}), "surrogate"),
    ],
)
def test_unknown_jobs(body: str, reason: str) -> None:
    """A message that is not wholly understood is refused with what was seen."""
    with pytest.raises(ContractError, match=reason):
        decode_job(body, kind="copy", site="www", prefix="p/")


@pytest.mark.parametrize(
    ("kind", "name", "taken"),
    [
        ("invalidate", EVERYTHING, True),
        ("invalidate", "p/a", True),
        ("delete", EVERYTHING, False),
        ("page", "p", True),
        ("page", "p/d", True),
        ("page", "", False),
        ("copy", "p", False),
    ],
)
def test_names_by_kind(kind: JobKind, name: str, taken: bool) -> None:
    """A page job names directories, an invalidation may name everything, the others name keys."""
    job = Job(kind, "www", 1, (name,), "id")
    if taken:
        assert decode_job(encode_job(job), kind=kind, site="www", prefix="p/") == job
    else:
        with pytest.raises(ContractError):
            decode_job(encode_job(job), kind=kind, site="www", prefix="p/")


# ---- descriptor

DESCRIPTOR = Descriptor(
    site="www",
    region="us-east-1",
    bucket="bucket",
    prefix="some/prefix/",
    table="table",
    encoding="latin-1",
    queues={kind: f"https://sqs.example/{kind}" for kind in JOB_KINDS},
    distribution="E1",
    domain="d.example",
    directory_pages=True,
    page_layout="0a1b2c3d4e5f",
    copy_rules=(CopyRule("docs/", "mirror/docs/"),),
    header_rules=(HeaderRule("*.html", {"cache-control": "max-age=60", "x-amz-meta-a": "é"}),),
)


def test_descriptor_round_trip() -> None:
    """A descriptor comes back from its JSON, and has the name of its site's parameter."""
    assert Descriptor.from_json(DESCRIPTOR.to_json()) == DESCRIPTOR
    assert parameter_name("www") == "/siteferry/www"


@pytest.mark.parametrize(
    "change",
    [
        {"site": "other"},
        {"prefix": ""},
        {"encoding": "auto"},
        {"directory_pages": False},
        {"page_layout": "ffffffffffff"},
        {"invalidation": "off"},
        {"invalidation_budget": 1},
        {"queues": {**DESCRIPTOR.queues, "copy": "https://sqs.example/other"}},
        {"copy_rules": ()},
        {"header_rules": (HeaderRule("*.html", {"cache-control": "max-age=61"}),)},
    ],
)
def test_revision_changes_with_anything(change: dict[str, Any]) -> None:
    """Any change of a descriptor changes its revision."""
    assert replace(DESCRIPTOR, **change).revision != DESCRIPTOR.revision


def test_revision_does_not_depend_on_order() -> None:
    """The order in which headers are written changes nothing."""
    rule = DESCRIPTOR.header_rules[0]
    turned = HeaderRule(rule.match, dict(reversed(list(rule.headers.items()))))
    assert replace(DESCRIPTOR, header_rules=(turned,)).revision == DESCRIPTOR.revision


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "version 2, expected 1: the stack is newer than this agent: upgrade the agent"),
        ({"version": 0}, "version 0, expected 1: the stack is older than this agent: deploy the stack"),
        ({"version": "2"}, "version '2', expected 1: is it siteferry's own"),
        ({"version": True}, "version True, expected 1"),
        ({"reads": {"job": [2, 3]}}, "a job of version 1, and the stack's handlers read 2 or 3: .* upgrade the agent"),
        ({"reads": {"leaf": [0]}}, "a leaf of version 1, and the stack's handlers read 0: .* deploy the stack"),
        ({"reads": {"job": []}}, "job \\[\\], not a list of versions"),
        ({"reads": {"job": [True]}}, "job \\[True\\], not a list of versions"),
        ({"reads": [1]}, "'reads' is \\[1\\], not an object"),
        ({"bucket": None}, "'bucket' is None"),
        ({"prefix": "/a"}, "prefix '/a'"),
        ({"encoding": "ebcdic"}, "'ebcdic' is unknown"),
        ({"queues": {}}, "one URL for each job kind"),
        ({"queues": {**DESCRIPTOR.queues, "copy": 1}}, "'copy' is 1"),
        ({"directory_pages": "yes"}, "not a boolean"),
        ({"invalidation_budget": "1"}, "'1', not a positive integer"),
        ({"invalidation_budget": 0}, "0, not a positive integer"),
        ({"invalidation_budget": True}, "True, not a positive integer"),
        ({"copy_rules": [{"from": "a/"}]}, "'to' is None"),
        ({"copy_rules": [{"from": "a/", "to": "a/b/"}]}, "overlaps"),
        ({"header_rules": [{"match": "*", "headers": {"a": 1}}]}, "'a' is 1"),
    ],
)
def test_unknown_descriptors(change: dict[str, Any], reason: str) -> None:
    """A descriptor that is not wholly understood is refused with the field."""
    text = json.dumps({**json.loads(DESCRIPTOR.to_json()), **change})
    with pytest.raises(ContractError, match=reason):
        Descriptor.from_json(text)


@pytest.mark.parametrize("name", sorted(json.loads(DESCRIPTOR.to_json()).keys() - {"version"}))
def test_a_stack_that_says_less_is_older(name: str) -> None:
    """A descriptor that lacks a field is refused with the field, and with which of the two goes first."""
    fields = json.loads(DESCRIPTOR.to_json())
    del fields[name]
    with pytest.raises(ContractError, match=f"lacks {name}: the stack is older than this agent: deploy the stack"):
        Descriptor.from_json(json.dumps(fields))


def test_a_stack_that_says_more_is_read() -> None:
    """A newer stack may say more under the same version, and the revision, after which an agent begins anew, stays."""
    said = {**json.loads(DESCRIPTOR.to_json()), "more": {"than": "known"}, "reads": {"job": [1, 2], "more": "x"}}
    found = Descriptor.from_json(json.dumps(said))
    assert found == replace(DESCRIPTOR, reads={"job": (1, 2), "leaf": (1,), "shape": (1,)})
    assert Descriptor.from_json(json.dumps({**said, "reads": {}})).revision == DESCRIPTOR.revision


def test_what_handlers_read_comes_through() -> None:
    """What the handlers of a stack read is in its descriptor, unless it is what the first ones read."""
    assert "reads" not in json.loads(DESCRIPTOR.to_json())
    both = replace(DESCRIPTOR, reads={"job": (1, 2), "leaf": (1,), "shape": (1,)})
    assert json.loads(both.to_json())["reads"] == {"job": [1, 2]}
    assert Descriptor.from_json(both.to_json()) == both


def test_an_agent_that_is_too_new_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that writes what the handlers do not read refuses the stack before it writes anything."""
    monkeypatch.setattr(versions, "WRITTEN", {"job": 2, "leaf": 1, "shape": 1})
    with pytest.raises(ContractError, match=r"job of version 2, and the stack's handlers read 1: .* deploy the stack"):
        Descriptor.from_json(DESCRIPTOR.to_json())


@pytest.mark.parametrize(("text", "reason"), [("{", "not JSON"), ("[]", "list"), ("{}", "version None")])
def test_no_descriptor(text: str, reason: str) -> None:
    """What is no descriptor at all is refused."""
    with pytest.raises(ContractError, match=reason):
        Descriptor.from_json(text)


# ---- copy rules


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([("docs/", "")], "'to' is empty"),
        ([("docs", "mirror/")], "must end with one '/'"),
        ([("docs/", "/mirror/")], "begin with none"),
        ([("docs/", "mirror//")], "empty"),
        ([("../", "mirror/")], "'..'"),
        ([("docs/", "docs/mirror/")], "overlaps the 'from' of rule 1"),
        ([("docs/a/", "docs/")], "overlaps the 'from' of rule 1"),
        ([("a/", "b/"), ("b/", "c/")], "overlaps the 'from' of rule 2"),
        ([("a/", "m/"), ("b/", "m/n/")], "overlaps the 'to' of rule 2"),
        ([("a/", "m/"), ("b/", "m/")], "overlaps the 'to' of rule 2"),
    ],
)
def test_rules_that_cannot_hold(rules: list[tuple[str, str]], reason: str) -> None:
    """Rules that cannot hold together are refused with the rule and the reason."""
    with pytest.raises(ContractError, match=reason) as caught:
        check_rules([CopyRule(*rule) for rule in rules])
    assert "copy rule 1" in str(caught.value)


def test_rules_duplicate_below_their_source() -> None:
    """Every rule whose source holds a key gives it a duplicate; an empty source holds all but the duplicates."""
    rules = [CopyRule("docs/", "m/"), CopyRule("docs/a/", "n/"), CopyRule("", "all/")]
    check_rules(rules)
    assert list(duplicates("p/docs/a/x", "p/", rules)) == ["p/m/a/x", "p/n/x", "p/all/docs/a/x"]
    assert list(duplicates("p/docs", "p/", rules)) == ["p/all/docs"]
    assert list(duplicates("p/all/docs", "p/", rules)) == []


def test_reserved_places() -> None:
    """Only what is beneath a destination is reserved, and the destination as a directory."""
    rules = [CopyRule("docs/", "mirror/docs/")]
    assert is_reserved("mirror/docs/a", rules)
    assert not is_reserved("mirror/docs", rules)
    assert is_reserved_directory("mirror/docs", rules)
    assert is_reserved_directory("mirror/docs/deeper", rules)
    assert not is_reserved_directory("mirror", rules)
    assert not is_reserved_directory("mirror/docs2", rules)


# ---- objects


@pytest.mark.parametrize(
    ("mtime_ns", "text"),
    [(0, "0"), (10**9, "1"), (1_500_000_000_000_000_001, "1500000000.000000001"), (-1, "-0.000000001")],
)
def test_mtime_is_written_as_rclone_does(mtime_ns: int, text: str) -> None:
    """A time is decimal seconds, with nine places or none."""
    assert format_mtime(mtime_ns) == text
    assert parse_mtime(text) == mtime_ns


@pytest.mark.parametrize("text", ["", "-", "abc", "1e3", ".5", "1.5.5", "+1", "٣", "1" * 40])
def test_other_mtimes_are_refused(text: str) -> None:
    """What is no decimal number is refused."""
    with pytest.raises(ContractError, match="not a number"):
        parse_mtime(text)


def test_mtime_of_others_is_read() -> None:
    """Fewer or more places than nine are understood."""
    assert parse_mtime("1.5") == 1_500_000_000
    assert parse_mtime("1.1234567891") == 1_123_456_789


def test_checksum_is_base64_of_eight_bytes() -> None:
    """A checksum is written as S3 shows it; others are refused."""
    assert format_crc64nvme(1) == "AAAAAAAAAAE="
    for text in ("", "AAAA", "AAAAAAAAAAE", "not base64!", "AAAAAAAAAAE=-2"):
        with pytest.raises(ContractError, match="eight bytes"):
            parse_crc64nvme(text)


def test_a_path_is_base64() -> None:
    """A raw path is written as ASCII, and any tool can read it."""
    assert format_path(b"caf\xe9/a.txt") == "Y2Fm6S9hLnR4dA=="
    assert parse_path("Y2Fm6S9hLnR4dA==") == b"caf\xe9/a.txt"


@pytest.mark.parametrize("text", ["Y2Fm6S9hLnR4dA", "not base64!", "Y2Fm-S9h", "é", "Y2Fm 6S9h"])
def test_what_is_no_base64_is_no_path(text: str) -> None:
    """It is refused."""
    with pytest.raises(ContractError, match="not base64"):
        parse_path(text)


@pytest.mark.parametrize("path", [b"", b"/etc/passwd", b"../a", b"a/../../b", b"a//b", b"./a", b"a/", b"a\0b", b".."])
def test_a_path_never_leads_out_of_the_root(path: bytes) -> None:
    """Metadata that somebody else wrote names no file that is not beneath the root."""
    with pytest.raises(ContractError, match="no path beneath a root"):
        parse_path(format_path(path))


def test_generated_objects_are_known_by_their_metadata() -> None:
    """Only what a Lambda marked is generated."""
    assert is_generated({"siteferry-generated": "directory-page"})
    assert not is_generated({"mtime": "1"})
