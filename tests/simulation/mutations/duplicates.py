"""Rule 8: duplicates only mirror."""

from collections.abc import Iterable
from typing import Any
from unittest.mock import patch

import siteferry_lambdas.mirror as mirroring
import siteferry_lambdas.settle_delete as deleting
from siteferry_lambdas.ports import Object, Site
from siteferry_lambdas.report import Report
from tests.simulation.handler_ports import HandlerBucket
from tests.simulation.mutations.patches import Patches


def mirror_last() -> Patches:
    """The delete handler marks the duplicates of dead keys."""

    def mirror_all(site: Site, pairs: Iterable[tuple[str, str]]) -> Report:
        for source, duplicate in pairs:
            directory, _, name = source.rpartition("/")
            leaf = site.index.leaf_for(directory, name)
            if leaf is None or leaf.file(name) is None:
                for failure in site.bucket.put_markers([duplicate]).values():
                    raise failure
        return Report()

    return [patch.object(deleting, "mirror_all", mirror_all)]


def mirror_again() -> Patches:
    """The source is not looked at again."""

    def mirror(bucket: Any, source: str, duplicate: str) -> Report:
        return mirroring._follow(bucket, source, bucket.head(source), duplicate)

    return [patch.object(mirroring, "mirror", mirror)]


def mirror_exact() -> Patches:
    """Whatever is there is copied."""

    def copy(self: HandlerBucket, source: str, seen: Object, destination: str) -> None:
        del seen
        found = self.asking.ask(f"copying {source}", lambda: self.bucket.current(source))
        if found is not None:
            self.asking.ask(f"copying {source}", lambda: self.bucket.write_copy(found, destination))

    return [patch.object(HandlerBucket, "copy", copy)]
