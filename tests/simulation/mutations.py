"""Clauses of the protocol, each with the change of the real code that leaves it out.

A simulation that cannot fail proves nothing: each of these must be caught (`test_mutations.py`). The names are those of
the rules of the design; `HARMLESS_AT_REST` are those that leave nothing wrong once all is quiet.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

import siteferry.disagree
import siteferry.publish
import siteferry_lambdas.mirror as mirroring
import siteferry_lambdas.settle_delete as deleting
import siteferry_lambdas.settle_page as paging
from siteferry.commit import Edited
from siteferry.disagree import Disagreements
from siteferry.head import Applied, Head
from siteferry.lease import Control
from siteferry.mend import Mender
from siteferry.outbox import Outbox
from siteferry.publish import Publisher
from siteferry.recheck import Recheck
from siteferry.report import Summary
from siteferry.run import Effects
from siteferry_contract.job import Job, JobKind, encode_job
from siteferry_contract.keys import index_key
from siteferry_contract.leaf import FileEntry, Leaf
from siteferry_lambdas.errors import StoreError
from siteferry_lambdas.mirror import duplicates_of
from siteferry_lambdas.ports import Marker, Object, Seen, Site
from siteferry_lambdas.report import Report
from tests.simulation.cloud import Cloud
from tests.simulation.handler_ports import HandlerBucket, HandlerQueues
from tests.simulation.table import Table

Patches = Sequence[AbstractContextManager[Any]]
Mutation = Callable[[], Patches]

HARMLESS_AT_REST: Final = frozenset({"spare", "cas", "mirror-exact", "re-adds"})
"""Without them a real page is hidden for a moment, pages flap, or a 404 is cached for its ten seconds; nothing is wrong
in the end."""

RARE: Final = frozenset(
    {
        "unmark-delete", "ungenerate", "settle-again", "recover-modified", "recover-invalidate", "check-others",
        "check-gone", "after", "fence", "require", "watch", "mirror-again",
        "mirror-last",
    }
)  # fmt: skip
"""Those whose loss takes three or more coincidences: it is not seen within the few hundred schedules of a test."""


# ---- rule 1


def _names() -> Patches:
    def decide(_key: str, _leaf: Leaf, seen: Seen) -> str:
        return "mark" if isinstance(seen, Object) and not seen.generated else "settled"

    return [patch.object(deleting, "decide", decide)]


def _loop() -> Patches:
    def settle(site: Site, keys: Iterable[str]) -> Report:
        return deleting._one_pass(site, list(dict.fromkeys(keys)))[1]

    def settle_page(site: Site, directory: str) -> Report:
        return paging._one_pass(site, directory) or Report()

    return [patch.object(deleting, "settle", settle), patch.object(paging, "settle", settle_page)]


# ---- rule 2


def _deciding(replaced: Callable[[str, Seen, str], str]) -> Patches:
    real = deleting.decide

    def decide(key: str, leaf: Leaf, seen: Seen) -> str:
        return replaced(key, seen, real(key, leaf, seen))

    return [patch.object(deleting, "decide", decide)]


def _unmark() -> Patches:
    return _deciding(lambda _, seen, action: "settled" if isinstance(seen, Marker) else action)


def _unmark_delete() -> Patches:
    real = paging._one_pass

    def one_pass(site: Site, directory: str) -> Report | None:
        key = index_key(directory)
        leaves = site.index.directory(directory)
        live = any(
            isinstance(entry, FileEntry) and entry.name == "index.html" for leaf in leaves for entry in leaf.entries
        )
        seen = site.bucket.head(key)
        if live and isinstance(seen, Marker):
            site.bucket.remove_version(key, seen.version_id)
            return Report({"Bared": 1})
        return real(site, directory)

    return [patch.object(paging, "_one_pass", one_pass)]


def _ungenerate() -> Patches:
    real = paging._one_pass

    def one_pass(site: Site, directory: str) -> Report | None:
        leaf = site.index.leaf_for(directory, "index.html")
        return None if leaf and leaf.file("index.html") else real(site, directory)

    bare = _deciding(lambda _, seen, action: "settled" if action == "bare" and isinstance(seen, Object) else action)
    return [*bare, patch.object(paging, "_one_pass", one_pass)]


def _foreign() -> Patches:
    real = HandlerBucket.remove_version

    def remove_version(self: HandlerBucket, key: str, version_id: str) -> None:
        process = self.asking.requests.scheduler.process
        if process and self.bucket.authors.get(version_id) == process.name:
            real(self, key, version_id)
        elif (top := self.bucket.top(key)) and top.id == version_id:
            raise StoreError("it is another's", retry_helps=False)

    real_settle = deleting._one_pass

    def one_pass(site: Site, keys: Iterable[str]) -> tuple[list[str], Report]:
        again, report = real_settle(site, list(keys))
        return again, Report(report.counts, tuple(f for f in report.failures if "another's" not in str(f)))

    real_page = paging._one_pass

    def page_pass(site: Site, directory: str) -> Report | None:
        try:
            return real_page(site, directory)
        except StoreError as error:
            if "another's" in str(error):
                return None
            raise

    return [
        patch.object(HandlerBucket, "remove_version", remove_version),
        patch.object(deleting, "_one_pass", one_pass),
        patch.object(paging, "_one_pass", page_pass),
    ]


def _spare() -> Patches:
    def decide(key: str, leaf: Leaf, seen: Seen) -> str:
        live = leaf.file(key.rpartition("/")[2]) is not None
        generated = isinstance(seen, Object) and seen.generated
        if live:
            return "bare" if generated or isinstance(seen, Marker) else "settled"
        return "mark" if isinstance(seen, Object) else "settled"

    return [patch.object(deleting, "decide", decide)]


def _cas() -> Patches:
    def put(
        self: HandlerBucket,
        key: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        metadata: Mapping[str, str],
        over: Seen,
    ) -> None:
        self.asking.ask(f"putting page {key}", lambda: self.bucket.put(key, body, headers, metadata))
        self.asking.tell(f"has put page {key} over {type(over).__name__}")

    return [patch.object(HandlerBucket, "put", put)]


# ---- rule 4


def _dirty_first() -> Patches:
    """The run's number is taken, but the head says nothing of it before the close."""
    real_close = Control.close_run

    def open_run(self: Control, _: Applied) -> int:
        return self.head.run + 1

    def close_run(self: Control, applied: Applied) -> None:
        self._swap(lambda head: replace(head, run=head.run + 1))
        real_close(self, applied)

    return [patch.object(Control, "open_run", open_run), patch.object(Control, "close_run", close_run)]


def _close_last() -> Patches:
    waiting: dict[int, list[Callable[[], None]]] = {}
    real_flush, real_close = Outbox._flush, Control.close_run

    def flush(self: Outbox, kind: Any) -> None:
        names = self._names.pop(kind)

        def send() -> None:
            self._names[kind] = names
            real_flush(self, kind)

        waiting.setdefault(self._run, []).append(send)

    def close_run(self: Control, applied: Applied) -> None:
        real_close(self, applied)
        for send in waiting.pop(self.head.run, ()):
            send()

    return [patch.object(Outbox, "_flush", flush), patch.object(Control, "close_run", close_run)]


def _settle() -> Patches:
    """What is not known is taken for not done, and forgotten."""
    return [*_settle_again(), patch.object(Publisher, "_ours", lambda *_: None)]


def _settle_again() -> Patches:
    real = Effects._settle

    def settle(self: Effects, change: Any, future: Any) -> Any:
        before = self.unknown
        published = real(self, change, future)
        self.unknown = before
        return published

    return [patch.object(siteferry.publish, "TRIES", 1), patch.object(Effects, "_settle", settle)]


def _recover() -> Patches:
    def recover(self: Mender, _head: Head) -> Summary:
        self.carrier.tenancy.control.close_run(Applied.of(self.parts.descriptor))
        return Summary(recovered=True)

    return [patch.object(Mender, "recover", recover)]


def _recover_checksum() -> Patches:
    return [patch.object(siteferry.disagree, "CLOCK_SKEW", timedelta(days=-3000))]


def _recover_modified() -> Patches:
    def resolve_all(self: Disagreements, key: str) -> bool:
        self.resolve(key)
        return False

    return [patch.object(Disagreements, "is_suspect", resolve_all), patch.object(Disagreements, "count", lambda _: 0)]


def _recover_gone() -> Patches:
    real = Disagreements._add

    def add(self: Disagreements, table: str, key: str, why: str) -> None:
        if table != "stray":
            real(self, table, key, why)

    return [patch.object(Disagreements, "_add", add)]


def _recover_jobs() -> Patches:
    def jobs_again(_: Mender, outbox: Outbox, _first: int) -> None:
        outbox.invalidate_everything()
        outbox.flush()

    return [patch.object(Mender, "_jobs_again", jobs_again)]


def _recover_invalidate() -> Patches:
    return [patch.object(Outbox, "invalidate_everything", lambda _: None)]


# ---- rule 5


def _check() -> Patches:
    return [patch.object(Effects, "_recheck", lambda *_: None)]


def _check_others() -> Patches:
    return [patch.object(Publisher, "is_ours", lambda self, key, _: self._store.head(key) is not None)]


def _check_gone() -> Patches:
    real = Recheck._again

    def again(self: Recheck, change: Any) -> Any:
        return real(self, change) if self.tree.is_regular_file(change.path, change.raw) else []

    return [patch.object(Recheck, "_again", again)]


# ---- rule 6


def _silent(kind: JobKind) -> AbstractContextManager[Any]:
    real = HandlerQueues.send

    def send(self: HandlerQueues, jobs: Iterable[Any]) -> None:
        real(self, [job for job in jobs if job.kind != kind])

    return patch.object(HandlerQueues, "send", send)


def _after() -> Patches:
    """Handlers send their invalidations first."""
    real = Cloud.handle

    def handle(self: Cloud, kind: JobKind, job: Job) -> None:
        keys = [index_key(name) for name in job.names] if kind == "page" else list(job.names)
        keys += [copy for key in keys for copy in duplicates_of(key, self.descriptor)]
        for key in keys:
            self.site.queues.send_body("invalidate", encode_job(replace(job, kind="invalidate", names=(key,))), delay=0)
        real(self, kind, job)

    return [patch.object(Cloud, "handle", handle), _silent("invalidate")]


def _always() -> Patches:
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


def _modified() -> Patches:
    return _following(
        lambda edited: (
            replace(edited, old=None, had_delete=False) if isinstance(edited.old, FileEntry) and edited.new else edited
        )
    )


def _re_adds() -> Patches:
    return _following(lambda edited: replace(edited, had_delete=False))


# ---- rule 7


def _fence() -> Patches:
    real = Table.transact

    def transact(self: Table, leaves: Sequence[Leaf], own: str) -> bool:
        held, self.head_item = self.head_item, {"lease_token": {"S": own}}
        try:
            return real(self, leaves, own)
        finally:
            self.head_item = held

    return [patch.object(Table, "transact", transact)]


def _require() -> Patches:
    def require(self: Control, _: float) -> None:
        self.left()  # a look at the clock, that decides nothing

    return [patch.object(Control, "require", require)]


def _watch() -> Patches:
    """A lease is taken at once, whoever has it."""
    return [patch.object(Control, "_watch", lambda *_: None)]


# ---- rule 8


def _mirror_last() -> Patches:
    def mirror_all(site: Site, pairs: Iterable[tuple[str, str]]) -> Report:
        for source, duplicate in pairs:
            directory, _, name = source.rpartition("/")
            leaf = site.index.leaf_for(directory, name)
            if leaf is None or leaf.file(name) is None:
                for failure in site.bucket.put_markers([duplicate]).values():
                    raise failure
        return Report()

    return [patch.object(deleting, "mirror_all", mirror_all)]


def _mirror_again() -> Patches:
    def mirror(bucket: Any, source: str, duplicate: str) -> Report:
        return mirroring._follow(bucket, source, bucket.head(source), duplicate)

    return [patch.object(mirroring, "mirror", mirror)]


def _mirror_exact() -> Patches:
    def copy(self: HandlerBucket, source: str, seen: Object, destination: str) -> None:
        del seen
        found = self.asking.ask(f"copying {source}", lambda: self.bucket.current(source))
        if found is not None:
            self.asking.ask(f"copying {source}", lambda: self.bucket.write_copy(found, destination))

    return [patch.object(HandlerBucket, "copy", copy)]


# ---- section 7


def _delete_index() -> Patches:
    return [patch.object(deleting, "_directories_to_page", lambda *_: [])]


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "names": _names,
    "loop": _loop,
    "unmark": _unmark,
    "unmark-delete": _unmark_delete,
    "ungenerate": _ungenerate,
    "foreign": _foreign,
    "spare": _spare,
    "cas": _cas,
    "dirty-first": _dirty_first,
    "close-last": _close_last,
    "settle": _settle,
    "settle-again": _settle_again,
    "recover": _recover,
    "recover-checksum": _recover_checksum,
    "recover-modified": _recover_modified,
    "recover-gone": _recover_gone,
    "recover-jobs": _recover_jobs,
    "recover-invalidate": _recover_invalidate,
    "check": _check,
    "check-others": _check_others,
    "check-gone": _check_gone,
    "after": _after,
    "always": _always,
    "modified": _modified,
    "re-adds": _re_adds,
    "fence": _fence,
    "require": _require,
    "watch": _watch,
    "mirror-last": _mirror_last,
    "mirror-again": _mirror_again,
    "mirror-exact": _mirror_exact,
    "delete-index": _delete_index,
}
