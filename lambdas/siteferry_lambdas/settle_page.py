"""What a page job does (rule 2): a directory without an index file of its own gets a page.

An own index file always wins. The page is written by compare-and-set only, and never over what a user published; this
handler neither puts nor removes a delete marker: with a stale view it would bare an object whose delete is done.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from siteferry_contract.copy_rules import is_reserved_directory
from siteferry_contract.job import Job, make_jobs
from siteferry_contract.keys import INDEX_NAME, index_key, root_directory
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import GENERATED, GENERATED_PAGE
from siteferry_lambdas.errors import ChangedError, MissingLeafError, UnsettledError
from siteferry_lambdas.lookup import entries_of
from siteferry_lambdas.mirror import duplicates_of, mirror_all
from siteferry_lambdas.ports import Object, Seen, Site
from siteferry_lambdas.rendering import render
from siteferry_lambdas.report import Report, caught, total

PASSES: Final = 6
"""Of one attempt. Handing the job back to its queue is as good as one more."""

FINGERPRINT: Final = "siteferry-fingerprint"
"""User metadata of a page: hash of bytes and headers. An ETag is no hash of the bytes in an encrypted bucket."""

_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    # Browsers cannot be invalidated, so they ask again after a minute; CloudFront is, so it may keep it for a day.
    "cache-control": "public, max-age=60, s-maxage=86400",
}


@dataclass(frozen=True, slots=True)
class _Page:
    body: bytes

    @property
    def metadata(self) -> dict[str, str]:
        digest = hashlib.sha256(repr(sorted(_HEADERS.items())).encode() + b"\0" + self.body)
        return {GENERATED: GENERATED_PAGE, FINGERPRINT: digest.hexdigest()}


def handle_page(site: Site, job: Job) -> Report:
    """Settle each directory's page, mirror it, invalidate it. Directories of duplicates get no page of their own."""
    own = site.descriptor
    root = root_directory(own.prefix)
    directories = [
        directory
        for directory in dict.fromkeys(job.names)
        if directory == root or not is_reserved_directory(directory.removeprefix(own.prefix), own.copy_rules)
    ]

    def one(directory: str) -> Report:
        return settle(site, directory)

    results = site.parallel(caught(one), directories)
    report = total(Report(failures=(result,)) if isinstance(result, Exception) else result for result in results)
    keys = [index_key(directory) for directory in directories]
    pairs = [(key, duplicate) for key in keys for duplicate in duplicates_of(key, own)]
    report += mirror_all(site, pairs)
    changed = [*keys, *(duplicate for _, duplicate in pairs)]
    site.queues.send(make_jobs("invalidate", changed, site=own.site, run=job.run))
    return report.checked()


def settle(site: Site, directory: str) -> Report:
    """Repeat: read the index, then S3, then act; until a pass finds nothing to do, or UnsettledError."""
    report = Report()
    for _ in range(PASSES):
        done = _one_pass(site, directory)
        if done is None:
            return report
        report += done
    raise UnsettledError(f"the page of directory {directory!r}", PASSES)


def _one_pass(site: Site, directory: str) -> Report | None:
    """Make one pass; None: it found nothing to do."""
    leaves = site.index.directory(directory)
    if not leaves:
        raise MissingLeafError(f"directory {directory!r}")
    entries = tuple(entries_of(leaves))
    live = any(isinstance(entry, FileEntry) and entry.name == INDEX_NAME for entry in entries)
    wanted = None
    if site.descriptor.directory_pages and not live and not all(leaf.gone for leaf in leaves):
        own_root = root_directory(site.descriptor.prefix)
        name = "" if directory == own_root else directory.removeprefix(site.descriptor.prefix)
        wanted = _Page(render(name, entries))
    key = index_key(directory)
    seen = site.bucket.head(key)
    if wanted is not None:
        return _write(site, key, wanted, seen)
    if isinstance(seen, Object) and seen.generated:
        site.bucket.remove_version(key, seen.version_id)
        return Report({"PagesRemoved": 1})
    return None


def _write(site: Site, key: str, page: _Page, seen: Seen) -> Report | None:
    metadata = page.metadata
    if isinstance(seen, Object) and (not seen.generated or dict(seen.metadata) == metadata):
        return None
    try:
        site.bucket.put(key, page.body, headers=_HEADERS, metadata=metadata, over=seen)
    except ChangedError:
        return Report()
    return Report({"PagesWritten": 1})
