"""What is known of an object's bytes, and whether bytes at hand are the same."""

import hashlib
import re
from typing import Final

from siteferry.checksum import crc64nvme
from siteferry.ports import Archive
from siteferry.restore.wanted import Wanted

_MD5: Final = re.compile(r'"([0-9a-f]{32})"')
"""An ETag that is the MD5 of the object, unless it is encrypted by KMS:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html."""


class Digest:
    """Takes bytes one after another, and tells whether they are a wanted file's."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._etag = _MD5.fullmatch(wanted.etag) if wanted.crc64nvme is None else None
        self._md5 = hashlib.md5(usedforsecurity=False) if self._etag else None
        self._crc = self._size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._crc = crc64nvme(data, self._crc)
        self._size += len(data)
        if self._md5:
            self._md5.update(data)

    def agrees(self, archive: Archive) -> bool | None:
        """Tell whether they are its bytes; asks the bucket only if nothing else tells. None: nothing tells.

        Raises AccessError, UnavailableError.
        """
        wanted = self._wanted
        if self._size != wanted.size:
            return False
        if wanted.crc64nvme is not None:
            return self._crc == wanted.crc64nvme
        if self._md5 and self._etag and self._md5.hexdigest() == self._etag[1]:
            return True
        info = archive.head(wanted.key, wanted.version)
        if info is None or info.size != self._size:
            return False
        return None if info.crc64nvme is None else info.crc64nvme == self._crc
