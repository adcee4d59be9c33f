"""What AWS bills for counted requests."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.bench.goals import LEASE_SECONDS, MEGABYTES_OF_A_CPU, RENEWALS, SITE
from tests.bench.results import Result

# Dollars, us-east-1, on demand. The price pages: https://aws.amazon.com/s3/pricing/,
# https://aws.amazon.com/dynamodb/pricing/on-demand/, https://aws.amazon.com/sqs/pricing/,
# https://aws.amazon.com/lambda/pricing/ (Arm), https://aws.amazon.com/cloudfront/pricing/
S3_WRITE: Final = 5e-6
"""PUT, COPY, POST, LIST; a DELETE is free."""
S3_READ: Final = 0.4e-6
DYNAMODB_WRITE_UNIT: Final = 0.625e-6
DYNAMODB_READ_UNIT: Final = 0.125e-6
SQS_CHUNK: Final = 0.4e-6
"""A request, by 64 KB begun."""
LAMBDA_GB_SECOND: Final = 13.3334e-6
LAMBDA_REQUEST: Final = 0.2e-6
CLOUDFRONT_PATH: Final = 0.005
"""Of the first thousand in a month none costs anything; that is left out."""
PRICES: Final = (
    f"S3 ${S3_WRITE * 1000:g} a thousand PUT, COPY or LIST, ${S3_READ * 1000:g} a thousand GET or HEAD; DynamoDB"
    f" ${DYNAMODB_WRITE_UNIT * 1e6:g} a million write units, ${DYNAMODB_READ_UNIT * 1e6:g} a million read units;"
    f" SQS ${SQS_CHUNK * 1e6:g} a million requests"
)

CRON: Final = "awscli"
BILLED_FILES: Final = 1_000_000
_MONTH_SECONDS: Final = 30 * 24 * 3600

_S3_READS: Final = ("s3.GetObject", "s3.HeadObject", "s3.GetObjectAcl", "s3.HeadBucket")
_S3_FREE: Final = ("s3.DeleteObject", "s3.DeleteObjects", "s3.AbortMultipartUpload")


def dollars(row: Mapping[str, Mapping[str, float]]) -> float:
    """Add up one round's requests. Not in it: storage, and what the jobs have the handlers do."""
    total = 0.0
    for operation, count in row["requests"].items():
        if operation in _S3_READS:
            total += count * S3_READ
        elif operation.startswith("s3.") and operation not in _S3_FREE:
            total += count * S3_WRITE
    units = row["units"]
    total += units.get("dynamodb.WriteUnits", 0) * DYNAMODB_WRITE_UNIT
    total += units.get("dynamodb.ReadUnits", 0) * DYNAMODB_READ_UNIT
    batches = sum(count for operation, count in row["requests"].items() if operation.startswith("sqs."))
    return total + max(batches, units.get("sqs.Bytes", 0) / 65_536) * SQS_CHUNK


def lambda_dollars(row: Mapping[str, Any]) -> float:
    """Add up what one round of the handlers costs: requests, Lambda and invalidation paths."""
    # Memory and CPU grow together, so what a second of CPU costs is the same with any memory.
    gigabyte_seconds: float = row["cpu"] * MEGABYTES_OF_A_CPU / 1024
    invocations: int = sum(batch["batches"] for batch in row["batches"].values())
    paths: float = row["units"].get("cloudfront.Paths", 0) * CLOUDFRONT_PATH
    return dollars(row) + gigabyte_seconds * LAMBDA_GB_SECOND + invocations * LAMBDA_REQUEST + paths


def bill(results: Sequence[Result]) -> list[tuple[str, float | None, float | None]]:
    """Give what is billed, siteferry's dollars and `aws s3 sync`'s; None: it was not measured.

    Requests grow with the tree, so the largest tree that a tool was measured with stands for one of BILLED_FILES; what
    one changed file takes is the same in any.
    """

    def cost(case: str, tool: str) -> float | None:
        found = [result for result in results if result.case == case and tool in result.rows]
        if not found:
            return None
        largest = max(found, key=lambda result: result.files)
        return _median_dollars(largest, tool) * (1 if case == "one" else BILLED_FILES / largest.files)

    renewals = _MONTH_SECONDS / LEASE_SECONDS * RENEWALS * DYNAMODB_WRITE_UNIT
    looks = _times(_MONTH_SECONDS / 60, cost("nochange", CRON))
    return [
        ("a first sync", cost("first", SITE), cost("first", CRON)),
        ("a month without a change", renewals, looks),
        (
            "a month of 10,000 changes a day, all at once",
            _sum(renewals, _times(30, cost("changed", SITE))),
            _sum(looks, _times(30, cost("changed", CRON))),
        ),
        (
            "a month of 10,000 changes a day, each in a run of its own",
            _sum(renewals, _times(300_000, cost("one", SITE))),
            None,
        ),
    ]


def _times(number: float, value: float | None) -> float | None:
    return None if value is None else number * value


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _median_dollars(result: Result, tool: str) -> float:
    """Give the middle one of a tool's rounds."""
    found = sorted(dollars(row) for row in result.rows[tool])
    return found[len(found) // 2]
