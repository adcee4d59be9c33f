"""Cache tags: by what CloudFront finds every cached copy of an object, or of all beneath a directory. No I/O.

An object carries the tag of its file and those of the directories above it, as user metadata. A duplicate carries its
original's, since it is copied with all metadata: one tag reaches an original and all its duplicates.

A tag is a hash, so any name makes a valid one. Two names with the same tag (one pair in 2^60) are thrown out together,
which costs a fetch and harms nothing. CloudFront takes 50 tags of an object and S3 2 KB of metadata, so of a path
deeper than `DEEPEST` only the file and the upper directories have tags.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-by-tags.html
"""

import base64
import hashlib
from typing import Final

METADATA: Final = "cache-tag"
"""User metadata that holds the tags."""
HEADER: Final = f"x-amz-meta-{METADATA}"
"""As which S3 sends it, and CloudFront reads it."""
DEEPEST: Final = 46
"""Levels beneath the root of the lowest directories with tags. With those of root and file there are 48 at most, in
623 bytes."""

_CHARACTERS: Final = 12


def file_tag(key: str, prefix: str) -> str:
    """Give the tag of one object."""
    return _tag("f", key.removeprefix(prefix))


def directory_tag(directory: str) -> str:
    """Give the tag of all beneath a directory, named without the site's prefix, "" for the root."""
    return _tag("d", directory)


def tags_of(key: str, prefix: str) -> str:
    """Give the metadata of an object: its tags, joined by commas. For a duplicate, give its original's key."""
    parts = key.removeprefix(prefix).split("/")[:-1][:DEEPEST]
    directories = ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]
    return ",".join([file_tag(key, prefix), *map(directory_tag, directories)])


def _tag(kind: str, name: str) -> str:
    digest = hashlib.sha256(f"{kind}{name}".encode()).digest()
    # Tags are compared without regard to case; base32 has one case only.
    return base64.b32encode(digest)[:_CHARACTERS].decode("ascii").lower()
