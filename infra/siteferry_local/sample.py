"""A small site to publish: pages, a style sheet and pictures, and folders with and without an index."""

from pathlib import Path

_FOLDER = Path(__file__).with_name("sample")
# Not in the folder, because not every tool that touches a repository bears such a name.
_ODD = {"downloads/Überfahrt & 100% \N{FERRY}.txt": "A name with spaces, an umlaut, &, % and a ferry.\n"}


def sample_files() -> dict[str, bytes]:
    """Return the files by path, as an FTP user names them."""
    files = {
        path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in sorted(_FOLDER.rglob("*")) if path.is_file()
    }
    return files | {name: text.encode() for name, text in _ODD.items()}


def directories_without_index(files: dict[str, bytes]) -> dict[str, set[str]]:
    """Return every directory that has no index.html, with the names in it; a subdirectory's name ends with `/`."""
    names: dict[str, set[str]] = {}
    for path in files:
        parts = path.split("/")
        for depth, part in enumerate(parts):
            is_directory = depth < len(parts) - 1
            names.setdefault("".join(f"{name}/" for name in parts[:depth]), set()).add(part + "/" * is_directory)
    return {directory: found for directory, found in names.items() if "index.html" not in found}
