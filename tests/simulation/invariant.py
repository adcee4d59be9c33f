"""What must hold once all is quiet: bucket, index and caches are what the tree asks for, exactly."""

from collections.abc import Iterator, Mapping, Sequence

from siteferry.headers import Headers
from siteferry_contract.copy_rules import duplicates
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.keys import key_to_path
from siteferry_contract.leaf import FileEntry, SubdirectoryEntry
from siteferry_contract.objects import MTIME, PATH, UPLOAD, format_mtime, format_path, is_generated
from tests.simulation.cloud import Cloud
from tests.simulation.disk import Disk
from tests.simulation.expected import Expected, expect, raw_name
from tests.simulation.meddler import FOREIGN
from tests.simulation.s3 import Version

MISSING = "LOSS: the bucket does not have"
PAGE_TYPE = "text/html; charset=utf-8"
OWN_METADATA = frozenset({MTIME, UPLOAD, PATH})


def violations(disk: Disk, cloud: Cloud, globs: Sequence[str]) -> Iterator[str]:
    """Give everything that is not as it must be."""
    own = cloud.descriptor
    expected = expect(disk, own, globs, cloud.table)
    yield from _index(expected, own, cloud)
    yield from _directories(expected, own, cloud)
    yield from _bucket(disk, own, expected, cloud)
    yield from _caches(cloud)


def _index(expected: Expected, own: Descriptor, cloud: Cloud) -> Iterator[str]:
    files = cloud.table.files()
    for key in sorted(files.keys() | expected.files.keys()):
        if key not in expected.files:
            yield f"the index lists {key}, which is not in the tree"
        elif key not in files:
            yield f"the index does not list {key}"
        else:
            there, wanted = files[key], expected.files[key][1]
            if (there.size, there.crc64nvme) != (wanted.size, wanted.crc64nvme):
                yield f"the index has another {key} than the tree"
            elif (there.mtime_ns, there.ctime_ns) != (wanted.mtime_ns, wanted.ctime_ns):
                yield f"the index has other times of {key}"
            elif raw_name(there, own) != wanted.raw:
                yield f"the index has {key} as {raw_name(there, own)!r}, the tree as {wanted.raw!r}"
    head = cloud.table.head
    if head is None or head.open is not None:
        yield "the head is open"


def _directories(expected: Expected, own: Descriptor, cloud: Cloud) -> Iterator[str]:
    known = {leaf.directory for leaf in cloud.table.all() if not leaf.gone}
    for directory in sorted(known ^ expected.directories.keys()):
        where = "only in the index" if directory in known else "not in the index"
        yield f"directory {directory or '(root)'} is {where}"
    for directory in known & expected.directories.keys():
        there = {
            (entry.name, raw_name(entry, own))
            for entry in cloud.table.entries(directory).values()
            if isinstance(entry, SubdirectoryEntry)
        }
        wanted = {
            (entry.name, entry.raw) for entry in expected.directories[directory] if not isinstance(entry, FileEntry)
        }
        if there != wanted:
            yield f"the index has the subdirectories {sorted(there)} of {directory or '(root)'}"


def _bucket(disk: Disk, own: Descriptor, expected: Expected, cloud: Cloud) -> Iterator[str]:
    headers = Headers(own.prefix, own.header_rules, tags=own.has_tags)
    pages = dict(expected.pages(own))
    wanted = {**{key: body for key, (body, _) in expected.files.items()}, **pages}
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
            yield f"{MISSING} {key} ({'marked deleted' if top else 'never there'})"
        elif objects[key].body != wanted[key]:
            yield f"LOSS: the bucket has another {key}: {(objects[key].body or b'')[:30]!r}"
        elif is_generated(objects[key].metadata) != (sources[key] in pages):
            yield f"{key} is generated, or not, and ought to be the other"
        elif sources[key] in pages:
            if objects[key].headers.get("content-type") != PAGE_TYPE:
                yield f"page {key} has the headers {objects[key].headers}"
        else:
            found, source = objects[key], sources[key]
            if _settings(found.headers, found.metadata) != headers.settings(source):
                yield f"{key} has the headers {found.headers} and the metadata {found.metadata}"
            yield from _file_of(disk, own, source, key, found)


def _file_of(disk: Disk, own: Descriptor, source: str, key: str, found: Version) -> Iterator[str]:
    """Give what an object says of its file, or of its original's, that this never was."""
    state = source, found.body or b""
    if found.metadata.get(MTIME) not in {format_mtime(mtime) for mtime in disk.history.get(state, ())}:
        yield f"{key} has the mtime {found.metadata.get(MTIME)}, which its file never had"
    told = key_to_path(source, prefix=own.prefix, encoding=own.encoding)
    paths = {format_path(path) if path != told else None for path in disk.paths.get(state, ())}
    if found.metadata.get(PATH) not in paths:
        yield f"{key} has the path {found.metadata.get(PATH)}, which its file never had"


def _settings(headers: Mapping[str, str], metadata: Mapping[str, str]) -> dict[str, str]:
    rest = {f"x-amz-meta-{name}": value for name, value in metadata.items() if name not in OWN_METADATA}
    return {**headers, **rest}


def _caches(cloud: Cloud) -> Iterator[str]:
    for path, (key, held, _) in cloud.cdn.cached.items():
        if held is not None and held.body == FOREIGN:
            continue  # whoever put it may have taken it away again, and told nobody
        current = cloud.bucket.current(key)
        if held is not None and (
            current is None
            or (current.body, current.headers, _served(current.metadata))
            != (held.body, held.headers, _served(held.metadata))
        ):
            now = "nothing" if current is None else repr((current.body or b"")[:30])
            yield f"STALE: the CDN holds {path} as {(held.body or b'')[:30]!r}, the bucket has {now}"


def _served(metadata: Mapping[str, str]) -> dict[str, str]:
    """Give what a header rule set. A touch alone is not put, so times may be old."""
    return {name: value for name, value in metadata.items() if name not in OWN_METADATA}
