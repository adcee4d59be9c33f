"""Rule 6: effect, then invalidation, always."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import siteferry_lambdas.settle_delete as deleting
import siteferry_lambdas.settle_page as paging
from siteferry.commit import Edited
from siteferry.outbox import Outbox
from siteferry_contract.job import Job, JobKind, encode_job
from siteferry_contract.keys import index_key
from siteferry_contract.leaf import FileEntry
from siteferry_lambdas import wanted
from siteferry_lambdas.mirror import duplicates_of
from tests.simulation.cloud import Cloud
from tests.simulation.handler_ports import HandlerQueues
from tests.simulation.mutations.patches import Patches


def _silent(kind: JobKind) -> AbstractContextManager[Any]:
    real = HandlerQueues.send

    def send(self: HandlerQueues, jobs: Iterable[Any]) -> None:
        real(self, [job for job in jobs if job.kind != kind])

    return patch.object(HandlerQueues, "send", send)


def after() -> Patches:
    """Handlers send their invalidations first."""
    real = Cloud.handle

    def handle(self: Cloud, kind: JobKind, job: Job) -> None:
        keys = [index_key(name) for name in job.names] if kind == "page" else list(job.names)
        keys += [copy for key in keys for copy in duplicates_of(key, self.descriptor)]
        for key in keys:
            self.site.queues.send_body("invalidate", encode_job(replace(job, kind="invalidate", names=(key,))), delay=0)
        real(self, kind, job)

    return [patch.object(Cloud, "handle", handle), _silent("invalidate")]


def always() -> Patches:
    """Handlers invalidate only what this attempt changed."""
    real = HandlerQueues.send

    def send(self: HandlerQueues, jobs: Iterable[Any]) -> None:
        changed = self.touched()
        kept = []
        for job in jobs:
            if job.kind == "invalidate":
                names = tuple(name for name in job.names if name in changed)
                if names:
                    kept.append(replace(job, names=names))
            else:
                kept.append(job)
        real(self, kept)

    return [patch.object(HandlerQueues, "send", send)]


def _following(replaced: Callable[[Edited], Edited]) -> Patches:
    real = Outbox.follow

    def follow(self: Outbox, edited: Edited, change: Any, *, uploaded: bool, forced: bool) -> None:
        real(self, replaced(edited), change, uploaded=uploaded, forced=forced)

    return [patch.object(Outbox, "follow", follow)]


def modified() -> Patches:
    """The agent does not invalidate what it modified."""
    return _following(
        lambda edited: (
            replace(edited, old=None, had_delete=False) if isinstance(edited.old, FileEntry) and edited.new else edited
        )
    )


def re_adds() -> Patches:
    """The agent does not invalidate adds where a delete once was."""
    return _following(lambda edited: replace(edited, had_delete=False))


def delete_index() -> Patches:
    """The delete of an index file does not end with a page job."""
    return [patch.object(deleting, "_directories_to_page", lambda *_: [])]


def delete_redirect() -> Patches:
    """The delete of a file in whose place a directory is does not end with a page job."""
    return [patch.object(deleting, "subdirectories_among", lambda *_: [])]


def lost_redirect() -> Patches:
    """Where no redirect belongs any more, it is not invalidated."""
    return [patch.object(paging, "_may_have_lost_its_redirect", lambda *_: False)]


def tagged_run() -> Patches:
    """As soon as all objects carry tags, everything is invalidated by tags, what earlier runs changed too."""
    return [patch.object(wanted, "all", lambda _: True, create=True)]
