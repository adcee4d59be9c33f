"""Duplicates only mirror (rule 8): a duplicate becomes what its source is, and nothing else decides about it."""

from collections.abc import Iterable
from typing import Final

from siteferry_contract.copy_rules import duplicates
from siteferry_contract.descriptor import Descriptor
from siteferry_lambdas.errors import ChangedError, UnsettledError
from siteferry_lambdas.ports import Bucket, Object, Seen, Site
from siteferry_lambdas.report import Report, caught, total

PASSES: Final = 6
"""Of one attempt. A source that changes more often than that is looked at again when the job comes again."""


def duplicates_of(key: str, site: Descriptor) -> tuple[str, ...]:
    """Give the keys at which a key is duplicated."""
    return tuple(duplicates(key, site.prefix, site.copy_rules))


def mirror_all(site: Site, pairs: Iterable[tuple[str, str]]) -> Report:
    """Mirror each (source, duplicate)."""

    def one(pair: tuple[str, str]) -> Report:
        return mirror(site.bucket, *pair)

    results = site.parallel(caught(one), pairs)
    return total(Report(failures=(result,)) if isinstance(result, Exception) else result for result in results)


def mirror(bucket: Bucket, source: str, duplicate: str) -> Report:
    """Make the duplicate what its source is; raises UnsettledError if the source keeps changing.

    The source is looked at again after the effect: two handlers that saw different states of it may write in any
    order, and the one that wrote last must notice that what it wrote is old.
    """
    report = Report()
    seen = bucket.head(source)
    for _ in range(PASSES):
        try:
            report += _follow(bucket, source, seen, duplicate)
        except ChangedError:
            seen = bucket.head(source)
            continue
        again = bucket.head(source)
        if _same_state(seen, again):
            return report
        seen = again
    raise UnsettledError(f"the source {source!r} of duplicate {duplicate!r}", PASSES)


def _follow(bucket: Bucket, source: str, seen: Seen, duplicate: str) -> Report:
    there = bucket.head(duplicate)
    if isinstance(seen, Object):
        if isinstance(there, Object) and is_identical(seen, there):
            return Report()
        bucket.copy(source, seen, duplicate)
        return Report({"DuplicatesCopied": 1})
    if not isinstance(there, Object):
        return Report()
    for failure in bucket.put_markers([duplicate]).values():
        raise failure
    return Report({"DuplicatesDeleted": 1})


def is_identical(one: Object, other: Object) -> bool:
    """Tell whether two objects have the same bytes, headers and metadata; False if that cannot be told.

    The ETag of an object that was uploaded in parts (it has a dash) says nothing about another object's bytes, so the
    checksum decides there: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
    """
    if one.size != other.size or dict(one.headers) != dict(other.headers) or dict(one.metadata) != dict(other.metadata):
        return False
    if one.crc64nvme and other.crc64nvme and one.crc64nvme != other.crc64nvme:
        return False
    if "-" in one.etag or "-" in other.etag:
        return one.crc64nvme is not None and one.crc64nvme == other.crc64nvme
    return one.etag == other.etag


def _same_state(one: Seen, other: Seen) -> bool:
    if isinstance(one, Object) and isinstance(other, Object):
        return one.version_id == other.version_id
    return isinstance(one, Object) == isinstance(other, Object)
