"""What AWS bills for counted requests."""

from collections.abc import Mapping
from typing import Final

from tests.bench.results import Result

# Dollars, us-east-1, on demand. The price pages: https://aws.amazon.com/s3/pricing/,
# https://aws.amazon.com/dynamodb/pricing/on-demand/, https://aws.amazon.com/sqs/pricing/
S3_WRITE: Final = 5e-6
"""PUT, COPY, POST, LIST; a DELETE is free."""
S3_READ: Final = 0.4e-6
DYNAMODB_WRITE_UNIT: Final = 0.625e-6
DYNAMODB_READ_UNIT: Final = 0.125e-6
SQS_CHUNK: Final = 0.4e-6
"""A request, by 64 KB begun."""
PRICES: Final = (
    f"S3 ${S3_WRITE * 1000:g} a thousand PUT, COPY or LIST, ${S3_READ * 1000:g} a thousand GET or HEAD; DynamoDB"
    f" ${DYNAMODB_WRITE_UNIT * 1e6:g} a million write units, ${DYNAMODB_READ_UNIT * 1e6:g} a million read units;"
    f" SQS ${SQS_CHUNK * 1e6:g} a million requests"
)

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


def median_dollars(result: Result, tool: str) -> float:
    """Give the middle one of a tool's rounds."""
    found = sorted(dollars(row) for row in result.rows[tool])
    return found[len(found) // 2]
