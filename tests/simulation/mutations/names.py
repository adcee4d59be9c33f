"""Rules 1 and 2: jobs carry names, and who may write where."""

from collections.abc import Callable, Iterable, Mapping
from unittest.mock import patch

import siteferry_lambdas.settle_delete as deleting
import siteferry_lambdas.settle_page as paging
from siteferry_contract.keys import index_key
from siteferry_contract.leaf import FileEntry, Leaf
from siteferry_lambdas.errors import StoreError
from siteferry_lambdas.ports import Marker, Object, Seen, Site
from siteferry_lambdas.report import Report
from tests.simulation.handler_ports import HandlerBucket
from tests.simulation.mutations.patches import Patches


def names() -> Patches:
    """Handlers do what a message says."""

    def decide(_key: str, _leaf: Leaf, seen: Seen) -> str:
        return "mark" if isinstance(seen, Object) and not seen.generated else "settled"

    return [patch.object(deleting, "decide", decide)]


def loop() -> Patches:
    """Handlers make one pass."""

    def settle(site: Site, keys: Iterable[str]) -> Report:
        return deleting._one_pass(site, list(dict.fromkeys(keys)))[1]

    def settle_page(site: Site, directory: str) -> paging._Settled:
        done, redirects = paging._one_pass(site, directory)
        return paging._Settled(done or Report(), redirects)

    return [patch.object(deleting, "settle", settle), patch.object(paging, "settle", settle_page)]


def _deciding(replaced: Callable[[str, Seen, str], str]) -> Patches:
    real = deleting.decide

    def decide(key: str, leaf: Leaf, seen: Seen) -> str:
        return replaced(key, seen, real(key, leaf, seen))

    return [patch.object(deleting, "decide", decide)]


def unmark() -> Patches:
    """A delete marker over a live key stays."""
    return _deciding(lambda _, seen, action: "settled" if isinstance(seen, Marker) else action)


def unmark_delete() -> Patches:
    """The page handler removes delete markers too."""
    real = paging._one_pass

    def one_pass(site: Site, directory: str) -> tuple[Report | None, bool]:
        key = index_key(directory)
        leaves = site.index.directory(directory)
        live = any(
            isinstance(entry, FileEntry) and entry.name == "index.html" for leaf in leaves for entry in leaf.entries
        )
        seen = site.bucket.head(key)
        if live and isinstance(seen, Marker):
            site.bucket.remove_version(key, seen.version_id)
            return Report({"KeysBared": 1}), False
        return real(site, directory)

    return [patch.object(paging, "_one_pass", one_pass)]


def ungenerate() -> Patches:
    """A generated object over a live key stays."""
    real = paging._one_pass

    def one_pass(site: Site, directory: str) -> tuple[Report | None, bool]:
        leaf = site.index.leaf_for(directory, "index.html")
        return (None, False) if leaf and leaf.file("index.html") else real(site, directory)

    bare = _deciding(lambda _, seen, action: "settled" if action == "bare" and isinstance(seen, Object) else action)
    return [*bare, patch.object(paging, "_one_pass", one_pass)]


def foreign() -> Patches:
    """Handlers remove only what they wrote themselves."""
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

    def page_pass(site: Site, directory: str) -> tuple[Report | None, bool]:
        try:
            return real_page(site, directory)
        except StoreError as error:
            if "another's" in str(error):
                return None, False
            raise

    return [
        patch.object(HandlerBucket, "remove_version", remove_version),
        patch.object(deleting, "_one_pass", one_pass),
        patch.object(paging, "_one_pass", page_pass),
    ]


def spare() -> Patches:
    """The delete handler puts markers over generated objects too."""

    def decide(key: str, leaf: Leaf, seen: Seen) -> str:
        live = leaf.file(key.rpartition("/")[2]) is not None
        generated = isinstance(seen, Object) and seen.generated
        if live:
            return "bare" if generated or isinstance(seen, Marker) else "settled"
        return "mark" if isinstance(seen, Object) else "settled"

    return [patch.object(deleting, "decide", decide)]


def cas() -> Patches:
    """The page handler writes whatever is there."""

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
