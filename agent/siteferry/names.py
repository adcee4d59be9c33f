"""Names for people: paths are hostile bytes, and terminals and logs obey some of them."""


def printable(path: bytes | str) -> str:
    """Show a path on one line with every unprintable character escaped, so that no terminal acts on it."""
    text = path if isinstance(path, str) else path.decode("utf-8", "surrogateescape")
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in text) or "."


def join_path(directory: bytes, name: bytes) -> bytes:
    """Give the path of `name` in a directory; the root is b""."""
    return directory + b"/" + name if directory else name


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004  a byte that is not UTF-8, by surrogateescape (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def place_of(path: bytes) -> bytes:
    """Give the sort key of a path: a directory comes before what is beneath it, and all of that before what follows.

    Slashes become zero bytes, which no name can have.
    """
    return path.replace(b"/", b"\0")


def path_of(place: bytes) -> bytes:
    """Give the path of a sort key."""
    return place.replace(b"\0", b"/")
