"""What a site takes from its account instead of having it made: bucket, index, distribution, key, boundary; validated.

No CDK here, as in `settings`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from siteferry_infra.toml_reader import Table

KNOWN: Final = ("bucket", "table", "distribution", "distribution_domain", "kms_key_arn", "permissions_boundary_arn")

_BUCKET: Final = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_DISTRIBUTION: Final = re.compile(r"E[0-9A-Z]{8,20}")
_DOMAIN: Final = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_KEY: Final = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_POLICY: Final = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[!-~]{1,512}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """What is there already, by name; None: the stack makes it, or does without it."""

    bucket: str | None = None
    """That is published, beneath the site's prefix; what has to be done on it is among the outputs."""
    table: str | None = None
    """The index that an earlier stack of the site left."""
    distribution: str | None = None
    """Its id."""
    distribution_domain: str | None = None
    """Where visitors reach it; given if `distribution` is."""
    kms_key_arn: str | None = None
    """Of the key that the bucket's objects are encrypted with."""
    permissions_boundary_arn: str | None = None
    """For every role of the stack."""


def read_existing(table: Table) -> Existing:
    """Check these settings of a site's table; raises SettingsError."""
    distribution, domain = _read_distribution(table)
    if "table" in table.values and "bucket" not in table.values:
        reason = "is the index of what a bucket has, and the stack would make an empty bucket for it"
        raise table.error("table", reason, "add bucket, the output BucketName of the earlier stack")
    return Existing(
        bucket=_matching(table, "bucket", _BUCKET, "the name of a bucket", "use its name alone, without s3:// or ARN"),
        table=_matching(table, "table", _TABLE, "the name of a table", "use the output TableName of the earlier stack"),
        distribution=distribution,
        distribution_domain=domain,
        kms_key_arn=_matching(
            table,
            "kms_key_arn",
            _KEY,
            "the ARN of a key",
            "use arn:aws:kms:REGION:ACCOUNT:key/ID; an alias cannot be granted",
        ),
        permissions_boundary_arn=_matching(
            table,
            "permissions_boundary_arn",
            _POLICY,
            "the ARN of a policy",
            "use arn:aws:iam::ACCOUNT:policy/NAME",
        ),
    )


def check_apart(document: Table, sites: Sequence[tuple[str, str, Existing]]) -> None:
    """Refuse sites, given by name and prefix, that would write each other's objects, index or distribution."""
    for number, (name, prefix, own) in enumerate(sites):
        for other, other_prefix, others in sites[:number]:
            if own.bucket and own.bucket == others.bucket and _overlap(prefix, other_prefix):
                raise document.error(
                    f"sites.{name}.prefix",
                    f"{prefix!r} and the prefix {other_prefix!r} of site {other} overlap in the bucket {own.bucket}, so"
                    " that each site would delete what the other has",
                    'give each a prefix of its own, say "www/" and "docs/"',
                )
            if own.table and own.table == others.table:
                reason = f"{own.table!r} is the index of site {other} already, and an index is about one site"
                raise document.error(f"sites.{name}.table", reason, "leave it out, and the stack makes one")
            if own.distribution and own.distribution == others.distribution:
                raise document.error(
                    f"sites.{name}.distribution",
                    f"{own.distribution!r} serves site {other} already, and a visitor's URL is the path in one site",
                    "give each site a distribution of its own, or leave it out, and the stack makes one",
                )


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _read_distribution(table: Table) -> tuple[str | None, str | None]:
    remedy = "use its id, say E2EXAMPLE1234"
    distribution = _matching(table, "distribution", _DISTRIBUTION, "the id of a distribution", remedy)
    remedy = 'use the name alone, say "www.example.com" or "d111111abcdef8.cloudfront.net"'
    domain = _matching(table, "distribution_domain", _DOMAIN, "a domain name", remedy)
    if distribution is None and domain is not None:
        remedy = "add the id of the distribution, or leave distribution_domain out"
        raise table.error("distribution", "is missing, but distribution_domain is set", remedy)
    if distribution is not None:
        if domain is None:
            remedy = "add the domain name under which visitors reach the distribution"
            raise table.error("distribution_domain", "is missing, but distribution is set", remedy)
        for key in ("domain_names", "certificate_arn"):
            if key in table.values:
                reason = "is for a distribution that the stack makes, but distribution names one that exists"
                raise table.error(key, reason, "leave it out, and set it on the distribution itself")
    return distribution, domain


def _matching(table: Table, key: str, pattern: re.Pattern[str], what: str, remedy: str) -> str | None:
    value = table.text(key)
    if value is not None and not pattern.fullmatch(value):
        raise table.error(key, f"{value!r} is not {what}", remedy)
    return value
