"""What a restore replaces, removes and makes: nobody's upload is lost, and nobody may more than before."""

import errno
import fcntl
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from siteferry.commands.restoring import _summary
from siteferry.errors import FileLockedError
from siteferry.locks import write_locked
from siteferry.restore import destination, entry
from siteferry.restore.destination import Destination, remove_file
from siteferry.restore.entry import found_text
from siteferry.restore.plan import RestorePlan
from siteferry.restore.restore import Asked, Source
from siteferry.restore.scope import Scope
from tests.unit.agent.archive import Restored, restore
from tests.unit.agent.fakes import World
from tests.unit.agent.test_locks import ofd_lock, posix_lock
from tests.unit.agent.test_restore import tree_of, write
from tests.unit.agent.test_time_machine import Undoer

LOCKED = "another process has it locked to write it"
ALICE = 12_345
BOB = 54_321
NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Where a site is restored to."""
    path = tmp_path / "restored"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def published(world: World) -> World:
    """A site with a directory."""
    for path in (b"index.html", b"docs/guide.html"):
        write(world.root, path, b"body of " + path)
    world.settle()
    return world


@pytest.fixture
def umask() -> Iterator[None]:
    """The umask of a careful root."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def _restore(world: World, dest: Path, *, delete: bool = False) -> Restored:
    return restore(world, dest, Asked(Source(), Scope(), delete=delete))


def mode_of(path: Path) -> str:
    """Give the mode as chmod(1) takes it."""
    return oct(stat.S_IMODE(path.stat().st_mode))


# ---- uploads under way

UPLOAD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
file.seek(0, 2)
file.write(b" and the rest")
"""


class Upload:
    """An upload that an FTP server goes on with (APPE, REST), as vsftpd does: it is locked, and nothing is cut off."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", UPLOAD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"locked\n"

    def end(self) -> None:
        """Write the rest."""
        self._process.communicate()


def test_an_upload_is_not_replaced_by_an_undo(world: World) -> None:
    """Its file is what was published, and locked: it stays, and takes the rest."""
    undoer = Undoer(world)
    run = undoer.run(lambda: write(world.root, b"a.html", b"second"))
    upload = Upload(world.root / "a.html")
    found = undoer.undo(run)
    upload.end()
    assert found.failures == {"a.html": LOCKED}
    assert (world.root / "a.html").read_bytes() == b"second and the rest"


def test_an_upload_is_not_removed_by_an_undo(world: World) -> None:
    """Nor is one that made the file."""
    undoer = Undoer(world)
    run = undoer.run(lambda: write(world.root, b"new.html", b"begun"))
    upload = Upload(world.root / "new.html")
    found = undoer.undo(run)
    upload.end()
    assert found.failures == {"new.html": LOCKED}
    assert (world.root / "new.html").read_bytes() == b"begun and the rest"


@pytest.mark.parametrize("begins", ["before the plan", "before the download", "while the new file waits for the disk"])
def test_an_upload_is_not_replaced_by_a_restore(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    """Whenever it begins; what else there is to restore is restored."""
    write(dest, b"index.html", b"begun")
    uploads: list[Upload] = []

    def begin() -> None:
        if not uploads:
            uploads.append(Upload(dest / "index.html"))

    really = destination.sync_together

    def sync_together(*arguments: object) -> list[OSError | None]:
        begin()
        return really(*arguments)  # type: ignore[arg-type]

    if begins == "before the plan":
        begin()
    elif begins == "before the download":
        published.faults.before = lambda request: begin() if request == "archive get" else None
    else:
        monkeypatch.setattr("siteferry.restore.landing.sync_together", sync_together)
    found = _restore(published, dest)
    uploads[0].end()
    assert found.failures == {"index.html": LOCKED}
    assert (dest / "index.html").read_bytes() == b"begun and the rest"
    assert (dest / "docs/guide.html").read_bytes() == b"body of docs/guide.html"
    assert set(tree_of(dest)) == {b"index.html", b"docs", b"docs/guide.html"}


def test_an_upload_is_not_removed_by_a_restore(published: World, dest: Path) -> None:
    """With leave to delete, the new file of an upload that begins after the plan stays."""
    write(dest, b"extra.html", b"begun")
    uploads: list[Upload] = []

    def begin(request: str) -> None:
        if request == "archive get" and not uploads:
            uploads.append(Upload(dest / "extra.html"))

    published.faults.before = begin
    found = _restore(published, dest, delete=True)
    uploads[0].end()
    assert found.failures == {"extra.html": LOCKED}
    assert (dest / "extra.html").read_bytes() == b"begun and the rest"


LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
sys.stdin.read()
"""


@contextmanager
def lease(path: Path) -> Iterator[None]:
    """Hold a lease to write as Samba does, which nobody's open ends at once."""
    command = [sys.executable, "-c", LEASE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        if process.stdout.readline() != b"leased\n":
            pytest.skip("no leases on this file system")
        yield


@pytest.mark.parametrize("lock", [posix_lock, ofd_lock, lease])
def test_a_file_that_somebody_writes_is_not_removed(
    dest: Path, lock: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """However that shows; afterwards it is."""
    write(dest, b"file", b"1")
    with Destination(dest) as opened:
        found = found_text((dest / "file").stat())
        with lock(dest / "file"), pytest.raises(FileLockedError):
            remove_file(opened.descriptor, b"file", found)
        remove_file(opened.descriptor, b"file", found)
    assert not (dest / "file").exists()


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Gives up root's rights for a while, where there are any."""

    @contextmanager
    def switched() -> Iterator[None]:
        user = os.geteuid()
        if user:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(user)

    return switched


@pytest.mark.parametrize("locked", [True, False])
def test_a_file_that_may_not_be_read_can_be_replaced(
    dest: Path,
    monkeypatch: pytest.MonkeyPatch,
    unprivileged: Callable[[], AbstractContextManager[None]],
    *,
    locked: bool,
) -> None:
    """By whoever may write in its directory; whether it is locked the kernel's list tells."""
    write(dest, b"file", b"secret")
    if os.geteuid() == 0:
        os.chown(dest / "file", NOBODY, NOBODY)
    (dest / "file").chmod(0o200)
    dest.chmod(0o777)
    with (dest / "file").open("r+b" if os.geteuid() == 0 else "ab") as writer, Destination(dest) as opened:
        if locked:
            fcntl.lockf(writer, fcntl.LOCK_EX)
            if not write_locked():
                pytest.skip("this kernel does not list its locks")
        found = found_text((dest / "file").stat())
        with unprivileged():
            with pytest.raises(PermissionError):
                os.open(b"file", os.O_RDONLY, dir_fd=opened.descriptor)
            place = opened.place(b"")
            with opened.new_file(place) as new:
                new.write(b"new")
                if locked:
                    with pytest.raises(FileLockedError):
                        new.dress(b"file", None, found)
                else:
                    new.dress(b"file", None, found)
                    new.appear(b"file", found)
            os.close(place.descriptor)
    (dest / "file").chmod(0o600)
    assert (dest / "file").read_bytes() == (b"secret" if locked else b"new")


# ---- rights


@pytest.mark.parametrize("special", [stat.S_ISUID, stat.S_ISGID, stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX])
def test_what_is_downloaded_runs_as_nobody_else(published: World, dest: Path, special: int) -> None:
    """Its mode is that of the file it replaces, but for setuid and its like: they were for other bytes."""
    write(dest, b"index.html", b"other")
    (dest / "index.html").chmod(0o755 | special)
    _restore(published, dest)
    assert (dest / "index.html").read_bytes() == b"body of index.html"
    assert mode_of(dest / "index.html") == "0o755"


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("of_dest", "of_directories", "of_files"), [
    (0o2775, "0o2775", "0o664"), (0o750, "0o750", "0o640"), (0o3777, "0o3775", "0o664"),
])  # fmt: skip
def test_what_is_new_is_as_its_directory(
    published: World, dest: Path, of_dest: int, of_directories: str, of_files: str
) -> None:
    """Whatever the umask of who restores: a group writes on in what was its own. Nobody else ever does."""
    dest.chmod(of_dest)
    _restore(published, dest)
    assert mode_of(dest / "docs") == of_directories
    assert {mode_of(dest / name) for name in ("index.html", "docs/guide.html")} == {of_files}


def acl(*entries: tuple[int, int] | tuple[int, int, int]) -> bytes:
    """Give an ACL as the kernel takes it: tag and rights of each entry, and whose."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *(*entry, 0xFFFFFFFF)[:3]) for entry in entries)


OWNER, USER, GROUP, MASK, OTHERS = 1, 2, 4, 16, 32
ONLY_BOB = acl((OWNER, 6), (USER, 6, BOB), (GROUP, 0), (MASK, 6), (OTHERS, 0))
"""Bob may write, and the group nothing, though the mode is 0660."""
HANDED_ON = acl((OWNER, 7), (USER, 7, BOB), (GROUP, 5), (MASK, 7), (OTHERS, 0))
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def set_acl(path: Path, kind: str, value: bytes) -> None:
    """Set one, or skip the test."""
    try:
        os.setxattr(path, kind, value)
    except OSError as error:
        pytest.skip(f"no ACLs on this file system: {error.strerror}")


def acl_of(path: Path, kind: str = ACCESS) -> bytes | None:
    """Give one; None: there is none."""
    try:
        return os.getxattr(path, kind)
    except OSError:
        return None


def test_a_file_that_is_replaced_keeps_its_acl(published: World, dest: Path) -> None:
    """In the mode of such a file the group's bits are a mask, and no right of the group."""
    write(dest, b"index.html", b"other")
    (dest / "index.html").chmod(0o600)
    set_acl(dest / "index.html", ACCESS, ONLY_BOB)
    _restore(published, dest)
    assert (dest / "index.html").read_bytes() == b"body of index.html"
    assert (acl_of(dest / "index.html"), mode_of(dest / "index.html")) == (ONLY_BOB, "0o660")


@pytest.mark.parametrize(("others", "mode"), [(0, "0o600"), (4, "0o600")])
def test_where_an_acl_cannot_be_kept_nobody_gets_more(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch, others: int, mode: str
) -> None:
    """The mode that comes in its place gives only what everybody had."""
    write(dest, b"index.html", b"other")
    (dest / "index.html").chmod(0o600)
    set_acl(dest / "index.html", ACCESS, acl((OWNER, 6), (USER, 6, BOB), (GROUP, 0), (MASK, 6), (OTHERS, others)))

    def refused(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "setxattr", refused)
    found = _restore(published, dest)
    assert found.failures == {}
    assert (dest / "index.html").read_bytes() == b"body of index.html"
    assert (acl_of(dest / "index.html"), mode_of(dest / "index.html")) == (None, mode)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("unnamed", [True, False])
def test_a_default_acl_is_handed_on(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch, *, unnamed: bool
) -> None:
    """What is new is as if an FTP server had made it, on file systems without unnamed files, too."""
    set_acl(dest, DEFAULT, HANDED_ON)
    (dest / "like").mkdir(mode=0o777)
    (dest / "like/file").touch(mode=0o666)
    if not unnamed:
        really = os.open

        def open_named(path: bytes, flags: int, *arguments: int, **named: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not on this file system")
            return really(path, flags, *arguments, **named)

        monkeypatch.setattr("siteferry.restore.new_file.os.open", open_named)
    _restore(published, dest)
    for new, like in (("docs", "like"), ("docs/guide.html", "like/file"), ("index.html", "like/file")):
        assert [mode_of(dest / new), acl_of(dest / new), acl_of(dest / new, DEFAULT)] == [
            mode_of(dest / like), acl_of(dest / like), acl_of(dest / like, DEFAULT),
        ]  # fmt: skip
    assert acl_of(dest / "docs") is not None


def test_a_file_without_an_acl_gets_none_by_being_replaced(published: World, dest: Path) -> None:
    """A default ACL that its directory got later is not for it."""
    write(dest, b"index.html", b"other")
    (dest / "index.html").chmod(0o640)
    set_acl(dest, DEFAULT, HANDED_ON)
    _restore(published, dest)
    assert (dest / "index.html").read_bytes() == b"body of index.html"
    assert (acl_of(dest / "index.html"), mode_of(dest / "index.html")) == (None, "0o640")


def test_the_mask_of_a_directory_is_no_right_of_its_group(published: World, dest: Path) -> None:
    """What is made in a directory with an ACL, which it does not hand on, gives the group what the ACL says."""
    set_acl(dest, ACCESS, acl((OWNER, 7), (USER, 7, BOB), (GROUP, 5), (MASK, 7), (OTHERS, 0)))
    assert mode_of(dest) == "0o770"
    _restore(published, dest)
    assert [mode_of(dest / "docs"), mode_of(dest / "index.html")] == ["0o750", "0o640"]


# ---- owners


def _owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


@as_root
def test_root_gives_what_it_restores_to_its_owners(published: World, dest: Path) -> None:
    """A file that is replaced keeps owner and group, and what is new belongs to whom its directory does."""
    write(dest, b"index.html", b"other")
    os.chown(dest, ALICE, BOB)
    os.chown(dest / "index.html", BOB, ALICE)
    found = _restore(published, dest)
    assert _owner(dest / "index.html") == (BOB, ALICE)
    assert {_owner(dest / "docs"), _owner(dest / "docs/guide.html")} == {(ALICE, BOB)}
    assert found.summary.owners_kept


def _refuse(monkeypatch: pytest.MonkeyPatch, what: Callable[[int, int], bool]) -> None:
    really = os.fchown

    def fchown(descriptor: int, uid: int, gid: int) -> None:
        if what(uid, gid):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        really(descriptor, uid, gid)

    monkeypatch.setattr(os, "fchown", fchown)


@as_root
@pytest.mark.parametrize(("mode", "left"), [(0o640, "0o600"), (0o664, "0o644"), (0o604, "0o600"), (0o755, "0o755")])
def test_where_owners_are_refused_nobody_gets_more(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch, mode: int, left: str
) -> None:
    """NFS with root_squash: all comes back, another group gets no more than everybody had, and that is told once."""
    write(dest, b"index.html", b"other")
    os.chown(dest / "index.html", ALICE, ALICE)
    (dest / "index.html").chmod(mode)
    os.chown(dest, ALICE, ALICE)
    dest.chmod(0o770)
    _refuse(monkeypatch, lambda _uid, _gid: True)
    found = _restore(published, dest)
    assert found.failures == {}
    assert tree_of(dest) == tree_of(published.root)
    assert mode_of(dest / "index.html") == left
    assert [mode_of(dest / "docs"), mode_of(dest / "docs/guide.html")] == ["0o700", "0o600"]
    with RestorePlan() as plan:
        assert _summary(plan, found.summary).count("not all belong to whom they should") == 1


@as_root
@pytest.mark.parametrize(("mode", "left"), [(0o640, "0o600"), (0o664, "0o644")])
def test_without_root_a_replaced_file_is_its_restorers_and_gives_nobody_more(
    dest: Path, unprivileged: Callable[[], AbstractContextManager[None]], mode: int, left: str
) -> None:
    """Refused by the kernel itself."""
    write(dest, b"file", b"hers")
    os.chown(dest / "file", ALICE, ALICE)
    (dest / "file").chmod(mode)
    dest.chmod(0o777)
    found = found_text((dest / "file").stat())
    with Destination(dest) as opened:
        with unprivileged():
            place = opened.place(b"")
            with opened.new_file(place) as new:
                new.write(b"new")
                new.dress(b"file", 1, found)
                new.appear(b"file", found)
            os.close(place.descriptor)
        assert not opened.owners_kept
    assert (dest / "file").read_bytes() == b"new"
    assert ((dest / "file").stat().st_uid, mode_of(dest / "file")) == (NOBODY, left)


@as_root
def test_the_group_is_kept_where_only_the_owner_is_refused(
    published: World, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As anybody may who is in it: then its rights stay, too."""
    write(dest, b"index.html", b"other")
    os.chown(dest / "index.html", ALICE, BOB)
    (dest / "index.html").chmod(0o660)
    _refuse(monkeypatch, lambda uid, _: uid != -1)
    found = _restore(published, dest)
    assert (_owner(dest / "index.html"), mode_of(dest / "index.html")) == ((0, BOB), "0o660")
    assert not found.summary.owners_kept


@as_root
def test_another_group_gets_nothing_from_an_acl(published: World, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ACL gives to the group was not for the group that the file has now."""
    write(dest, b"index.html", b"other")
    os.chown(dest / "index.html", ALICE, ALICE)
    set_acl(dest / "index.html", ACCESS, acl((OWNER, 6), (USER, 6, BOB), (GROUP, 6), (MASK, 6), (OTHERS, 4)))
    _refuse(monkeypatch, lambda _uid, _gid: True)
    _restore(published, dest)
    assert (acl_of(dest / "index.html"), mode_of(dest / "index.html")) == (None, "0o644")


def test_nothing_is_told_where_all_belongs_to_who_restores(published: World, dest: Path) -> None:
    """Which takes no root."""
    with RestorePlan() as plan:
        assert "belong" not in _summary(plan, _restore(published, dest).summary)


# ---- directories

KILLED = """
import os, sys
from pathlib import Path
from siteferry.restore.destination import Destination
os.fchmod = lambda *_: os._exit(9)
with Destination(Path(sys.argv[1])) as destination:
    destination.make(b"docs")
"""


def test_a_directory_of_a_killed_restore_does_not_pass_for_one(published: World, dest: Path) -> None:
    """Killed before it has its rights, it has no name yet; the next restore removes it, and makes it."""
    dest.chmod(0o775)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(dest)], check=False)
    assert killed.returncode == 9
    assert [bool(entry.UNFINISHED.fullmatch(name)) for name in tree_of(dest)] == [True]
    _restore(published, dest)
    assert tree_of(dest) == tree_of(published.root)
    assert mode_of(dest / "docs") == "0o775"


@pytest.mark.parametrize("delete", [True, False])
def test_a_directory_of_such_a_name_that_somebody_uses_stays(published: World, dest: Path, *, delete: bool) -> None:
    """A restore leaves only empty ones."""
    write(dest, b".siteferry-0123456789abcdef/mine", b"1")
    found = _restore(published, dest, delete=delete)
    assert (dest / ".siteferry-0123456789abcdef/mine").read_bytes() == b"1"
    assert found.failures == {}


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSPC])
def test_a_directory_that_cannot_be_made_leaves_nothing(
    dest: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Neither it nor one without a name."""

    def fchmod(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fchmod", fchmod)
    with Destination(dest) as opened, pytest.raises(OSError, match=os.strerror(error)):
        opened.make(b"docs")
    assert tree_of(dest) == {}


def _meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Have something done before a directory that is made gets its name."""
    really = os.fchmod

    def fchmod(descriptor: int, mode: int) -> None:
        really(descriptor, mode)
        do()

    monkeypatch.setattr(os, "fchmod", fchmod)


@pytest.mark.parametrize("renames", [True, False])
def test_a_directory_that_somebody_makes_meanwhile_is_theirs(
    dest: Path, monkeypatch: pytest.MonkeyPatch, *, renames: bool
) -> None:
    """With what is in it, on file systems whose rename cannot be told to replace nothing, too."""
    if not renames:
        monkeypatch.setattr(destination, "_library", SimpleNamespace)
    _meanwhile(monkeypatch, lambda: write(dest, b"docs/mine", b"1"))
    with Destination(dest) as opened:
        opened.make(b"docs")
    assert (dest / "docs/mine").read_bytes() == b"1"
    assert set(tree_of(dest)) == {b"docs", b"docs/mine"}


def test_an_empty_directory_that_somebody_makes_meanwhile_stays(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same directory afterwards: whoever is in it uploads into it."""
    made: list[int] = []

    def make() -> None:
        (dest / "docs").mkdir()
        made.append((dest / "docs").stat().st_ino)

    _meanwhile(monkeypatch, make)
    with Destination(dest) as opened:
        opened.make(b"docs")
    assert made == [(dest / "docs").stat().st_ino]
    assert set(tree_of(dest)) == {b"docs"}


@pytest.mark.parametrize("renames", [True, False])
def test_a_file_in_the_place_of_a_directory_stays(
    dest: Path, monkeypatch: pytest.MonkeyPatch, *, renames: bool
) -> None:
    """One that comes meanwhile, too."""
    if not renames:
        monkeypatch.setattr(destination, "_library", SimpleNamespace)
    _meanwhile(monkeypatch, lambda: write(dest, b"docs", b"1"))
    with Destination(dest) as opened, pytest.raises(NotADirectoryError):
        opened.make(b"docs")
    assert tree_of(dest)[b"docs"] is not None
    assert set(tree_of(dest)) == {b"docs"}
