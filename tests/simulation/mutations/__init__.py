"""Clauses of the protocol, each with the change of the real code that leaves it out.

A simulation that cannot fail proves nothing: each of these must be missed (`test_mutations.py`). The names are those of
the rules of the design.
"""

from collections.abc import Mapping
from typing import Final

from tests.simulation.mutations import duplicates, fencing, guards, invalidations, names, rechecks, recovery
from tests.simulation.mutations.patches import Mutation

MUTATIONS: Final[Mapping[str, Mutation]] = {
    "names": names.names,
    "loop": names.loop,
    "unmark": names.unmark,
    "unmark-delete": names.unmark_delete,
    "ungenerate": names.ungenerate,
    "foreign": names.foreign,
    "spare": names.spare,
    "cas": names.cas,
    "dirty-first": recovery.dirty_first,
    "close-last": recovery.close_last,
    "settle": recovery.settle,
    "settle-again": recovery.settle_again,
    "recover": recovery.recover,
    "recover-checksum": recovery.recover_checksum,
    "recover-modified": recovery.recover_modified,
    "recover-gone": recovery.recover_gone,
    "recover-check": recovery.recover_check,
    "recover-jobs": recovery.recover_jobs,
    "recover-invalidate": recovery.recover_invalidate,
    "check": rechecks.check,
    "check-others": rechecks.check_others,
    "check-gone": rechecks.check_gone,
    "rebuilt": rechecks.rebuilt,
    "after": invalidations.after,
    "always": invalidations.always,
    "modified": invalidations.modified,
    "re-adds": invalidations.re_adds,
    "delete-index": invalidations.delete_index,
    "delete-redirect": invalidations.delete_redirect,
    "lost-redirect": invalidations.lost_redirect,
    "tagged-run": invalidations.tagged_run,
    "fence": fencing.fence,
    "require": fencing.require,
    "watch": fencing.watch,
    "mirror-last": duplicates.mirror_last,
    "mirror-again": duplicates.mirror_again,
    "mirror-exact": duplicates.mirror_exact,
    "own-lease": guards.own_lease,
    "earlier-rules": guards.earlier_rules,
    "brake": guards.brake,
    "hold": guards.hold,
    "hinted-whole": guards.hinted_whole,
}

HARMLESS_AT_REST: Final[Mapping[str, str]] = {
    "spare": (
        "A delete handler that marks a generated page ends by sending a page job, as after every delete of an index"
        " file; the page handler puts the page again, over the marker. The page is missing in between."
    ),
    "cas": (
        "A page handler that put a page over a real index file makes another pass, as does whoever receives its message"
        " after a crash: it finds a generated object over a live key and removes it. If the file was not committed yet,"
        " its commit sends a page job that does. The file is hidden in between."
    ),
    "mirror-exact": (
        "The source is looked at again after the copy, and copied again if it changed. It can only have changed and"
        " changed back if a handler removed a marker or a page of its key; whoever does mirrors it afterwards."
    ),
    "re-adds": (
        "What a cache has of a key that was deleted is the old object, a page, or its absence. The delete job"
        " invalidates after the object is gone or the key is live again, a change of an index file sends a page job"
        " that invalidates, and an absence is cached for seconds only."
    ),
}
"""Those that leave nothing wrong once all is quiet, and why."""

FAMILIES_OF: Final[Mapping[str, str]] = {
    "names": "page over a late mark",
    "loop": "page over a late mark",
    "unmark": "page over a late mark",
    "unmark-delete": "stale page",
    "ungenerate": "page over a late mark",
    "foreign": "page over a late mark",
    "dirty-first": "crash before the commit",
    "close-last": "crash before the jobs",
    "settle": "unknown PUT",
    "settle-again": "unknown PUT",
    "recover": "crash before the commit",
    "recover-checksum": "crash before the commit",
    "recover-modified": "crash before the commit",
    "recover-gone": "crash before the commit",
    "recover-check": "entered over a late mark",
    "recover-jobs": "crash before the jobs",
    "recover-invalidate": "crash before the jobs",
    "check": "deleted before the check",
    "check-others": "page before the commit",
    "check-gone": "deleted before the check",
    "rebuilt": "lost index",
    "after": "visit before the effect",
    "always": "crash before the invalidation",
    "modified": "visited",
    "delete-index": "page before the mark",
    "delete-redirect": "directory for a file",
    "lost-redirect": "file for a directory",
    "tagged-run": "tags come",
    "fence": "asleep before a commit",
    "require": "asleep before a PUT",
    "watch": "PUT in flight",
    "mirror-last": "late mark of a duplicate",
    "mirror-again": "late copy",
    "own-lease": "PUT of a dead agent",
    "earlier-rules": "crash under new header rules",
    "brake": "much is gone",
    "hold": "unmounted",
    "hinted-whole": "",
}
"""The family of schedules that misses a clause soonest."""
