"""Paths on the host and keys in S3.

A path is raw bytes relative to the site's root. A key is `prefix + path`, each component decoded by itself.
A directory is named by its *directory key*: its key without a trailing slash, "" for the root of a site without
a prefix.
"""

from typing import Final, Literal, get_args

from siteferry_contract.errors import ContractError, shown

Encoding = Literal["latin-1", "utf-8", "auto"]
ENCODINGS: Final[tuple[Encoding, ...]] = get_args(Encoding)

MAX_KEY_BYTES: Final = 1024
"""UTF-8 bytes in a key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

INDEX_NAME: Final = "index.html"
"""The file that is served for a directory's URL."""


class UnpublishableNameError(ContractError):
    """A name that has no key: it cannot be decoded, or the key would be too long."""


def check_encoding(value: object) -> Encoding:
    """Return `value` if it names an encoding; raises ContractError."""
    for encoding in ENCODINGS:
        if value == encoding:
            return encoding
    raise ContractError(f"encoding {value!r} is unknown: use one of {', '.join(ENCODINGS)}")


def check_prefix(value: object) -> str:
    """Return `value` if it can be a site's prefix: "" or "some/prefix/"; raises ContractError."""
    if not isinstance(value, str):
        raise ContractError(f"prefix {value!r} is not a string")
    if not value:
        return value
    if not value.endswith("/") or any(part in ("", ".", "..") for part in value[:-1].split("/")):
        raise ContractError(
            f"prefix {value!r} is refused: it must be empty, or end with one '/', begin with none, and have no"
            " component that is empty, '.' or '..'"
        )
    if not value.isprintable():
        raise ContractError(f"prefix {value!r} is refused: it has unprintable characters")
    if len(value.encode()) > MAX_KEY_BYTES // 2:
        raise ContractError(f"prefix of {len(value.encode())} bytes is refused: at most {MAX_KEY_BYTES // 2}")
    return value


def decode_name(raw: bytes, encoding: Encoding) -> str:
    """Decode one component of a path; raises UnpublishableNameError."""
    if not raw or b"/" in raw or b"\0" in raw:
        raise UnpublishableNameError(f"{raw!r} is not a file name")
    if encoding == "latin-1":
        return raw.decode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if encoding == "auto":
            return raw.decode("latin-1")
        raise UnpublishableNameError(
            "the name is not UTF-8: rename it, or set the site's encoding to 'auto' or 'latin-1'"
        ) from None


def encode_name(name: str, encoding: Encoding) -> bytes:
    """Give the raw name that `name` stands for if nothing else is recorded: the inverse of `decode_name`.

    For `auto` that is UTF-8; a leaf records the raw name wherever it differs from this.
    """
    return name.encode("latin-1" if encoding == "latin-1" else "utf-8")


def check_key_length(key: str) -> str:
    """Return the key if S3 would take one of that length; raises UnpublishableNameError."""
    if len(key) > MAX_KEY_BYTES // 4 and (length := len(key.encode())) > MAX_KEY_BYTES:
        raise UnpublishableNameError(f"its key has {length} bytes of UTF-8: S3 takes at most {MAX_KEY_BYTES}")
    return key


def path_to_key(path: bytes, *, prefix: str, encoding: Encoding) -> str:
    """Give the key of a file; raises UnpublishableNameError."""
    return check_key_length(prefix + "/".join(decode_name(part, encoding) for part in path.split(b"/")))


def key_to_path(key: str, *, prefix: str, encoding: Encoding) -> bytes:
    """Give the path a key stands for if no raw name is recorded; raises ContractError outside the prefix."""
    if not key.startswith(prefix):
        raise ContractError(f"key {key!r} is not under the site's prefix {prefix!r}")
    return b"/".join(encode_name(part, encoding) for part in key.removeprefix(prefix).split("/"))


def root_directory(prefix: str) -> str:
    """Give the directory key of the site's root."""
    return prefix.removesuffix("/")


def join(directory: str, name: str) -> str:
    """Give the key of `name` in a directory."""
    return f"{directory}/{name}" if directory else name


def split(key: str) -> tuple[str, str]:
    """Give (directory key, name) of a key."""
    directory, _, name = key.rpartition("/")
    return directory, name


def index_key(directory: str) -> str:
    """Give the key that is served for a directory's URL."""
    return join(directory, INDEX_NAME)


def check_key(key: object, prefix: str) -> str:
    """Return `key` if it can be one of the site's keys; raises ContractError. For names out of messages."""
    if not isinstance(key, str):
        raise ContractError(f"key {shown(key)} is not a string")
    _check_text(key)
    if not key.startswith(prefix) or key == prefix:
        raise ContractError(f"key {shown(key)} is not under the site's prefix {prefix!r}")
    relative = key.removeprefix(prefix)
    if "\0" in key or any(part in ("", ".", "..") for part in relative.split("/")):
        raise ContractError(f"key {shown(key)} has a component that no file can have")
    return check_key_length(key)


def check_directory(directory: object, prefix: str) -> str:
    """Return `directory` if it can be one of the site's directory keys; raises ContractError."""
    if not isinstance(directory, str):
        raise ContractError(f"directory {shown(directory)} is not a string")
    if directory == root_directory(prefix):
        return directory
    return check_key(directory, prefix)


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ContractError(f"{shown(value)} has a lone surrogate, which no key can have") from None
