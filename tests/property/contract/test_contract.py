"""What is encoded is decoded to the same, whatever the names; what is damaged is refused."""

import json
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from siteferry_contract.copy_rules import CopyRule, check_rules, duplicates, is_reserved
from siteferry_contract.errors import ContractError
from siteferry_contract.index import is_leaf, item_to_leaf, leaf_to_item
from siteferry_contract.job import JOB_KINDS, MAX_MESSAGE_BYTES, MAX_NAMES, JobKind, decode_job, encode_job, make_jobs
from siteferry_contract.keys import (
    ENCODINGS,
    MAX_KEY_BYTES,
    Encoding,
    UnpublishableNameError,
    check_key,
    decode_name,
    encode_name,
    join,
    key_to_path,
    path_to_key,
    split,
)
from siteferry_contract.leaf import (
    MAX_BLOB_BYTES,
    Entry,
    FileEntry,
    Leaf,
    decode_entries,
    encode_entries,
    sort_name,
    split_entries,
)
from siteferry_contract.objects import (
    MAX_METADATA_BYTES,
    MTIME,
    PATH,
    UPLOAD,
    format_crc64nvme,
    format_mtime,
    format_path,
    parse_crc64nvme,
    parse_mtime,
    parse_path,
)
from tests.property.contract.strategies import entries, names, raw_names

prefixes = st.sampled_from(["", "p/", "some/prefix/"])


@given(st.lists(raw_names, min_size=1, max_size=5), prefixes, st.sampled_from(ENCODINGS))
@example([b"\xe9", b"\xc3\xa9"], "", "auto")
def test_path_to_key_and_back(parts: list[bytes], prefix: str, encoding: Encoding) -> None:
    """A path comes back from its key, or its raw name is recorded, or it is refused; nothing else."""
    path = b"/".join(parts)
    try:
        key = path_to_key(path, prefix=prefix, encoding=encoding)
    except UnpublishableNameError:
        assert encoding == "utf-8"
        return
    check_key(key, prefix)
    back = key_to_path(key, prefix=prefix, encoding=encoding)
    if encoding != "auto":
        assert back == path
    for raw, there in zip(parts, back.split(b"/"), strict=True):
        assert decode_name(there, encoding) == decode_name(raw, encoding)


@given(raw_names)
def test_auto_records_exactly_what_is_not_utf8(raw: bytes) -> None:
    """With `auto`, the raw name differs from the encoded one exactly if it is not UTF-8."""
    try:
        is_utf8 = raw.decode() is not None
    except UnicodeDecodeError:
        is_utf8 = False
    assert (encode_name(decode_name(raw, "auto"), "auto") == raw) == is_utf8


@given(names, names)
def test_split_undoes_join(directory: str, name: str) -> None:
    """A key is its directory and its name."""
    assert split(join(directory, name)) == (directory, name)
    assert split(join("", name)) == ("", name)


@given(entries())
def test_entries_round_trip(written: tuple[Entry, ...]) -> None:
    """Any sorted entries come back from their blob."""
    assert decode_entries(encode_entries(written)) == written


@given(entries(max_size=5), names, names, st.integers(0, 2**53), st.booleans(), st.booleans())
def test_item_round_trip(
    written: tuple[Entry, ...], directory: str, bound: str, run: int, had_delete: bool, gone: bool
) -> None:
    """Any leaf comes back from its item, whose keys are never empty."""
    leaf = Leaf(directory, bound, run, had_delete, gone, written)
    item = leaf_to_item(leaf)
    assert item_to_leaf(item) == leaf
    assert is_leaf(item)
    root = leaf_to_item(Leaf("", "", run, had_delete, gone, written))
    assert (root["pk"], root["sk"]) == ({"S": "/"}, {"S": "/"})


@given(entries(max_size=8), st.data())
def test_damaged_blob_is_refused(written: tuple[Entry, ...], data: st.DataObject) -> None:
    """A blob with a changed, missing or added byte is refused with the contract's error, or says the same."""
    blob = encode_entries(written)
    at = data.draw(st.integers(0, len(blob) - 1))
    value = data.draw(st.integers(0, 255))
    for damaged in (blob[:at], blob + b"x", blob[:at] + bytes((value,)) + blob[at + 1 :]):
        try:
            assert decode_entries(damaged) == written
        except ContractError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_the_contracts_error(blob: bytes) -> None:
    """Bytes that are no blob are refused with no other error than the contract's."""
    with pytest.raises(ContractError):
        decode_entries(blob)


@settings(max_examples=5)
@given(st.randoms(use_true_random=False), st.integers(0, 6000))
def test_split_keeps_limits_and_order(chance: object, count: int) -> None:
    """A split keeps every entry in order, and every part fits in a leaf, even with hostile 255-byte names."""
    import random  # noqa: PLC0415

    noise = random.Random(count)
    found = sorted({"".join(chr(noise.randrange(1, 0x7F) | 0x80) for _ in range(127)) for _ in range(count)})
    written = tuple(FileEntry(name, 1, 2, 3, noise.getrandbits(64), noise.randbytes(255)) for name in found)
    parts = split_entries(written)
    assert tuple(entry for part in parts for entry in part) == written
    assert all(len(encode_entries(part)) <= MAX_BLOB_BYTES for part in parts)
    bounds = [sort_name(part[0]) for part in parts if part]
    assert all(one < other for one, other in pairwise(bounds))


@given(st.sampled_from(JOB_KINDS), st.lists(names.filter(lambda n: n not in (".", "..", "*"))), st.integers(0, 2**40))
def test_jobs_round_trip(kind: JobKind, written: list[str], run: int) -> None:
    """Every name arrives, in order, in messages of ASCII that keep the limits."""
    arrived: list[str] = []
    for job in make_jobs(kind, written, site="www", run=run):
        body = encode_job(job)
        assert body.isascii()
        assert decode_job(body, kind=kind, site="www", prefix="") == job
        assert 0 < len(job.names) <= MAX_NAMES[kind]
        arrived += job.names
    assert arrived == written


@settings(max_examples=8)
@given(st.sampled_from(JOB_KINDS), st.sampled_from(["\x01", "é", "\U0001f600", "a", '"', "\\"]), st.integers(1, 1500))
def test_jobs_stay_small(kind: JobKind, character: str, count: int) -> None:
    """Messages stay under the limit with the longest names there are, however they are escaped."""
    longest = character * (1020 // len(character.encode()))
    jobs = list(make_jobs(kind, [longest] * count, site="s" * 31, run=2**53))
    assert all(len(encode_job(job)) <= MAX_MESSAGE_BYTES for job in jobs)
    assert sum(len(job.names) for job in jobs) == count


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = {"version": 1, "kind": "copy", "site": "www", "run": 1, "id": "x", "names": ["a"]}


@given(st.sampled_from([*FIELDS, "more", None]), json_values)
def test_other_jobs_are_refused(field: str | None, value: object) -> None:
    """A job with any one field that is not as it should be is refused with the contract's error."""
    changed = {**FIELDS, field: value} if field else value
    try:
        job = decode_job(json.dumps(changed), kind="copy", site="www", prefix="")
    except ContractError:
        return
    assert field in ("run", "id", "names", *(name for name in FIELDS if FIELDS[name] == value))
    assert isinstance(job.run, int)
    assert all(isinstance(name, str) for name in job.names)


folders = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(lambda parts: "/".join(parts) + "/")


@given(st.lists(st.tuples(folders | st.just(""), folders), max_size=3), folders, prefixes)
def test_duplicates_are_never_sources(pairs: list[tuple[str, str]], name: str, prefix: str) -> None:
    """Under rules that hold together, a duplicate has no duplicate, no two keys fight for one, and all are reserved."""
    rules = [CopyRule(*pair) for pair in pairs]
    try:
        check_rules(rules)
    except ContractError:
        assume(False)
    key = f"{prefix}{name}file"
    found = list(duplicates(key, prefix, rules))
    assert len(set(found)) == len(found)
    for duplicate in found:
        assert is_reserved(duplicate.removeprefix(prefix), rules)
        assert list(duplicates(duplicate, prefix, rules)) == []
        check_key(duplicate, prefix)


@given(st.integers(-(2**63), 2**63))
def test_mtime_round_trip(mtime_ns: int) -> None:
    """Any time comes back from its metadata, to the nanosecond."""
    assert parse_mtime(format_mtime(mtime_ns)) == mtime_ns


@given(st.lists(raw_names, min_size=1, max_size=5))
def test_raw_path_round_trip(parts: list[bytes]) -> None:
    """Any path comes back from its metadata, which a header can carry."""
    path = b"/".join(parts)
    text = format_path(path)
    assert parse_path(text) == path
    assert text.isascii()
    assert text.isprintable()


@given(
    st.lists(st.binary(min_size=1, max_size=1100), min_size=1, max_size=3),
    prefixes,
    st.sampled_from(ENCODINGS),
    st.integers(-(2**63), 2**63 - 1),
)
@example([b"x" * 1022 + b"\xe9"], "", "auto", -(2**63))
@example([b"\xe9" * 512], "", "auto", 0)
@example(["é".encode() * 512], "", "utf-8", 0)
def test_a_path_that_has_a_key_fits_beside_the_other_metadata(
    parts: list[bytes], prefix: str, encoding: Encoding, mtime_ns: int
) -> None:
    """A key has at least as many bytes as its path, so the longest path's metadata is far from what S3 takes."""
    path = b"/".join(part.replace(b"/", b"_").replace(b"\0", b"_") for part in parts)
    try:
        key = path_to_key(path, prefix=prefix, encoding=encoding)
    except UnpublishableNameError:
        return
    assert len(path) <= len(key.encode()) <= MAX_KEY_BYTES
    metadata = {MTIME: format_mtime(mtime_ns), UPLOAD: "0" * 16, PATH: format_path(path)}
    prefixed = sum(len(f"x-amz-meta-{name}{value}") for name, value in metadata.items())
    assert prefixed <= MAX_METADATA_BYTES - 500


@given(st.integers(0, 2**64 - 1))
def test_checksum_round_trip(crc: int) -> None:
    """Any checksum comes back from its header."""
    assert parse_crc64nvme(format_crc64nvme(crc)) == crc


@given(st.text(max_size=12))
def test_other_texts_are_refused(text: str) -> None:
    """A text that is no time, no checksum or no path is refused with no other error than the contract's."""
    for parse, kind in ((parse_mtime, int), (parse_crc64nvme, int), (parse_path, bytes)):
        try:
            assert isinstance(parse(text), kind)
        except ContractError:
            continue
