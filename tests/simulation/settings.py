"""What an operator may set, and the limits that only large sites meet, made small."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final
from unittest.mock import patch

import siteferry.commit
import siteferry.disagree
import siteferry.outbox
import siteferry.plan
import siteferry.run
import siteferry_contract.leaf
from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import Descriptor, HeaderRule
from siteferry_contract.job import JOB_KINDS
from siteferry_contract.keys import Encoding
from siteferry_contract.redirects import Redirects

COPY_RULES: Final = (CopyRule("docs/", "mirror/docs/"),)
REFORMS: Final[tuple[tuple[tuple[CopyRule, ...], bool, Redirects], ...]] = (
    (COPY_RULES, True, "exact"),
    (COPY_RULES, False, "exact"),
    ((), True, "none"),
    ((CopyRule("docs/", "x/"), CopyRule("d/e/", "mirror/")), True, "none"),
    ((CopyRule("", "mirror/"),), True, "exact"),
)
"""Copy rules, whether there are directory pages, and which redirects. An audit goes through what is there already."""
HEADER_RULES: Final = (
    (HeaderRule("*.html", {"cache-control": "max-age=60"}),),
    (HeaderRule("*.html", {"cache-control": "max-age=5"}), HeaderRule("docs/*", {"content-language": "en"})),
    (HeaderRule("*", {"x-amz-meta-owner": "web", "content-type": "text/plain"}),),
)
INVALIDATIONS: Final = ("paths", "tags")
EXCLUDES: Final = ((".in.*",), (".in.*", "b.html", "d/e"), (".in.*", "docs/a.*", "x"))
"""The first is of the defaults, what users' servers use here."""
PERCENT: Final = 10.0
"""Of a site, that may be deleted within a day without a person's word."""


def describe_site(
    prefix: str, *, pages: bool, redirects: bool = False, encoding: Encoding = "latin-1", rules: int = 0
) -> Descriptor:
    """Give the descriptor of the simulated site."""
    return Descriptor(
        site="www",
        region="us-east-1",
        bucket="bucket",
        prefix=prefix,
        table="table",
        encoding=encoding,
        queues={kind: f"https://sqs.test/{kind}" for kind in JOB_KINDS},
        distribution="E1",
        domain="d1.test",
        directory_pages=pages,
        page_layout="0a1b2c3d4e5f",
        copy_rules=COPY_RULES,
        header_rules=HEADER_RULES[rules],
        directory_redirects="exact" if redirects else "none",
    )


def small_limits(size: int) -> list[AbstractContextManager[Any]]:
    """Give what makes leaves split, transactions end and messages fill up after `size` items."""
    limits: tuple[tuple[Callable[..., Any] | Any, str], ...] = (
        (siteferry_contract.leaf, "MAX_ENTRIES"),
        (siteferry.commit, "MAX_LEAVES"),
        (siteferry.run, "BATCH_LEAVES"),
        (siteferry.plan, "CHUNK"),
        (siteferry.outbox, "FLUSH_AT"),
        (siteferry.disagree, "LOOKS_AT_ONCE"),
    )
    return [patch.object(module, name, size) for module, name in limits]
