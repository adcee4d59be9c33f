"""What a page job does (rule 2): a directory without an index file of its own gets a page, and its key a redirect.

A file of a user's always wins. Both are written by compare-and-set only, and never over what a user published; this
handler neither puts nor removes a delete marker: with a stale view it would bare an object whose delete is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from siteferry_contract.cache_tags import tags_of
from siteferry_contract.copy_rules import is_reserved_directory
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import UNTAGGED, Job, make_jobs
from siteferry_contract.keys import INDEX_NAME, index_key, root_directory, split
from siteferry_contract.leaf import FileEntry, Leaf
from siteferry_contract.objects import GENERATED_PAGE, GENERATED_REDIRECT
from siteferry_lambdas.errors import MissingLeafError, UnsettledError
from siteferry_lambdas.generated import Generated, settle_generated
from siteferry_lambdas.lookup import entries_of
from siteferry_lambdas.mirror import duplicates_of, mirror_all
from siteferry_lambdas.ports import Site
from siteferry_lambdas.redirect import render_redirect
from siteferry_lambdas.rendering import render
from siteferry_lambdas.report import Report, caught, total

PASSES: Final = 6
"""Of one attempt. Handing the job back to its queue is as good as one more."""


@dataclass(frozen=True, slots=True)
class _Settled:
    report: Report
    redirects: bool
    """Whether a redirect is at the directory's key."""


def handle_page(site: Site, job: Job) -> Report:
    """Settle each directory's page and redirect, mirror them, invalidate them. Those of duplicates are duplicates."""
    own = site.descriptor
    root = root_directory(own.prefix)
    directories = [
        directory
        for directory in dict.fromkeys(job.names)
        if directory == root or not is_reserved_directory(directory.removeprefix(own.prefix), own.copy_rules)
    ]

    def one(directory: str) -> _Settled:
        return settle(site, directory)

    results = dict(zip(directories, site.parallel(caught(one), directories), strict=True))
    report = total(
        Report(failures=(result,)) if isinstance(result, Exception) else result.report for result in results.values()
    )
    # Where no redirect belongs there may have been one until now. A new one takes the place of nothing, or of a file
    # whose own delete job invalidates it.
    lost = [directory for directory, result in results.items() if _may_have_lost_its_redirect(own, directory, result)]
    pages = [index_key(directory) for directory in directories]
    mirrored = dict.fromkeys([*pages, *lost, *filter(own.has_redirect, directories)])
    report += mirror_all(site, ((key, duplicate) for key in mirrored for duplicate in duplicates_of(key, own)))
    # A redirect carries no cache tags, so that it is the same whatever the site's way to invalidate.
    for keys, run in ((pages, job.run), (lost, UNTAGGED)):
        changed = [*keys, *(duplicate for key in keys for duplicate in duplicates_of(key, own))]
        site.queues.send(make_jobs("invalidate", changed, site=own.site, run=run))
    return report.checked()


def settle(site: Site, directory: str) -> _Settled:
    """Repeat: read the index, then S3, then act; until a pass finds nothing to do, or UnsettledError."""
    report = Report()
    for _ in range(PASSES):
        done, redirects = _one_pass(site, directory)
        if done is None:
            return _Settled(report, redirects)
        report += done
    raise UnsettledError(f"the page of directory {directory!r}", PASSES)


def _one_pass(site: Site, directory: str) -> tuple[Report | None, bool]:
    """Make one pass, None: it found nothing to do; and tell whether a redirect belongs at the directory's key."""
    leaves = site.index.directory(directory)
    if not leaves:
        raise MissingLeafError(f"directory {directory!r}")
    page, redirect = _page(site, directory, leaves), _redirect(site, directory, leaves)
    steps = {"Pages": (page, settle_generated(site.bucket, index_key(directory), page))}
    if site.descriptor.may_have_redirect(directory):
        steps["Redirects"] = (redirect, settle_generated(site.bucket, directory, redirect))
    if all(step == "nothing" for _, step in steps.values()):
        return None, redirect is not None
    counts = {
        f"{what}{'Written' if wanted else 'Removed'}": 1 for what, (wanted, step) in steps.items() if step == "done"
    }
    return Report(counts), redirect is not None


def _page(site: Site, directory: str, leaves: Sequence[Leaf]) -> Generated | None:
    """Give the page that belongs into a directory, if one does."""
    own = site.descriptor
    entries = tuple(entries_of(leaves))
    live = any(isinstance(entry, FileEntry) and entry.name == INDEX_NAME for entry in entries)
    if live or not own.directory_pages or _is_gone(leaves):
        return None
    name = "" if directory == root_directory(own.prefix) else directory.removeprefix(own.prefix)
    tags = tags_of(index_key(directory), own.prefix) if own.has_tags else ""
    return Generated(GENERATED_PAGE, render(name, entries), tags)


def _redirect(site: Site, directory: str, leaves: Sequence[Leaf]) -> Generated | None:
    """Give the redirect that belongs at a directory's key, if one does."""
    if not site.descriptor.has_redirect(directory) or _is_gone(leaves):
        return None
    parent, name = split(directory)
    leaf = site.index.leaf_for(parent, name)
    if leaf is None:
        raise MissingLeafError(f"key {directory!r}")
    if leaf.file(name) is not None:
        return None
    return Generated(GENERATED_REDIRECT, render_redirect(name))


def _is_gone(leaves: Sequence[Leaf]) -> bool:
    return all(leaf.gone for leaf in leaves)


def _may_have_lost_its_redirect(own: Descriptor, directory: str, result: _Settled | Exception) -> bool:
    # Of a site without redirects too, which may have had some: an attempt that removed one may have crashed.
    return own.may_have_redirect(directory) and (isinstance(result, Exception) or not result.redirects)
