"""Somebody who changes the bucket behind the site's back. Only an audit that mends can find out."""

import random
from typing import Final

from tests.simulation.cloud import Cloud

FOREIGN: Final = b"F0F0"
"""What they put: of the size of a user's file."""
STRAYS: Final = ("stray.txt", "d/stray.txt", "nowhere/stray.txt", "docs/index.html", "mirror/docs/stray.txt")


class Meddler:
    """Changes one object at a time."""

    def __init__(self, cloud: Cloud, rng: random.Random) -> None:
        self._cloud, self._rng = cloud, rng

    def meddle(self) -> str:
        """Delete an object, replace it, or put one; says what was done."""
        bucket, prefix = self._cloud.bucket, self._cloud.descriptor.prefix
        keys = sorted(bucket.objects())
        match self._rng.choice(("delete", "replace", "put")):
            case "delete" if keys:
                key = self._rng.choice(keys)
                bucket.put_marker(key)
                return f"deletes {key} in the bucket"
            case "replace" if keys:
                key = self._rng.choice(keys)
                bucket.put(key, FOREIGN, {}, {})
                return f"replaces {key} in the bucket"
            case _:
                key = prefix + self._rng.choice(STRAYS)
                bucket.put(key, FOREIGN, {}, {})
                return f"puts {key} into the bucket"
