"""What a copy job does: each key's duplicates become what the key is."""

from siteferry_contract.job import Job, make_jobs
from siteferry_lambdas.mirror import duplicates_of, mirror_all
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report


def handle_copy(site: Site, job: Job) -> Report:
    """Mirror, then invalidate every duplicate, whether or not it changed: an attempt that crashed may have."""
    own = site.descriptor
    pairs = [(key, duplicate) for key in dict.fromkeys(job.names) for duplicate in duplicates_of(key, own)]
    report = mirror_all(site, pairs)
    changed = [duplicate for _, duplicate in pairs]
    site.queues.send(make_jobs("invalidate", changed, site=own.site, run=job.run))
    return report.checked()
