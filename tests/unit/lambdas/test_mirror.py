"""Mirroring and the copy handler: rule 8."""

import pytest

from siteferry_contract.copy_rules import CopyRule, original_of
from siteferry_lambdas.errors import JobError, UnsettledError
from siteferry_lambdas.mirror import is_identical, mirror
from siteferry_lambdas.ports import Object
from siteferry_lambdas.settle_copy import handle_copy
from tests.unit.lambdas.fakes import MemoryBucket, job, memory_site

MIRROR = CopyRule("docs/", "mirror/docs/")


def _object(etag: str = '"1"', size: int = 1, crc: str | None = None, **metadata: str) -> Object:
    return Object("v", etag, size, {"content-type": "text/plain"}, metadata, crc)


def test_a_source_is_copied_with_headers_and_metadata() -> None:
    """A duplicate is its source, mtime and content type included."""
    memory = memory_site(MIRROR)
    memory.bucket.user_puts("docs/a", b"a", metadata={"mtime": "7"})
    handle_copy(memory.site, job("copy", "docs/a"))
    duplicate = memory.bucket.versions["mirror/docs/a"][-1]
    assert (duplicate.body, duplicate.metadata["mtime"]) == (b"a", "7")
    assert duplicate.headers == {"content-type": "text/plain"}


def test_an_identical_duplicate_is_not_copied_but_invalidated() -> None:
    """A repeated job costs looks only; its invalidation may be the one that a crash lost."""
    memory = memory_site(MIRROR)
    memory.bucket.user_puts("docs/a", b"a")
    handle_copy(memory.site, job("copy", "docs/a"))
    handle_copy(memory.site, job("copy", "docs/a"))
    assert memory.bucket.changes == [("copy", "mirror/docs/a")]
    assert memory.queues.names("invalidate") == ["mirror/docs/a"] * 2


def test_new_metadata_alone_is_copied() -> None:
    """The same bytes with another mtime are not identical."""
    bucket = MemoryBucket()
    bucket.user_puts("a", b"a", metadata={"mtime": "1"})
    bucket.user_puts("b", b"a", metadata={"mtime": "2"})
    mirror(bucket, "a", "b")
    assert bucket.versions["b"][-1].metadata["mtime"] == "1"


def test_a_deleted_source_marks_its_duplicate() -> None:
    """The source's absence is mirrored too, with a marker."""
    memory = memory_site(MIRROR)
    memory.bucket.user_puts("mirror/docs/a", b"a")
    handle_copy(memory.site, job("copy", "docs/a"))
    assert memory.bucket.changes == [("mark", "mirror/docs/a")]


def test_nothing_is_marked_where_nothing_is() -> None:
    """A repeated delete leaves no pile of markers."""
    bucket = MemoryBucket()
    mirror(bucket, "a", "b")
    assert bucket.changes == []


@pytest.mark.parametrize("operation", ["copy", "head"])
def test_a_source_that_changes_meanwhile_is_mirrored_again(operation: str) -> None:
    """The duplicate ends as the newest state, whether the change comes before or after the copy."""
    bucket = MemoryBucket()
    bucket.user_puts("a", b"old")

    def change(now: str, key: str) -> None:
        looks = len([entry for entry in bucket.log if entry == ("head", "a")])
        if now == operation and (now == "copy" or (key == "a" and looks == 1)):
            bucket.before = lambda operation, key: None
            bucket.user_puts("a", b"new")

    bucket.before = change
    mirror(bucket, "a", "b")
    assert bucket.current("b") == b"new"


def test_a_source_that_goes_during_the_copy_takes_its_duplicate_along() -> None:
    """A condition that fails is a reason to look again, not to fail."""
    bucket = MemoryBucket()
    bucket.user_puts("a", b"a")
    bucket.user_puts("b", b"old")

    def delete(operation: str, key: str) -> None:
        if operation == "copy":
            bucket.user_deletes("a")

    bucket.before = delete
    mirror(bucket, "a", "b")
    assert bucket.current("b") is None


def test_a_source_that_never_rests_goes_back_to_the_queue() -> None:
    """Passes are bounded."""
    bucket = MemoryBucket()
    bucket.user_puts("a", b"0")
    bucket.before = lambda operation, key: bucket.user_puts("a", str(len(bucket.log)).encode())
    with pytest.raises(UnsettledError):
        mirror(bucket, "a", "b")


def test_one_refused_copy_leaves_the_others_alone() -> None:
    """Every key is tried, every duplicate invalidated, and then the job fails."""
    memory = memory_site(MIRROR)
    for name in ("a", "b"):
        memory.bucket.user_puts(f"docs/{name}", b"x")
    memory.bucket.refused["copy", "mirror/docs/a"] = "AccessDenied"
    with pytest.raises(JobError, match="AccessDenied"):
        handle_copy(memory.site, job("copy", "docs/a", "docs/b"))
    assert memory.bucket.current("mirror/docs/b") == b"x"
    assert memory.queues.names("invalidate") == ["mirror/docs/a", "mirror/docs/b"]


def test_a_key_without_duplicates_needs_nothing() -> None:
    """A copy job that came before its rule was taken away is done at once."""
    memory = memory_site(MIRROR)
    handle_copy(memory.site, job("copy", "other/a"))
    assert (memory.log, memory.queues.jobs) == ([], [])


def test_a_duplicate_knows_its_original() -> None:
    """The inverse of the copy rules, with the prefix kept."""
    assert original_of("p/mirror/docs/a", "p/", [MIRROR]) == "p/docs/a"
    assert original_of("p/docs/a", "p/", [MIRROR]) is None
    assert original_of("mirror/mirror/a", "", [CopyRule("", "mirror/")]) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (_object(), _object(), True),
        (_object('"1"'), _object('"2"'), False),
        (_object(), _object(size=2), False),
        (_object(mtime="1"), _object(mtime="2"), False),
        (_object('"1-2"'), _object('"1-2"'), False),
        (_object('"1-2"', crc="x"), _object('"9"', crc="x"), True),
        (_object('"1-2"', crc="x"), _object('"1-2"', crc="y"), False),
        (_object('"1"', crc="x"), _object('"2"', crc="x"), False),
    ],
)
def test_identity(one: Object, other: Object, *, same: bool) -> None:
    """ETags of whole uploads decide, checksums where a part upload's ETag says nothing, and doubt means copy."""
    assert is_identical(one, other) is same
