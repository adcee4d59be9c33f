"""What a delete job does (rules 1, 2 and 3): live keys get bared, dead ones get a delete marker."""

from collections.abc import Collection, Mapping
from typing import Final, Literal

from siteferry_contract.copy_rules import original_of
from siteferry_contract.job import Job, make_jobs
from siteferry_contract.keys import INDEX_NAME, split
from siteferry_contract.leaf import Leaf
from siteferry_lambdas.errors import UnsettledError
from siteferry_lambdas.lookup import leaves_for, subdirectories_among
from siteferry_lambdas.mirror import duplicates_of, mirror_all
from siteferry_lambdas.ports import Marker, Object, Seen, Site
from siteferry_lambdas.report import Report, caught, total

PASSES: Final = 6
"""Of one attempt. Handing the job back to its queue is as good as one more."""

Action = Literal["settled", "bare", "mark", "spare"]
"""`spare`: a generated object is the page handler's business, where that may have made it."""


def handle_delete(site: Site, job: Job) -> Report:
    """Settle, mirror, invalidate, and have the pages made of directories whose index file it was."""
    own = site.descriptor
    # A key that only duplicates may have, deleted for real before a copy rule reserved it: it only mirrors.
    reserved = [
        (original, key) for key in job.names if (original := original_of(key, own.prefix, own.copy_rules)) is not None
    ]
    ordinary = [key for key in job.names if key not in {key for _, key in reserved}]
    pairs = [(key, duplicate) for key in ordinary for duplicate in duplicates_of(key, own)]
    report = settle(site, ordinary) + mirror_all(site, [*pairs, *reserved])
    changed = dict.fromkeys([*job.names, *(duplicate for _, duplicate in pairs)])
    site.queues.send(make_jobs("invalidate", changed, site=own.site, run=job.run))
    if directories := _directories_to_page(site, ordinary):
        site.queues.send(make_jobs("page", directories, site=own.site, run=job.run))
    return report.checked()


def settle(site: Site, keys: Collection[str]) -> Report:
    """Repeat, for each key: read the index, then S3, then act; until a pass finds nothing to do."""
    report = Report()
    pending = list(dict.fromkeys(keys))
    for _ in range(PASSES):
        if not pending:
            return report
        pending, done = _one_pass(site, pending)
        report += done
    return report + Report(failures=tuple(UnsettledError(f"key {key!r}", PASSES) for key in pending))


def decide(key: str, leaf: Leaf, seen: Seen) -> Action:
    """Say what is to be done about a key. The index is read before S3 is looked at, never the other way round."""
    _, name = split(key)
    generated = isinstance(seen, Object) and seen.generated
    if leaf.file(name) is not None:
        return "bare" if generated or isinstance(seen, Marker) else "settled"
    if not isinstance(seen, Object):
        return "settled"
    return "spare" if generated else "mark"


def _is_in_its_place(site: Site, key: str) -> bool:
    """Tell whether a generated object may be a directory's page or redirect. If not, no page job will take it away."""
    return split(key)[1] == INDEX_NAME or bool(subdirectories_among(site.index, [key], site.parallel))


def _one_pass(site: Site, keys: Collection[str]) -> tuple[list[str], Report]:
    """Give the keys that need another pass: those that were acted upon."""
    leaves = leaves_for(site.index, keys, site.parallel)
    known = {key: leaf for key, leaf in leaves.items() if isinstance(leaf, Leaf)}
    unknown = tuple(error for error in leaves.values() if isinstance(error, Exception))

    def look(key: str) -> tuple[str, Action]:
        seen = site.bucket.head(key)
        action = decide(key, known[key], seen)
        if action == "spare":
            action = "settled" if _is_in_its_place(site, key) else "mark"
        if action == "bare" and isinstance(seen, Marker | Object):
            site.bucket.remove_version(key, seen.version_id)
        return key, action

    outcomes = site.parallel(caught(look), known)
    actions = dict(outcome for outcome in outcomes if not isinstance(outcome, Exception))
    report = Report(failures=(*unknown, *(outcome for outcome in outcomes if isinstance(outcome, Exception))))
    return _mark(site, actions, report)


def _mark(site: Site, actions: Mapping[str, Action], report: Report) -> tuple[list[str], Report]:
    bared = [key for key, action in actions.items() if action == "bare"]
    to_mark = [key for key, action in actions.items() if action == "mark"]
    failed = site.bucket.put_markers(to_mark) if to_mark else {}
    marked = [key for key in to_mark if key not in failed]
    counts = {"KeysBared": len(bared), "KeysDeleted": len(marked)}
    return [*bared, *marked], total((report, Report(counts, tuple(failed.values()))))


def _directories_to_page(site: Site, keys: Collection[str]) -> list[str]:
    # Of a site without pages or redirects too: this handler leaves a generated object to the page handler, which takes
    # it away.
    pages = (directory for directory, name in map(split, keys) if name == INDEX_NAME)
    redirects = subdirectories_among(site.index, keys, site.parallel) if site.descriptor.has_redirects else ()
    return list(dict.fromkeys([*pages, *redirects]))
