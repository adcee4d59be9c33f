"""What must hold once all is quiet: bucket, index and caches are what the tree asks for, exactly."""

from collections.abc import Iterator, Mapping

from siteferry.checksum import crc64nvme
from siteferry.diff import Excludes
from siteferry.headers import Headers
from siteferry_contract.copy_rules import duplicates, is_reserved
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.keys import index_key, join, path_to_key, root_directory
from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry
from siteferry_contract.objects import MTIME, format_mtime, is_generated
from siteferry_lambdas.rendering import render
from tests.simulation.cloud import Cloud
from tests.simulation.disk import EXCLUDES, Disk

PAGE_TYPE = "text/html; charset=utf-8"


def violations(disk: Disk, cloud: Cloud) -> Iterator[str]:
    """Give everything that is not as it must be."""
    own = cloud.descriptor
    tree = dict(_published(disk, own))
    yield from _index(tree, cloud)
    directories = _directories(disk, own, tree)
    pages = {} if not own.directory_pages else dict(_pages(own, tree, directories))
    yield from _bucket(disk, own, {key: body for key, (body, _) in tree.items()}, pages, cloud)
    yield from _caches(cloud)


def _published(disk: Disk, own: Descriptor) -> Iterator[tuple[str, tuple[bytes, tuple[int, int]]]]:
    excludes = Excludes(EXCLUDES)
    for path, body, real in disk.files():
        directory, _, name = path.rpartition(b"/")
        key = path_to_key(path, prefix=own.prefix, encoding=own.encoding)
        if not excludes.match(directory, name) and not is_reserved(key.removeprefix(own.prefix), own.copy_rules):
            status = disk.status(real)
            yield key, (body, (status.st_mtime_ns, status.st_ctime_ns))


def _directories(
    disk: Disk, own: Descriptor, tree: Mapping[str, tuple[bytes, tuple[int, int]]]
) -> dict[str, list[Entry]]:
    root = root_directory(own.prefix)
    found: dict[str, list[Entry]] = {root: []}
    for path in sorted(disk.root.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            continue
        relative = bytes(path)[len(bytes(disk.root)) + 1 :]
        key = path_to_key(relative, prefix=own.prefix, encoding=own.encoding)
        if is_reserved(f"{key.removeprefix(own.prefix)}/", own.copy_rules):
            continue
        parent, _, name = key.rpartition("/")
        found.setdefault(key, [])
        found.setdefault(parent, []).append(SubdirectoryEntry(name))
    for key, (body, (mtime, ctime)) in tree.items():
        directory, _, name = key.rpartition("/")
        found.setdefault(directory, []).append(FileEntry(name, len(body), mtime, ctime, crc64nvme(body)))
    return found


def _pages(
    own: Descriptor, tree: Mapping[str, object], directories: Mapping[str, list[Entry]]
) -> Iterator[tuple[str, bytes]]:
    root = root_directory(own.prefix)
    for directory, entries in directories.items():
        if index_key(directory) not in tree:
            name = "" if directory == root else directory.removeprefix(own.prefix)
            yield index_key(directory), render(name, entries)


def _index(tree: Mapping[str, tuple[bytes, tuple[int, int]]], cloud: Cloud) -> Iterator[str]:
    files = cloud.table.files()
    for key in sorted(files.keys() | tree.keys()):
        if key not in tree:
            yield f"the index lists {key}, which is not in the tree"
        elif key not in files:
            yield f"the index does not list {key}"
        else:
            entry, (body, times) = files[key], tree[key]
            if (entry.size, entry.crc64nvme) != (len(body), crc64nvme(body)):
                yield f"the index has another {key} than the tree"
            elif (entry.mtime_ns, entry.ctime_ns) != times:
                yield f"the index has other times of {key}"
    listed = {join(leaf.directory, entry.name) for leaf in cloud.table.all() for entry in leaf.entries
              if isinstance(entry, SubdirectoryEntry) and not leaf.gone}  # fmt: skip
    for directory in listed:
        if all(leaf.gone for leaf in cloud.table.directory(directory)):
            yield f"the index lists directory {directory}, which it has as gone"
    head = cloud.table.head
    if head is None or head.open is not None:
        yield "the head is open"


def _bucket(
    disk: Disk, own: Descriptor, tree: Mapping[str, bytes], pages: Mapping[str, bytes], cloud: Cloud
) -> Iterator[str]:
    headers = Headers(own.prefix, own.header_rules)
    wanted = {**tree, **pages}
    sources = {key: key for key in wanted}
    for key in tuple(wanted):
        for duplicate in duplicates(key, own.prefix, own.copy_rules):
            wanted[duplicate], sources[duplicate] = wanted[key], key
    objects = cloud.bucket.objects()
    for key in sorted(wanted.keys() | objects.keys()):
        if key not in wanted:
            yield f"LEAK: the bucket still has {key}: {(objects[key].body or b'')[:30]!r}"
        elif key not in objects:
            top = cloud.bucket.top(key)
            yield f"LOSS: the bucket does not have {key} ({'marked deleted' if top else 'never there'})"
        elif objects[key].body != wanted[key]:
            yield f"LOSS: the bucket has another {key}: {(objects[key].body or b'')[:30]!r}"
        elif is_generated(objects[key].metadata) != (sources[key] in pages):
            yield f"{key} is generated, or not, and ought to be the other"
        elif sources[key] in pages:
            if objects[key].headers.get("content-type") != PAGE_TYPE:
                yield f"page {key} has the headers {objects[key].headers}"
        else:
            source = sources[key]
            if dict(objects[key].headers) != headers.settings(source):
                yield f"{key} has the headers {objects[key].headers}"
            mtimes = {format_mtime(mtime) for mtime in disk.history.get((source, wanted[key]), ())}
            if objects[key].metadata.get(MTIME) not in mtimes:
                yield f"{key} has the mtime {objects[key].metadata.get(MTIME)}, which its file never had"


def _caches(cloud: Cloud) -> Iterator[str]:
    for path, (key, held, _) in cloud.cdn.cached.items():
        current = cloud.bucket.current(key)
        if held is not None and (current is None or (current.body, current.headers) != (held.body, held.headers)):
            now = "nothing" if current is None else repr((current.body or b"")[:30])
            yield f"STALE: the CDN holds {path} as {(held.body or b'')[:30]!r}, the bucket has {now}"
