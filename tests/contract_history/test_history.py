"""What releases wrote is read by this one, and what this one writes is what it was, or has another version."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from siteferry.head import item_to_head
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.index import item_to_leaf
from siteferry_contract.job import decode_job
from siteferry_contract.shape import item_to_shape
from siteferry_contract.versions import READ, WRITTEN, Format
from tests.contract_history import samples

RELEASES = sorted(
    (folder for folder in Path(__file__).parent.iterdir() if (folder / "job.json").exists()),
    key=lambda folder: [int(part) for part in folder.name.split(".")],
)
FORMATS = ("descriptor", "job", "leaf", "head", "shape", "agreed")
_REMEDY = (
    "What an earlier release cannot read is another version (siteferry_contract.versions, docs/upgrade.md). Then, and"
    " for what it may overlook, record the new one as a new release: python -m tests.contract_history RELEASE"
)


def _record(folder: Path, format_: str) -> Any:
    return json.loads((folder / f"{format_}.json").read_text("utf-8"))


def test_there_is_a_record() -> None:
    """The first release is recorded, with every format."""
    assert RELEASES[0].name == "0.1.0"
    assert {path.stem for path in RELEASES[0].iterdir()} == set(FORMATS)


@pytest.mark.parametrize("format_", FORMATS)
def test_what_is_written_is_what_is_recorded(format_: str) -> None:
    """Nobody changes by accident what other releases have to read."""
    assert json.loads(json.dumps(samples.written()[format_])) == _record(RELEASES[-1], format_), _REMEDY


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", samples.DESCRIPTORS)
def test_an_earlier_stacks_descriptor_is_read(release: Path, name: str) -> None:
    """An agent takes from an earlier stack's descriptor what was said in it."""
    assert Descriptor.from_json(json.dumps(_record(release, "descriptor")[name])) == samples.DESCRIPTORS[name]


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", samples.JOBS)
def test_an_earlier_agents_job_is_read(release: Path, name: str) -> None:
    """A handler does what an earlier agent sent, however late it comes."""
    job = samples.JOBS[name]
    body = json.dumps(_record(release, "job")[name])
    assert decode_job(body, kind=job.kind, site=job.site, prefix=samples.PREFIX) == job


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
def test_an_earlier_agents_index_is_read(release: Path) -> None:
    """Leaves, head and shape of an earlier agent say now what they said then."""
    leaves, heads, shapes = (_record(release, format_) for format_ in ("leaf", "head", "shape"))
    assert {name: item_to_leaf(samples.as_item(item)) for name, item in leaves.items()} == samples.LEAVES
    assert {name: item_to_head(item) for name, item in heads.items()} == samples.HEADS
    assert {name: item_to_shape(samples.as_item(item)) for name, item in shapes.items()} == samples.SHAPES


@pytest.mark.parametrize("format_", ["job", "leaf", "shape"])
def test_a_version_means_one_thing(format_: Format) -> None:
    """Releases that give what they write the same version write the same, and this one reads each of them."""
    by_version: dict[int, Any] = {WRITTEN[format_]: json.loads(json.dumps(samples.written()[format_]))}
    for release in RELEASES:
        record = _record(release, format_)
        versions = {_version(format_, sample) for sample in record.values()}
        assert len(versions) == 1
        version = versions.pop()
        assert version in READ[format_]
        assert by_version.setdefault(version, record) == record, _REMEDY


def _version(format_: Format, sample: Any) -> int:
    if format_ == "leaf":
        return samples.as_item(sample)["blob"]["B"][0]  # type: ignore[no-any-return]
    version = sample["version"]
    return int(version["N"]) if isinstance(version, dict) else version


def test_a_stack_says_no_less_than_the_ones_before() -> None:
    """Under one version a descriptor only ever gets more fields, which earlier agents overlook."""
    records = [_record(release, "descriptor") for release in RELEASES]
    for earlier, later in pairwise([*records, samples.written()["descriptor"]]):
        for name, sample in earlier.items():
            following = later[name]
            if following["version"] == sample["version"]:
                assert sample.keys() <= following.keys(), _REMEDY
