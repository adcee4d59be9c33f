"""Hostile users who make trees that are too deep, too wide, too large, or of things that are no files."""

import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.scan import DirectoryScan, walk
from siteferry.status import describe, read, record
from siteferry.tree import Tree
from tests.descriptors import descriptors_beneath
from tests.unit.agent.fakes import World
from tests.unit.agent.hostile import Watched, never_hanging, watching

LEVELS = 10_000
FEW_DESCRIPTORS = 640
"""Each level of a directory whose key has 1,024 bytes needs one: 512. The others are for everything else."""
MANY, FEW = 200_000, 20_000
BYTES_PER_NAME = 1_200
"""That comparing a directory may take at most."""
GROWS = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    number = 0
    while True:
        number += file.write(b"%09d\\n" % number) // 10
        if number == 1:
            print("begun", flush=True)
"""
DIGESTS = """
import os, resource, sys
from siteferry.scan import digest_directory
for path in sys.argv[1:]:
    digest_directory(os.open(path, os.O_RDONLY), "wide")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
"""Looks at directories for a change, and gives the most memory that it had in use after each."""


@pytest.fixture
def watched(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A site with an ordinary file, whose opens and uploads are seen, and on which nothing may hang."""
    world.write("ordinary", b"ordinary")
    with watching(world, monkeypatch) as found, never_hanging():
        yield found


def problems(world: World) -> dict[bytes, str]:
    """Give what is not published, and why."""
    with world.agent() as site:
        return {problem.path: problem.reason for problem in site.parts.cache.problems()}


def open_descriptors() -> int:
    """Count this process's open descriptors."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def limited(*, descriptors: int, frames: int) -> Iterator[None]:
    """Let this process have few descriptors, and few more calls within one another than it has now."""
    before, depth, frame = resource.getrlimit(resource.RLIMIT_NOFILE), 0, sys._getframe()
    while frame.f_back:
        frame, depth = frame.f_back, depth + 1
    recursion = sys.getrecursionlimit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, before[1]))
    sys.setrecursionlimit(depth + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(recursion)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# ---- depth


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give 10,000 directories in one another, with files at some levels."""
    top = tmp_path_factory.mktemp("levels") / "d"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for level in range(1, LEVELS + 1):
        if level in (7, 500, 600, LEVELS):
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    yield top
    # What removes trees goes down into them, which takes Python too many calls, and others half a minute.
    aside = top.with_name("aside")
    while (top / "d").exists():
        (top / "d").rename(aside)
        (top / "f").unlink(missing_ok=True)
        top.rmdir()
        aside.rename(top)


@pytest.fixture
def deep(watched: Watched, levels: Path) -> Iterator[Watched]:
    """The site with them in its root."""
    levels.rename(watched.root / "d")
    yield watched
    (watched.root / "d").rename(levels)


def test_ten_thousand_levels_are_published_as_deep_as_keys_reach_and_reported_beyond(deep: Watched) -> None:
    """Few descriptors and few frames are enough, and none is lost; what is deeper is not even opened."""
    world, before = deep.world, descriptors_beneath(deep.root)
    with limited(descriptors=FEW_DESCRIPTORS, frames=120):
        for _ in range(2):
            summary = world.sync()
    assert (summary.run, summary.failed, summary.problems) == (None, 0, 1)
    assert descriptors_beneath(deep.root) == before
    assert set(world.objects.published()) == {"ordinary", "d/" * 7 + "f", "d/" * 500 + "f"}
    ((path, reason),) = problems(world).items()
    assert path == b"/".join([b"d"] * (path.count(b"d")))
    assert 500 < path.count(b"d") <= 512
    assert "S3 takes at most 1024" in reason
    deepest = os.stat(deep.root / os.fsdecode(path))
    assert (deepest.st_dev, deepest.st_ino) not in deep.opened


def test_where_even_fewer_descriptors_are_left_the_rest_is_published(deep: Watched) -> None:
    """A directory for which there is no descriptor counts as unreadable, and is the only thing that fails."""
    with limited(descriptors=open_descriptors() + 60, frames=120):
        summary = deep.world.sync()
    assert [reason for _, reason in summary.failures] == [
        "the directory cannot be read (Too many open files): all beneath it stays"
    ]
    assert set(deep.world.objects.published()) == {"ordinary", "d/" * 7 + "f"}
    assert deep.world.sync().failed == 0
    assert "d/" * 500 + "f" in deep.world.objects.published()


def test_names_of_255_bytes_are_published_until_their_key_is_too_long(watched: Watched) -> None:
    """As a file's, as directories', and with every byte that a name can have but those of UTF-8."""
    world, names = watched.world, ["a" * 255, "\udcff" * 255, "\x1b" * 255, "\n" * 255]
    for name in names:
        world.write(name)
    world.write("/".join(["b" * 255] * 4))
    world.write("/".join(["c" * 255] * 5))
    world.sync()
    keys = {os.fsencode(name).decode("latin-1") for name in names}
    # Bytes from 128 up take two in a key.
    assert set(world.objects.published()) == {"ordinary", *keys, "/".join(["b" * 255] * 4)}
    assert list(problems(world)) == [os.fsencode("/".join(["c" * 255] * 4))]


# ---- width


@pytest.fixture(scope="module")
def wide() -> Iterator[Callable[[int], Path]]:
    """Give directories of as many names as asked for; in memory, where that is possible."""
    shared = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else None))

    def make(number: int) -> Path:
        root = base / str(number)
        if not root.exists():
            (root / "wide").mkdir(parents=True)
            at = os.open(root / "wide", os.O_RDONLY)
            for n in range(number):
                os.close(os.open(f"file-{n:07}.html", os.O_CREAT | os.O_WRONLY, dir_fd=at))
            os.close(at)
        return root

    yield make
    shutil.rmtree(base)


def peak(work: Callable[[], object]) -> int:
    """Give the most memory that some work has in use."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_looking_for_a_change_takes_no_more_memory_in_a_wide_directory(wide: Callable[[int], Path]) -> None:
    """Ten times the names, the same memory: a cycle without a change keeps none of them."""
    command = [sys.executable, "-I", "-c", DIGESTS, str(wide(FEW) / "wide"), str(wide(MANY) / "wide")]
    few, many = map(int, subprocess.run(command, capture_output=True, check=True).stdout.split())
    assert few > 0
    assert many - few < 10 * (MANY - FEW), "a name takes more than that, wherever it is kept"


def test_memory_to_compare_a_wide_directory_is_bounded_by_its_names(world: World, wide: Callable[[int], Path]) -> None:
    """So is what a directory can cost at most, as names are counted: with a million, about a gigabyte."""
    world.config = replace(world.config, root=wide(FEW))
    with world.agent() as site:
        used = peak(lambda: site.dry_run(as_json=True))
    assert used < FEW * BYTES_PER_NAME


def test_a_directory_with_too_many_names_holds_up_only_itself(watched: Watched) -> None:
    """It counts as unreadable: it fails, all that is published beneath it stays, and everything else goes on."""
    world = watched.world
    world.write("wide/published")
    world.write("wide/beneath/published")
    world.settle()
    world.config = replace(world.config, max_directory=50)
    for n in range(51):
        (world.root / "wide" / f"{n}").touch()
    (world.root / "wide" / "published").unlink()
    world.write("other", b"other")
    for _ in range(2):
        summary = world.sync()
        reason = "the directory cannot be read (more than 50 names, `max_directory`): all beneath it stays"
        assert summary.failures == [("wide", reason)]
    published = {"ordinary", "other", "wide/published", "wide/beneath/published"}
    assert set(world.objects.published()) == published
    for n in range(10):
        (world.root / "wide" / f"{n}").unlink()
    world.settle()
    world.check()


def test_many_problems_fill_no_status(watched: Watched) -> None:
    """Of thousands of names that are not published, a status shows some, and the number of all."""
    world = watched.world
    for n in range(2_500):
        (world.root / f"{n}").symlink_to("/etc/passwd")
    with world.agent() as site:
        summary = site.sync()
        record(site.parts.state, world.config, summary=summary)
        status = read(site.parts.state, world.config)
    assert summary.problems == status["unpublishable_count"] == 2_500
    assert len(status["unpublishable"]) == 1_000
    assert len(describe(status).splitlines()) < 40
    assert summary.line().endswith("2500 names not published")


# ---- size


def test_a_sparse_terabyte_is_reported_unopened_and_holds_up_nothing(watched: Watched) -> None:
    """It takes a second to make; what was published under its name stays, and is followed again once it is smaller."""
    world = watched.world
    world.write("page.html", b"page")
    world.write("grows", b"small")
    world.settle()
    for name in ("grows", "new"):
        with (world.root / name).open("ab") as file:
            file.truncate(1 << 40)
    world.write("page.html", b"another page")
    watched.opened.clear()
    for _ in range(2):
        summary = world.sync()
        assert (summary.failed, summary.problems) == (0, 2)
    assert not watched.was_opened(world.root / "grows")
    assert not watched.was_opened(world.root / "new")
    bodies = {key: found.body for key, found in world.objects.published().items()}
    assert bodies == {"ordinary": b"ordinary", "page.html": b"another page", "grows": b"small"}
    reason = "it is larger than 50 GB, `max_file_size`: raise that, or make the file smaller"
    assert problems(world) == {b"grows": reason, b"new": reason}
    with world.agent() as site:
        assert site.repair(deep=True).deleted == 0
    for name in ("grows", "new"):
        os.truncate(world.root / name, 9)
    world.settle()
    world.check()


def test_max_file_size_is_what_the_operator_says(watched: Watched) -> None:
    """One byte more is too much; another setting is applied without a change of the tree."""
    world = watched.world
    world.config = replace(world.config, max_file_size=0.001)
    for size in (1_000_000, 1_000_001):
        world.write(str(size), b"x" * size)
    world.sync()
    assert set(world.objects.published()) == {"ordinary", "1000000"}
    world.config = replace(world.config, max_file_size=0.002)
    world.settle()
    world.check()


def test_a_file_that_grows_as_fast_as_it_is_read_ends_no_run_late_and_is_never_torn(watched: Watched) -> None:
    """It is read to the size that the scan saw and no further, left for later, and published whole when it rests."""
    world, log = watched.world, watched.root / "log"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", GROWS, str(log)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        left = 0
        for n in range(300):
            world.write("ordinary", b"%d" % n)
            left += world.sync().deferred
            assert world.objects.current["ordinary"].body == b"%d" % n
            if left >= 10:
                break
        process.send_signal(signal.SIGKILL)
    assert left >= 10
    whole = log.read_bytes()
    assert all(whole.startswith(body) for key, body, _ in watched.bodies if key == "log")
    world.settle()
    world.check()


# ---- what is no file


def test_fifos_sockets_and_devices_are_reported_and_never_opened(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening one can hang, or have an effect of its own; only lstat looks at them."""
    world = watched.world
    os.mkfifo(world.root / "fifo")
    monkeypatch.chdir(world.root)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    names = ["fifo", "socket"]
    for name, kind, device in (("zero", stat.S_IFCHR, (1, 5)), ("disk", stat.S_IFBLK, (7, 0))):
        with suppress(PermissionError):  # only root makes devices
            os.mknod(world.root / name, kind | 0o666, os.makedev(*device))
            names.append(name)
    world.sync()
    world.sync()
    assert problems(world) == {os.fsencode(name): "it is neither a file nor a directory" for name in names}
    assert not [name for name in names if watched.was_opened(world.root / name)]
    assert set(world.objects.published()) == {"ordinary"}


def test_a_hard_link_is_a_file_like_any_other(watched: Watched) -> None:
    """Each name is published by itself, follows a change made under the other, and outlives it."""
    world = watched.world
    (world.root / "d").mkdir()
    os.link(world.root / "ordinary", world.root / "d" / "link")
    world.settle()
    world.check()
    (world.root / "d" / "link").write_bytes(b"changed under the other name")
    world.settle()
    world.check()
    (world.root / "ordinary").unlink()
    world.settle()
    world.check()


def test_a_wide_directory_is_scanned_whole(wide: Callable[[int], Path]) -> None:
    """Every name of it is found, in chunks."""
    with Tree(wide(FEW)) as tree:
        (scan,) = walk(tree, b"wide", "wide", lambda _: ())
    assert isinstance(scan, DirectoryScan)
    assert len(set(scan.names)) == FEW
