"""Objects that the page handler makes (rule 2): written by compare-and-set, and never over what a user published."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from siteferry_contract import cache_tags
from siteferry_contract.objects import GENERATED
from siteferry_lambdas.errors import ChangedError
from siteferry_lambdas.ports import Bucket, Object

FINGERPRINT: Final = "siteferry-fingerprint"
"""User metadata: hash of bytes and headers. An ETag is no hash of the bytes in an encrypted bucket."""

HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    # Browsers cannot be invalidated, so they ask again after a minute; CloudFront is, so it may keep it for a day.
    "cache-control": "public, max-age=60, s-maxage=86400",
}


Step = Literal["nothing", "done", "outrun"]
"""What a pass did about a key: there was nothing (or nothing for this handler) to do, or something else was faster."""


@dataclass(frozen=True, slots=True)
class Generated:
    """An HTML page as it ought to be."""

    kind: str
    """The value of the metadata that marks it."""
    body: bytes
    tags: str = ""
    """Cache tags, if the site's objects carry any."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """All that is kept with it."""
        digest = hashlib.sha256(repr(sorted(HEADERS.items())).encode() + b"\0" + self.body)
        tags = {cache_tags.METADATA: self.tags} if self.tags else {}
        return {GENERATED: self.kind, FINGERPRINT: digest.hexdigest(), **tags}


def settle_generated(bucket: Bucket, key: str, wanted: Generated | None) -> Step:
    """Bring a key nearer to what is wanted there.

    What is wanted follows from the index, which was read before: S3 is looked at after it, never the other way round.
    """
    metadata = wanted.metadata if wanted else {}
    seen = bucket.head(key)
    if wanted is None:
        if isinstance(seen, Object) and seen.generated:
            bucket.remove_version(key, seen.version_id)
            return "done"
        return "nothing"
    if isinstance(seen, Object) and (not seen.generated or dict(seen.metadata) == metadata):
        return "nothing"
    try:
        bucket.put(key, wanted.body, headers=HEADERS, metadata=metadata, over=seen)
    except ChangedError:
        return "outrun"
    return "done"
