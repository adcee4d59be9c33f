"""From what a person names, a path or a URL, to a path beneath the root."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

from siteferry.cache import Cache
from siteferry.diff import Naming
from siteferry.errors import UsageError
from siteferry.names import join_path, printable
from siteferry_contract.keys import join, root_directory

_REMEDY = "name a path relative to the root, an absolute one beneath it, or the URL's path"


def path_asked(argument: str, root: Path, naming: Naming, cache: Cache, is_there: Callable[[bytes], bool]) -> bytes:
    """Give the path relative to the root that is meant; raises UsageError for one outside of it.

    An absolute path that does not begin with the root is the path of a URL, unless it begins as one of this host does.
    """
    raw = os.fsencode(argument)
    scheme, _, rest = raw.partition(b"://")
    if scheme.lower() in (b"http", b"https") and rest:
        return _of_url(_clean(rest.partition(b"/")[2].partition(b"#")[0].partition(b"?")[0]), naming, cache, is_there)
    if not raw.startswith(b"/"):
        return _clean(raw)
    for top in (os.fsencode(root), os.path.realpath(os.fsencode(root))):
        if raw == top or raw.startswith(top.rstrip(b"/") + b"/"):
            return _clean(raw[len(top) :])
    path = _clean(raw)
    if is_there(path):
        return path
    first = path.partition(b"/")[0]
    if first and not is_there(first) and os.path.lexists(b"/" + first):
        raise UsageError(f"{printable(raw)} is outside the root {printable(os.fsencode(root))}", _REMEDY)
    return _of_url(path, naming, cache, is_there)


def _clean(path: bytes) -> bytes:
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise UsageError(f"{printable(path)} has '..', which may lead out of the root", _REMEDY)
    return b"/".join(parts)


def _of_url(encoded: bytes, naming: Naming, cache: Cache, is_there: Callable[[bytes], bool]) -> bytes:
    """Give the path whose key a URL's path names: by the names that the index recorded, then by what is on disk."""
    decoded = unquote_to_bytes(encoded)
    if b"\0" in decoded:
        raise UsageError(f"{printable(encoded)} has a zero byte, which no name can have", _REMEDY)
    decoded = _clean(decoded)
    try:
        names = decoded.decode("utf-8").split("/")
    except UnicodeDecodeError:
        return decoded
    path, key = b"", root_directory(naming.prefix)
    for name in names if decoded else ():
        entry = cache.entry(key, name) or cache.entry(key, f"{name}/")
        guesses = [entry.raw] if entry and entry.raw is not None else []
        guesses += [naming.raw_name(name), name.encode()]
        guesses += [name.encode("latin-1")] if max(name) <= "\xff" else []
        path = join_path(path, next((raw for raw in guesses if is_there(join_path(path, raw))), guesses[0]))
        key = join(key, name)
    return path
