"""One of everything that agent and Lambdas write for one another, or compute alike, by the contract of a release.

It uses only what every release has, so that a release's own modules may record it: `python -m tests.contract_history`.
"""

import base64
import json
import zlib
from typing import Any, Final

from siteferry.head import Applied, Head, LeaseRecord, head_to_item
from siteferry_contract import copy_rules, objects, urls
from siteferry_contract.cache_tags import tags_of
from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import Descriptor, HeaderRule, parameter_name
from siteferry_contract.index import leaf_to_item
from siteferry_contract.job import EVERYTHING, JOB_KINDS, Job, encode_job
from siteferry_contract.leaf import FileEntry, Leaf, SubdirectoryEntry, sorted_entries
from siteferry_contract.shape import Shape, shape_of, shape_to_item

PREFIX: Final = "site/"
RULES: Final = (CopyRule("docs/", "mirror/docs/"), CopyRule("", "all/"))
_NAMES: Final = ("a.html", "two words.txt", "caf\xe9.txt", "\U0001f6a2.txt", "new\nline", "100%~.txt")

DESCRIPTORS: Final = {
    "plain": Descriptor(
        site="www",
        region="eu-central-1",
        bucket="bucket",
        prefix="",
        table="table",
        encoding="auto",
        queues={kind: f"https://sqs.example/{kind}" for kind in JOB_KINDS},
        distribution="E1",
        domain="d1.example",
        directory_pages=True,
        page_layout="0a1b2c3d4e5f",
    ),
    "full": Descriptor(
        site="full",
        region="us-east-1",
        bucket="bucket",
        prefix=PREFIX,
        table="table",
        encoding="latin-1",
        queues={kind: f"https://sqs.example/{kind}" for kind in JOB_KINDS},
        distribution="E2",
        domain="d2.example",
        directory_pages=False,
        page_layout="ffffffffffff",
        copy_rules=RULES,
        header_rules=(HeaderRule("*.html", {"cache-control": "max-age=60", "x-amz-meta-a": "\xe9"}),),
        invalidation="tags",
        invalidation_budget=2500,
        directory_redirects="exact",
    ),
}
JOBS: Final = {
    "copy": Job("copy", "full", 7, tuple(PREFIX + name for name in _NAMES), "a" * 32),
    "delete": Job("delete", "full", 1, (f"{PREFIX}docs/index.html",), "b" * 32),
    "page": Job("page", "full", 2, ("site", "site/docs"), "c" * 32),
    "invalidate": Job("invalidate", "full", 0, (EVERYTHING, f"{PREFIX}a.html"), "d" * 32),
}
LEAVES: Final = {
    "files": Leaf(
        directory="site/docs",
        bound="",
        run=7,
        had_delete=True,
        gone=False,
        entries=sorted_entries(
            [
                *(FileEntry(name, n, n - 1, 10**18 + n, 2**64 - 1 - n) for n, name in enumerate(_NAMES)),
                FileEntry("adopted.bin", 2**40, -1, 0, None),
                FileEntry("\xfc latin-1", 1, 2, 3, 4, b"\xfc latin-1"),
                SubdirectoryEntry("sub"),
                SubdirectoryEntry("s\xfcb", b"s\xfcb"),
            ]
        ),
    ),
    "upper": Leaf("", "m", 1, had_delete=False, gone=False, entries=(FileEntry("n", 0, 0, 0, 0),)),
    "gone": Leaf("old", "", 3, had_delete=True, gone=True, entries=()),
}
HEADS: Final = {
    "first": Head("0123456789abcdef", 0, None, None, None, None),
    "working": Head(
        "0123456789abcdef",
        9,
        8,
        1_790_000_000.125,
        LeaseRecord("host:/var/lib/siteferry/www", "token", 12, 180.0),
        Applied(PREFIX, "latin-1", ("[]", '[["*.html",{"cache-control":"max-age=60"}]]'), "[[], true, false]", "0a", 4),
        ((497_222, 3), (497_223, 1)),
    ),
}
SHAPES: Final = {
    "plain": shape_of([("", 2), ("docs", 3), ("docs/sub", 1)]),
    "tagged": Shape({"": 10, "caf\xe9": 4}, typical=2, tagged_run=5),
}
AGREED: Final[dict[str, Any]] = {
    "parameter": parameter_name("www"),
    "tags": {key: tags_of(key, PREFIX) for key in (f"{PREFIX}a.html", f"{PREFIX}docs/caf\xe9/A b.txt")},
    "duplicates": list(copy_rules.duplicates(f"{PREFIX}docs/a.html", PREFIX, RULES)),
    "urls": {name: list(urls.url_paths(f"{PREFIX}{name}", PREFIX)) for name in (*_NAMES, "docs/index.html")},
    "checksum": objects.format_crc64nvme(1),
    "generated": objects.GENERATED,
}


def written() -> dict[str, dict[str, Any]]:
    """Give what the modules at hand write, as JSON, by format and sample; of what is compressed, the text."""
    return {
        "descriptor": {name: json.loads(descriptor.to_json()) for name, descriptor in DESCRIPTORS.items()},
        "job": {name: json.loads(encode_job(job)) for name, job in JOBS.items()},
        "leaf": {name: _shown(leaf_to_item(leaf), 1) for name, leaf in LEAVES.items()},
        "head": {name: head_to_item(head) for name, head in HEADS.items()},
        "shape": {name: _shown(shape_to_item(shape), 0) for name, shape in SHAPES.items()},
        "agreed": AGREED,
    }


def _shown(item: dict[str, Any], start: int) -> dict[str, Any]:
    """Give an item with its blob as base64: the bytes before `start`, and what is compressed after them, expanded."""
    blob = item["blob"]["B"]
    parts = {
        "B": base64.b64encode(blob[:start]).decode(),
        "zlib": base64.b64encode(zlib.decompress(blob[start:])).decode(),
    }
    return {**item, "blob": parts}


def as_item(shown: dict[str, Any]) -> dict[str, Any]:
    """Give the item of a recorded one."""
    blob = shown["blob"]
    return {**shown, "blob": {"B": base64.b64decode(blob["B"]) + zlib.compress(base64.b64decode(blob["zlib"]))}}
