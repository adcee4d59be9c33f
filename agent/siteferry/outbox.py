"""The jobs of a run, gathered into few messages."""

from typing import Final

from siteferry.commit import Edited
from siteferry.plan import Action, Change
from siteferry.ports import JobQueues
from siteferry_contract.copy_rules import duplicates, is_reserved_directory
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import EVERYTHING, JobKind, make_jobs
from siteferry_contract.keys import INDEX_NAME
from siteferry_contract.leaf import FileEntry

FLUSH_AT: Final = 1000


class Outbox:
    """Collects names by kind of job, and sends them. Everything that was added is sent by `flush`."""

    def __init__(self, queues: JobQueues, descriptor: Descriptor, run: int) -> None:
        self._queues, self._descriptor, self._run = queues, descriptor, run
        # A dict for its order: the keys of one leaf stay together, so that a handler reads the leaf once.
        self._names: dict[JobKind, dict[str, None]] = {}

    def delete(self, key: str) -> None:
        """Have a dead key, its duplicates and the caches cleared."""
        self._add("delete", key)

    def copy(self, key: str) -> None:
        """Have a key mirrored to its duplicates, if a copy rule gives it any."""
        if any(duplicates(key, self._descriptor.prefix, self._descriptor.copy_rules)):
            self._add("copy", key)

    def page(self, directory: str, *, anyway: bool = False) -> None:
        """Have a directory's page made again, if the site has such pages, or `anyway`: it may be one too many."""
        own = self._descriptor
        wanted = own.directory_pages or anyway
        if wanted and not is_reserved_directory(directory.removeprefix(own.prefix), own.copy_rules):
            self._add("page", directory)

    def redirect(self, directory: str) -> None:
        """Have a directory's redirect made, or taken away, if the site has such redirects; its page as well."""
        if self._descriptor.has_redirect(directory):
            self._add("page", directory)

    def invalidate(self, key: str) -> None:
        """Have a key taken out of the caches."""
        self._add("invalidate", key)

    def invalidate_everything(self) -> None:
        """Have the whole site taken out of the caches."""
        self._add("invalidate", EVERYTHING)

    def follow(self, edited: Edited, change: Change, *, uploaded: bool, forced: bool) -> None:
        """Add the jobs that follow from the commit of a file's entry (rule 6).

        What replaces something visitors may have cached is invalidated: a modified file, one that was put for another
        reason than a difference of the tree (`forced`), and an add where a delete once was.
        """
        if edited.name.endswith("/"):
            return
        if edited.new is None:
            self.delete(change.key)
        elif change.action is Action.ADOPT or (change.action is Action.COMPARE and not uploaded):
            self.copy(change.key)
        elif uploaded:
            self.copy(change.key)
            if isinstance(edited.old, FileEntry) or edited.had_delete or forced:
                self.invalidate(change.key)
        else:
            return
        if change.name == INDEX_NAME:
            self.page(change.directory)

    def follow_headers(self, change: Change) -> None:
        """Add the jobs that follow from other headers of a published object."""
        self.copy(change.key)
        self.invalidate(change.key)
        if change.name == INDEX_NAME:
            self.page(change.directory)

    def flush(self) -> None:
        """Send everything; raises what the queues raise."""
        for kind in tuple(self._names):
            self._flush(kind)

    def flush_full(self) -> None:
        """Send what is enough for a message."""
        for kind, names in tuple(self._names.items()):
            if len(names) >= FLUSH_AT:
                self._flush(kind)

    def _add(self, kind: JobKind, name: str) -> None:
        self._names.setdefault(kind, {})[name] = None

    def _flush(self, kind: JobKind) -> None:
        jobs = list(make_jobs(kind, self._names[kind], site=self._descriptor.site, run=self._run))
        self._queues.send(jobs)
        del self._names[kind]
