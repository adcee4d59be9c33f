"""CRC-64/NVME, the checksum that S3 keeps for every object."""

import functools
from typing import Any


def crc64nvme(data: bytes | memoryview, previous: int = 0) -> int:
    """Give the checksum of `data`, or of what `previous` is the checksum of and `data` after it."""
    return int(_implementation()(data, previous))


@functools.cache
def _implementation() -> Any:
    from awscrt import checksums  # noqa: PLC0415  only a run that uploads pays for the import

    return checksums.crc64nvme
