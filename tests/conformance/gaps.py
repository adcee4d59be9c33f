"""Where an AWS is known not to keep a promise, by its name and the test's. Each is xfail, and strictly so."""

from collections.abc import Mapping
from typing import Final

_LOCAL_STACK: Final = "docs/local-stack.md, What the emulator does differently: "

KNOWN: Final[Mapping[tuple[str, str], str]] = {
    ("emulator", "test_a_large_objects_checksum"): f"{_LOCAL_STACK}a multipart upload gets a composite CRC64NVME",
    ("emulator", "test_a_large_copys_checksum"): (
        f"{_LOCAL_STACK}a copy shows a composite CRC64NVME without saying that it is one"
    ),
    ("emulator", "test_an_encoding_that_is_not_given_is_gone"): (
        f"{_LOCAL_STACK}a copy with other headers keeps the content-encoding of its source"
    ),
    ("emulator", "test_a_path_that_is_not_taken"): f"{_LOCAL_STACK}any path of an invalidation is taken",
    ("emulator", "test_too_many_in_progress"): f"{_LOCAL_STACK}invalidations have no limits",
    ("emulator", "test_a_marker_that_fails_spares_the_others"): (
        f"{_LOCAL_STACK}DeleteObjects is refused as a whole if one key is denied"
    ),
}
