"""The bucket with its versions, in memory, as a restore reads it."""
# ruff: noqa: D102 - the port says what each method does

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from siteferry.checksum import crc64nvme
from siteferry.errors import RefusedError
from siteferry.ports import Content, ListedObject, ObjectInfo, ObjectVersion
from siteferry.restore.plan import RestorePlan
from siteferry.restore.report import Document
from siteferry.restore.restore import Asked, Restorer
from siteferry.restore.tally import RestoreSummary
from siteferry.restore.target import Target
from tests.unit.agent.fakes import Faults, MemoryObjects, StoredObject, World

CHUNK = 3


class MemoryArchive:
    """Implements `Archive`; times have whole seconds, as S3's have."""

    def __init__(self, objects: MemoryObjects, faults: Faults) -> None:
        self._objects, self._faults = objects, faults
        self.gets: list[str] = []

    def list(self, prefix: str) -> Iterator[ListedObject]:
        with self._faults.request("archive list"):
            found = dict(self._objects.current)
        for key in sorted(found, key=str.encode):
            if key.startswith(prefix):
                with self._faults.request("archive listed"):
                    modified = datetime.fromtimestamp(int(found[key].modified), UTC)
                    yield ListedObject(key, len(found[key].body), modified, found[key].etag)

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        history = self._objects.current.history
        for key in sorted(history, key=str.encode):
            if not key.startswith(prefix):
                continue
            for number in range(len(history[key]), 0, -1):
                at, found = history[key][number - 1]
                with self._faults.request("archive versions"):
                    size, etag = (len(found.body), found.etag) if found else (None, "")
                    modified = datetime.fromtimestamp(int(at), UTC)
                    yield ObjectVersion(key, f"v{number}", modified, size, etag, number == len(history[key]))

    def head(self, key: str, version: str | None = None) -> ObjectInfo | None:
        with self._faults.request("archive head"):
            found = self._find(key, version)
            if found is None:
                return None
            return ObjectInfo(len(found.body), crc64nvme(found.body), _metadata(found), {}, found.etag)

    def get(self, key: str, size: int, version: str | None = None) -> Content:
        with self._faults.request("archive get"):
            found = self._find(key, version)
            if found is None:
                raise RefusedError("it is not there")
            self.gets.append(key)
        body = found.body

        def chunks() -> Iterator[bytes]:
            for start in range(0, len(body), CHUNK):
                with self._faults.request("archive chunk"):
                    yield body[start : start + CHUNK]

        return Content(len(body), _metadata(found), chunks())

    def _find(self, key: str, version: str | None) -> StoredObject | None:
        if version is None:
            return self._objects.current.get(key)
        return self._objects.current.history[key][int(version[1:]) - 1][1]


def _metadata(found: StoredObject) -> dict[str, str]:
    metadata = {n.removeprefix("x-amz-meta-"): v for n, v in found.headers.items() if n.startswith("x-amz-meta-")}
    return metadata | ({"siteferry-generated": "directory-page"} if found.generated else {})


class Restored:
    """What came of a restore."""

    def __init__(self, plan: RestorePlan, summary: RestoreSummary, failures: dict[str, str], gets: list[str]) -> None:
        self.totals, self.hold_reason, self.summary, self.failures = plan.totals, plan.hold_reason, summary, failures
        self.steps = {step.path: (step.do.value, step.reason) for step in plan.all()}
        self.left = dict(plan.problems())
        self.gets = gets


def restore(world: World, destination: Path, asked: Asked) -> Restored:
    """Restore from a site's cloud, by an agent without any state."""
    document = Document()
    archive = MemoryArchive(world.objects, world.faults)
    with world.agent() as site, Target(destination) as target, RestorePlan() as plan:
        restorer = Restorer(site.parts, archive)
        restorer.plan(asked, target, plan)
        summary = restorer.carry_out(plan, target, document)
        failures = {failure["path"]: failure["reason"] for failure in document.failures}
        return Restored(plan, summary, failures, archive.gets)
