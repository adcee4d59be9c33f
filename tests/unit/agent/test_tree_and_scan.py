"""The tree on disk: nothing outside the root is read, no file is read as a mix of two states."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siteferry.errors import FileChangedError, FileError, FileUnreadableError, RootError
from siteferry.scan import DirectoryScan, Scanned, UnreadableDirectory, VanishedDirectory, digest_directory, walk
from siteferry.settle import Settling, has_own_clock
from siteferry.tree import FileState, OpenFile, Tree, file_state
from tests.descriptors import descriptors_beneath


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root."""
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    """It, open."""
    with Tree(root) as opened:
        yield opened


def everything(scan: DirectoryScan) -> list[tuple[bytes, str]]:
    """Select every subdirectory."""
    return [(name, f"{scan.key}/{name.decode('latin-1')}" if scan.key else name.decode("latin-1")) for name in
            scan.subdirectories()]  # fmt: skip


def scanned(tree: Tree) -> dict[bytes, Scanned]:
    """Walk the whole tree."""
    return {found.path: found for found in walk(tree, b"", "", everything)}


def state(path: Path) -> FileState:
    """Give a file's state."""
    return FileState.of(path.lstat())


# ---- scan


def test_walk_tells_kinds_apart(root: Path, tree: Tree) -> None:
    """Files, subdirectories and all else are told apart, and nothing but a directory is entered."""
    (root / "file").write_bytes(b"abc")
    (root / "dir").mkdir()
    (root / "dir" / "inner").write_bytes(b"")
    os.symlink("/etc", root / "link-to-directory")
    os.symlink("file", root / "link-to-file")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    found = scanned(tree)
    assert list(found) == [b"", b"dir"]
    top = found[b""]
    assert isinstance(top, DirectoryScan)
    assert dict(top.files()) == {b"file": state(root / "file")}
    assert top.subdirectories() == [b"dir"]
    assert dict(top.others()) == {
        b"link-to-directory": "a symlink",
        b"link-to-file": "a symlink",
        b"fifo": "neither a file nor a directory",
        b"socket": "neither a file nor a directory",
    }


def test_walk_gives_names_of_any_bytes(root: Path, tree: Tree) -> None:
    """Names come through as the bytes that they are."""
    names = {b"\xe9\xff", b"\xc3\xa9", b"new\nline", b" ", b"x" * 255, b"-rf", b"\x1b[2J"}
    for name in names:
        (root / os.fsdecode(name)).write_bytes(name)
    top = scanned(tree)[b""]
    assert isinstance(top, DirectoryScan)
    assert {name for name, _ in top.files()} == names


def test_walk_goes_deep_and_leaks_no_descriptor(root: Path, tree: Tree) -> None:
    """As deep a tree as keys allow is walked, and every descriptor closed again."""
    at = root
    for _ in range(400):
        at = at / "d"
    at.mkdir(parents=True)
    before = descriptors_beneath(root)
    assert len(scanned(tree)) == 401
    assert descriptors_beneath(root) == before


def test_walk_that_is_left_leaks_no_descriptor(root: Path, tree: Tree) -> None:
    """A walk that is not finished closes what it opened."""
    (root / "a/b/c/d").mkdir(parents=True)
    before = descriptors_beneath(root)
    walking = walk(tree, b"", "", everything)
    for _ in range(4):
        next(walking)
    walking.close()  # type: ignore[attr-defined]
    assert descriptors_beneath(root) == before


@pytest.mark.parametrize("link", [True, False])
def test_directory_swapped_for_something_else_is_not_entered(root: Path, tree: Tree, link: bool) -> None:
    """A directory that becomes a symlink, or a file, between its parent's scan and its own is not entered."""
    (root / "d").mkdir()
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")

    def swap(scan: DirectoryScan) -> list[tuple[bytes, str]]:
        chosen = everything(scan)
        (root / "d").rmdir()
        if link:
            (root / "d").symlink_to(outside)
        else:
            (root / "d").write_bytes(b"")
        return chosen

    top, swapped = walk(tree, b"", "", swap)
    assert isinstance(top, DirectoryScan)
    assert isinstance(swapped, UnreadableDirectory)
    assert (swapped.path, swapped.key) == (b"d", "d")


def test_directory_that_vanishes_is_passed_over(root: Path, tree: Tree) -> None:
    """A directory that is gone when it is to be entered is passed over; what follows is not."""
    for name in ("a", "b"):
        (root / name).mkdir()

    def vanish(scan: DirectoryScan) -> list[tuple[bytes, str]]:
        chosen = everything(scan)
        if not scan.path:
            (root / "a").rmdir()
        return chosen

    found = {one.path: isinstance(one, VanishedDirectory) for one in walk(tree, b"", "", vanish)}
    assert found == {b"": False, b"a": True, b"b": False}


def test_unreadable_directory_is_told(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be read is told with the reason, and the walk goes on."""
    for name in ("a", "b"):
        (root / name).mkdir()
    real = os.scandir

    def scandir(descriptor: int) -> object:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/a"):
            raise OSError(5, "Input/output error")
        return real(descriptor)

    monkeypatch.setattr("siteferry.scan.os.scandir", scandir)
    found = scanned(tree)
    assert found[b"a"] == UnreadableDirectory(b"a", "a", "Input/output error")
    assert isinstance(found[b"b"], DirectoryScan)


@pytest.mark.skipif(os.geteuid() == 0, reason="permission bits do not bind root")
def test_forbidden_directory_is_told(root: Path, tree: Tree) -> None:
    """A directory without permission is told as unreadable."""
    (root / "a").mkdir(mode=0)
    assert isinstance(scanned(tree)[b"a"], UnreadableDirectory)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "f").write_bytes(b"other"),
        lambda root: (root / "f").chmod(0o600),
        lambda root: os.utime(root / "f", (1, 1)),
        lambda root: (root / "f").rename(root / "g"),
        lambda root: (root / "new").mkdir(),
        lambda root: ((root / "f").unlink(), (root / "f").mkdir()),
    ],
)
def test_digest_sees_every_change(root: Path, tree: Tree, change: Callable[[Path], object]) -> None:
    """The digest of a directory changes with whatever the diff would look at."""

    def digest() -> bytes:
        top = scanned(tree)[b""]
        assert isinstance(top, DirectoryScan)
        assert top.digest == digest_directory(tree.descriptor, top.key)
        return top.digest

    (root / "f").write_bytes(b"x")
    (root / "d").mkdir()
    before = digest()
    assert digest() == before
    (root / "d" / "inside").write_bytes(b"")
    assert digest() == before, "what is in a subdirectory is the subdirectory's business"
    change(root)
    assert digest() != before


# ---- tree


def test_missing_root_is_named(tmp_path: Path) -> None:
    """A root that is not there, or no directory, is named with what to look at."""
    (tmp_path / "file").write_bytes(b"")
    for name in ("missing", "file"):
        with pytest.raises(RootError, match=name) as caught:
            Tree(tmp_path / name)
        assert "mounted" in caught.value.remedy


def test_root_may_be_a_symlink_but_nothing_beneath(root: Path) -> None:
    """The operator may name the root by a symlink; beneath it none is followed."""
    (root / "d").mkdir()
    (root.parent / "link").symlink_to(root)
    (root / "up").symlink_to("d")
    with Tree(root.parent / "link") as tree:
        with tree.directory(b"d") as descriptor:
            assert os.listdir(descriptor) == []
        with pytest.raises(OSError, match=r"Not a directory|symbolic"), tree.directory(b"up"):
            pass
        assert tree.is_directory(b"d")
        assert tree.is_directory(b"")
        assert not tree.is_directory(b"up")
        assert not tree.is_directory(b"missing/deeper")


def test_regular_file(root: Path, tree: Tree) -> None:
    """Only a regular file is one; what is missing is none."""
    (root / "f").write_bytes(b"")
    (root / "l").symlink_to("f")
    found = [file_state(tree.descriptor, name) for name in (b"f", b"l", b"missing")]
    assert found == [state(root / "f"), None, None]


def test_whole_file_is_read(root: Path, tree: Tree) -> None:
    """A file that does not change is read whole, in one go or in chunks; an empty one too."""
    for body in (b"", b"abcdefg"):
        (root / "f").write_bytes(body)
        with OpenFile(tree.descriptor, b"f", state(root / "f")) as file:
            assert file.read() == body
            assert b"".join(file.chunks(2)) == body
            assert [len(chunk) for chunk in file.chunks(2)] == ([2, 2, 2, 1] if body else [])


def append(path: Path) -> None:
    """Let an FTP client go on writing."""
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    """Change bytes in place, and put the mtime back as an FTP client can."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(6)
        file.write(b"XX")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: list[Callable[[Path], object]] = [append, overwrite, lambda path: os.truncate(path, 3), Path.touch]


@pytest.mark.parametrize("change", CHANGES)
def test_change_while_reading_is_noticed(root: Path, tree: Tree, change: Callable[[Path], object]) -> None:
    """A file that changes while it is read is never taken for whole."""
    (root / "f").write_bytes(b"0123456789")
    os.utime(root / "f", (1, 1))
    with OpenFile(tree.descriptor, b"f", state(root / "f")) as file:
        chunks = file.chunks(4)
        assert next(chunks) == b"0123"
        change(root / "f")
        with pytest.raises(FileChangedError):
            list(chunks)


def replace(path: Path) -> None:
    """Put another file in its place, as an upload by rename does."""
    path.with_name("new").write_bytes(b"0123456789")
    path.with_name("new").rename(path)


def link_out(path: Path) -> None:
    """Put a symlink in its place."""
    path.unlink()
    path.symlink_to("/etc/hostname")


def fifo(path: Path) -> None:
    """Put a FIFO in its place."""
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    """Put a directory in its place."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [*CHANGES, replace, link_out, fifo, directory, Path.unlink])
def test_change_before_opening_is_noticed(root: Path, tree: Tree, change: Callable[[Path], object]) -> None:
    """What is not the file that was scanned is not read, does not hang, and leaks no descriptor."""
    (root / "f").write_bytes(b"0123456789")
    os.utime(root / "f", (1, 1))
    seen = state(root / "f")
    change(root / "f")
    before = descriptors_beneath(root)
    with pytest.raises(FileError):
        OpenFile(tree.descriptor, b"f", seen)
    assert descriptors_beneath(root) == before


def test_file_replaced_while_open_is_read_as_it_was(root: Path, tree: Tree) -> None:
    """A file that another one takes the place of is either read whole as it was, or refused; never as a mix."""
    (root / "f").write_bytes(b"0123456789")
    with OpenFile(tree.descriptor, b"f", state(root / "f")) as file:
        shutil.copy(root / "f", root / "new")
        (root / "new").rename(root / "f")
        with pytest.raises(FileChangedError):
            file.read()


def test_unreadable_file_says_why(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk names its reason."""

    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    (root / "f").write_bytes(b"x")
    monkeypatch.setattr("siteferry.tree.os.pread", broken)
    with OpenFile(tree.descriptor, b"f", state(root / "f")) as file, pytest.raises(FileUnreadableError, match="Input"):
        file.read()


def test_nothing_is_written_in_the_tree(root: Path, tree: Tree) -> None:
    """Walking and reading leave the tree as it is."""
    (root / "d").mkdir()
    (root / "d/f").write_bytes(b"x")
    before = [(path, path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) for path in root.rglob("*")]
    scanned(tree)
    assert [(path, path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) for path in root.rglob("*")] == before


# ---- settle


def judge(*, own_clock: bool) -> tuple[Settling, list[float]]:
    """Give a judge with 10 seconds, and the time it goes by."""
    now, looks = [1000.0], dict[tuple[bytes, str], float]()
    settling = Settling(
        10, lambda: now[0], lambda path, text, at: looks.setdefault((path, text), at), own_clock=own_clock
    )
    return settling, now


def test_host_clock_judges_by_age() -> None:
    """Where the host's clock made the ctime, the file's age decides, at the first look."""
    settling, now = judge(own_clock=False)
    seen = FileState(1, 2, 3, 1_000 * 10**9)
    assert not settling.settled(b"f", seen)
    now[0] += 9.9
    assert not settling.settled(b"f", seen)
    now[0] += 0.1
    assert settling.settled(b"f", seen)


@pytest.mark.parametrize(("own_clock", "ctime"), [(True, 1), (True, 10**6), (False, 10**6)])
def test_other_clock_needs_two_looks(own_clock: bool, ctime: int) -> None:
    """With a clock of its own, or a ctime in the future, two looks that far apart must agree."""
    settling, now = judge(own_clock=own_clock)
    seen = FileState(1, 2, 3, ctime * 10**9)
    assert not settling.settled(b"f", seen)
    now[0] += 10
    assert not settling.settled(b"f", FileState(1, 3, 3, ctime * 10**9)), "it grew meanwhile"
    assert not settling.settled(b"g", seen), "another file"
    assert settling.settled(b"f", seen)


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("36 35 0:41 / /srv rw,relatime shared:1 - nfs4 server:/x rw", True),
        ("36 35 0:41 / /srv rw,relatime - fuse.sshfs server:/x rw", True),
        ("36 35 0:41 / /srv rw,relatime - ext4 /dev/sda1 rw", False),
        ("36 35 0:42 / /srv rw,relatime - nfs4 server:/x rw", False),
        ("nonsense", False),
    ],
)
def test_own_clock_by_file_system(tmp_path: Path, line: str, own: bool) -> None:
    """A remote file system has a clock of its own."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(line + "\n")
    assert has_own_clock(os.makedev(0, 41), mounts) is own


def test_unknown_mounts_are_not_trusted(tmp_path: Path) -> None:
    """Where the mounts cannot be read, two looks are needed."""
    assert has_own_clock(1, tmp_path / "missing")
