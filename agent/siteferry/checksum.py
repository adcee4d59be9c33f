"""CRC-64/NVME, the checksum that S3 keeps for every object."""


def crc64nvme(data: bytes | memoryview, previous: int = 0) -> int:
    """Give the checksum of `data`, or of what `previous` is the checksum of and `data` after it."""
    from awscrt import checksums  # noqa: PLC0415  only a run that uploads pays for the import

    return int(checksums.crc64nvme(data, previous))
