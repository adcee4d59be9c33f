"""Jobs: SQS messages that carry names, not orders.

A job says which keys (or directories) to look at; what is to be done follows from the index and S3 as they are when
the job is handled. So a job may come late, twice, or out of order. Versioned JSON, ASCII only, because SQS refuses
characters that XML 1.0 does not have.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from siteferry_contract.errors import ContractError, shown
from siteferry_contract.keys import check_directory, check_key
from siteferry_contract.versions import WRITTEN, check_version

JobKind = Literal["copy", "delete", "page", "invalidate"]
JOB_KINDS: Final[tuple[JobKind, ...]] = get_args(JobKind)

MAX_MESSAGE_BYTES: Final = 250_000
"""Under 256 KB, so that a batch of them stays well under what Lambda takes in one event (6 MB)."""

MAX_ID: Final = 64
"""Characters. Ours have 32; it is in every line that a handler logs."""
MAX_NAMES: Final[dict[JobKind, int]] = {"copy": 100, "delete": 1000, "page": 100, "invalidate": 1000}
"""Names in one job: what a handler settles well within its time-out; 1,000 keys is also one DeleteObjects request."""

UNTAGGED: Final = 0
"""The run of an invalidate job about what never carries cache tags: it is invalidated by paths."""

EVERYTHING: Final = "/"
"""The name, in an invalidate job, of the whole site. No key begins with a slash."""

_ENVELOPE_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class Job:
    """One message."""

    kind: JobKind
    site: str
    run: int
    """The run that sent it. It decides how precisely something is invalidated, never what is done to an object."""
    names: tuple[str, ...]
    """Keys; directory keys for `page`."""
    id: str


def make_jobs(kind: JobKind, names: Iterable[str], *, site: str, run: int) -> Iterator[Job]:
    """Cut names into jobs that keep within both limits, in the order given."""
    batch: list[str] = []
    size = 0
    for name in names:
        length = len(json.dumps(name)) + 1
        if batch and (len(batch) >= MAX_NAMES[kind] or size + length > MAX_MESSAGE_BYTES - _ENVELOPE_BYTES):
            yield Job(kind, site, run, tuple(batch), uuid.uuid4().hex)
            batch, size = [], 0
        batch.append(name)
        size += length
    if batch:
        yield Job(kind, site, run, tuple(batch), uuid.uuid4().hex)


def encode_job(job: Job) -> str:
    """Encode a job as the body of a message."""
    fields = {
        "version": WRITTEN["job"],
        "kind": job.kind,
        "site": job.site,
        "run": job.run,
        "id": job.id,
        "names": job.names,
    }
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))


def decode_job(body: str, *, kind: JobKind, site: str, prefix: str) -> Job:
    """Decode a message that came by the queue of `kind`; raises ContractError that says what was seen."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"message is not JSON: {error}; it begins {shown(body)}") from error
    if not isinstance(fields, dict):
        raise ContractError(f"message is {type(fields).__name__}, not an object; it begins {shown(body)}")
    check_version("job", fields.get("version"))
    expected = {"version", "kind", "site", "run", "id", "names"}
    if fields.keys() != expected:
        raise ContractError(f"job has the fields {shown(sorted(map(str, fields)))}, expected {sorted(expected)}")
    if fields["kind"] != kind:
        raise ContractError(f"job of kind {shown(fields['kind'])} came by the queue for {kind!r}")
    if fields["site"] != site:
        raise ContractError(f"job is for site {shown(fields['site'])}, this is {site!r}")
    run, job_id, names = fields["run"], fields["id"], fields["names"]
    if type(run) is not int or not isinstance(job_id, str) or not isinstance(names, list):
        raise ContractError(f"job {shown(job_id)} has fields of the wrong types")
    if len(job_id) > MAX_ID:
        raise ContractError(f"job {shown(job_id)} has an id of {len(job_id)} characters, at most {MAX_ID} are taken")
    if len(names) > MAX_NAMES[kind]:
        raise ContractError(f"job {shown(job_id)} has {len(names)} names, at most {MAX_NAMES[kind]} for {kind}")
    return Job(kind, site, run, tuple(_check_name(kind, name, prefix) for name in names), job_id)


def _check_name(kind: JobKind, name: object, prefix: str) -> str:
    if kind == "invalidate" and name == EVERYTHING:
        return EVERYTHING
    return check_directory(name, prefix) if kind == "page" else check_key(name, prefix)
