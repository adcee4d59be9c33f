"""What a site costs a month, for three sizes: `python -m tests.bench cost` writes docs/cost.md."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from siteferry_infra.settings import SiteSettings
from tests.bench.bill import CLOUDFRONT_PATH, DYNAMODB_WRITE_UNIT, S3_READ, S3_WRITE, SQS_CHUNK
from tests.bench.goals import LEASE_SECONDS, RENEWALS

DEFAULTS: Final = SiteSettings(name="site")
DAYS: Final = 30
_MONTH_SECONDS: Final = DAYS * 86_400

PRICES_OF: Final = "2026-11"
"""The month of the prices here and in bill.py: dollars, of us-east-1, and of CloudFront in North America and Europe."""
S3_GIGABYTE: Final = 0.023
"""A month, Standard, of the first 50 TB (https://aws.amazon.com/s3/pricing/)."""
DYNAMODB_GIGABYTE: Final = 0.25 + 0.20
"""A month, with point-in-time recovery (https://aws.amazon.com/dynamodb/pricing/on-demand/)."""
CDN_GIGABYTE: Final = ((1_000, 0.0), (10_000, 0.085), (50_000, 0.080), (150_000, 0.060), (float("inf"), 0.040))
"""Up to how many GB a month, and what one costs (https://aws.amazon.com/cloudfront/pricing/)."""
CDN_REQUEST: Final = 0.01 / 10_000
CDN_FREE_REQUESTS: Final = 10_000_000
CDN_FUNCTION: Final = 0.1e-6
"""A run of a CloudFront Function; each request has one, and an answer of the generated kind another."""
CDN_FREE_FUNCTIONS: Final = 2_000_000
FREE_PATHS: Final = 1_000
BUDGET: Final = DEFAULTS.invalidation_budget
"""Invalidation paths a month that a site spends at most, unless sites.toml says otherwise."""
METRIC: Final = 0.30
ALARM: Final = 0.10
PUT_METRIC: Final = 0.01 / 1_000
"""CloudWatch: a metric and an alarm a month, a request (https://aws.amazon.com/cloudwatch/pricing/)."""
LOG_GIGABYTE: Final = 0.50

# What siteferry does, from docs/benchmarks.md and the template.
REQUESTS_OF_A_CHANGE: Final = 10.8e-6
"""Dollars for the agent's requests of one changed file in a run of its own."""
HANDLERS_OF_A_NAME: Final = 51.40 / 2_000_000
"""Dollars for what the handlers do about one name, added or deleted, invalidation paths left out but for a few."""
INDEX_BYTES: Final = 31
"""Of the index, for each file (docs/design.md)."""
POLLS: Final = 4 * 5 * _MONTH_SECONDS / 20
"""Receives of empty queues: Lambda polls each of the four by five long polls of 20 s (Lambda Developer Guide, SQS)."""
AGENT_METRICS: Final = 6
HANDLER_METRICS: Final = 20
"""About: each handler counts its jobs, and what it did."""
ALARMS: Final = 23
LOG_BYTES_OF_A_CHANGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Size:
    """A site, and what happens on it in a day."""

    name: str
    files: int
    gigabytes: float
    changes: int
    """Files overwritten a day."""
    names: int
    """Files added or deleted a day."""
    requests: int
    """Of visitors, a month."""
    served: float
    """GB a month."""


SIZES: Final = (
    Size("small", 2_000, 0.5, 20, 5, 300_000, 30),
    Size("medium", 200_000, 60, 500, 100, 20_000_000, 2_000),
    Size("large", 4_000_000, 1_500, 10_000, 5_000, 300_000_000, 30_000),
)
RETENTION_DAYS: Final = DEFAULTS.retention_days


def lines(size: Size) -> Iterator[tuple[str, float]]:
    """Give what a site costs a month, by what for."""
    mean = size.gigabytes / size.files
    old = size.changes * RETENTION_DAYS * mean
    yield "S3: the files", size.gigabytes * S3_GIGABYTE
    yield f"S3: earlier versions, for {RETENTION_DAYS} days", old * S3_GIGABYTE
    changes = (size.changes + size.names) * DAYS
    yield "the agent's requests", changes * REQUESTS_OF_A_CHANGE
    yield "the handlers, with their requests", changes * HANDLERS_OF_A_NAME
    renewals = _MONTH_SECONDS / LEASE_SECONDS * RENEWALS * DYNAMODB_WRITE_UNIT
    yield "DynamoDB: the index, and the lease", size.files * INDEX_BYTES / 1e9 * DYNAMODB_GIGABYTE + renewals
    yield "SQS: empty queues, polled", POLLS * SQS_CHUNK
    audits = DAYS / 7 * size.files
    yield "weekly audits: listing, and a HEAD for what changed", audits / 1000 * S3_WRITE + changes * S3_READ
    paths = min(size.changes * DAYS, BUDGET)
    yield f"CloudFront: invalidation, at most {BUDGET:,} paths", max(paths - FREE_PATHS, 0) * CLOUDFRONT_PATH
    yield "CloudFront: what visitors fetch", served(size.served)
    functions = max(size.requests - CDN_FREE_FUNCTIONS, 0) * CDN_FUNCTION
    yield "CloudFront: requests", max(size.requests - CDN_FREE_REQUESTS, 0) * CDN_REQUEST + functions
    heartbeats = _MONTH_SECONDS / 60 * PUT_METRIC
    watched = (AGENT_METRICS + HANDLER_METRICS) * METRIC + ALARMS * ALARM
    yield (
        "CloudWatch: metrics, alarms, logs",
        watched + heartbeats + changes * LOG_BYTES_OF_A_CHANGE / 1e9 * LOG_GIGABYTE,
    )


def served(gigabytes: float) -> float:
    """Give what CloudFront bills for what it serves, by its steps."""
    dollars, below = 0.0, 0.0
    for up_to, price in CDN_GIGABYTE:
        dollars += max(min(gigabytes, up_to) - below, 0.0) * price
        below = up_to
    return dollars


def document() -> str:
    """Give docs/cost.md."""
    columns = [dict(lines(size)) for size in SIZES]
    rows = [f"| {what} | " + " | ".join(money(column[what]) for column in columns) + " |" for what in columns[0]]
    rows.append("| **a month** | " + " | ".join(f"**{money(sum(column.values()))}**" for column in columns) + " |")
    facts = [
        f"| {what} | " + " | ".join(f"{getattr(size, name):,}" for size in SIZES) + " |"
        for what, name in (
            ("files", "files"),
            ("GB", "gigabytes"),
            ("files overwritten a day", "changes"),
            ("files added or deleted a day", "names"),
            ("requests of visitors a month", "requests"),
            ("GB that they fetch", "served"),
        )
    ]
    head = ["| | " + " | ".join(size.name for size in SIZES) + " |", "|---|" + "---:|" * len(SIZES)]
    return "\n".join([_BEGIN, *head, *facts, "", *head, *rows, "", _END])


def money(dollars: float) -> str:
    """Show dollars and cents."""
    return f"${dollars:,.2f}"


_BEGIN: Final = f"""\
# What a site costs

<!-- written by `uv run python -m tests.bench cost` -->

Three sizes of site, made up, with the prices of {PRICES_OF} in us-east-1 (CloudFront's of North America and Europe, on
demand, its monthly free tier taken off, no other). What siteferry does for a change is measured
([benchmarks](benchmarks.md)); [cost.py](../tests/bench/cost.py) has every price with its page, and makes this table of
other sizes as well.
"""
_END: Final = f"""\
- Serving the site is most of it, and no different with any other tool. A flat-rate plan of CloudFront may be cheaper.
- **Invalidation** is what siteferry can save most of. A path is $0.005, a wildcard or a tag as much. With less than the
  {BUDGET:,} paths a month of `invalidation_budget` in `infra/sites.toml`, an invalidation throws out more that did not
  change ([how](invalidation.md)). Truly new files need none.
- A first sync costs $5 a million files, once. `siteferry adopt` costs a listing: $0.005 a million.
- `audit --deep` looks at each object: $0.40 a million files.
- A host that renames a directory of a million files costs some $60: each is an upload, a delete and its index entries.
"""
