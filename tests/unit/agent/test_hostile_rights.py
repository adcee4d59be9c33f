"""What the agent does to the tree of hostile users (nothing), with which rights, and when theirs change meanwhile."""

import ctypes
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siteferry.cli import main
from siteferry.explain import Explainer
from siteferry.rights import CAP_DAC_READ_SEARCH, too_much
from tests.unit.agent.fakes import World
from tests.unit.agent.test_explain import Distribution, Queues

ALL = (1 << 64) - 1
STRANGER = 54_321
"""A user whose files those of the tree are."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.chflags", "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.removexattr", "os.rename", "os.rmdir",
    "os.setxattr", "os.symlink", "os.truncate", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile",
}  # fmt: skip
"""Events of Python (its library reference's table of audit events) that change a file system."""

_libc = ctypes.CDLL(None, use_errno=True)
_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _listeners:
        listener(event, arguments)


sys.addaudithook(_hear)  # which can never be taken back


# ---- rights


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def with_capabilities(wanted: int) -> Iterator[None]:
    """Let this thread use these of its capabilities alone (capset(2)).

    Without any, permissions bind root, too, in what is another user's.
    """
    header, sets = _Header(0x20080522, 0), (_Sets * 2)()

    def use(effective: int) -> None:
        sets[0].effective, sets[1].effective = effective & 0xFFFFFFFF, effective >> 32
        assert not _libc.capset(ctypes.byref(header), sets)

    assert not _libc.capget(ctypes.byref(header), sets)
    before = sets[0].effective | sets[1].effective << 32
    use(wanted & (sets[0].permitted | sets[1].permitted << 32))
    try:
        yield
    finally:
        use(before)


def give_away(world: World) -> None:
    """Make the tree another user's, if that is possible: else it is this user's, whom permissions bind as well."""
    if os.geteuid() == 0:
        for at, folders, names in os.walk(world.root):
            for name in (*folders, *names, "."):
                os.chown(os.path.join(at, name), STRANGER, STRANGER, follow_symlinks=False)


@pytest.fixture
def site(world: World) -> World:
    """A published site with directories and a symlink that is followed."""
    world.config = replace(world.config, symlinks="inside")
    for path in ("a/one", "a/two", "b/c/three", "b/four", "page.html"):
        world.write(path, path.encode())
    (world.root / "link").symlink_to("a/one")
    give_away(world)
    world.settle()
    world.check()
    return world


def test_the_agent_publishes_a_tree_that_it_may_only_read(site: World) -> None:
    """Where it may write nothing, it misses nothing: neither to publish, nor to see a change."""
    for at, _, names in os.walk(site.root):
        for name in names:
            if not os.path.islink(os.path.join(at, name)):
                os.chmod(os.path.join(at, name), 0o444)
        os.chmod(at, 0o555)
    with with_capabilities(0):
        with pytest.raises(PermissionError):
            (site.root / "new").touch()
        site.settle()
        site.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a tree to another user")
def test_no_more_than_cap_dac_read_search_is_needed(site: World) -> None:
    """With this capability alone, what is closed to everybody but its owner is published; without, it is reported."""
    site.write("closed/file", b"closed")
    site.write("b/four", b"4")
    give_away(site)
    (site.root / "b" / "four").chmod(0o600)
    (site.root / "closed").chmod(0o700)
    with with_capabilities(0):
        summary = site.sync()
        assert dict(summary.failures) == {
            "closed": "the directory cannot be read (Permission denied): all beneath it stays",
            "b/four": "cannot be read: Permission denied",
        }
    with with_capabilities(CAP_DAC_READ_SEARCH):
        with pytest.raises(PermissionError):
            (site.root / "closed" / "new").touch()
        site.settle()
    site.check()


@pytest.mark.parametrize(
    ("capabilities", "hard_links", "words"),
    [
        ("0000000000000000", "1", []),
        ("0000000000000004", "1", []),
        ("000001ffffffffff", "1", ["more rights"]),
        ("0000000000000006", "1", ["more rights"]),
        ("0000000000000004", "0", ["protected_hardlinks"]),
    ],
)
def test_more_than_is_needed_is_told(tmp_path: Path, capabilities: str, hard_links: str, words: list[str]) -> None:
    """A daemon with more capabilities, or on a host where a hard link can be made to any file, says so."""
    (status := tmp_path / "status").write_text(f"Name:\tpython\nCapEff:\t{capabilities}\nCapBnd:\t000001ffffffffff\n")
    (sysctl := tmp_path / "protected_hardlinks").write_text(f"{hard_links}\n")
    lines = too_much(status, sysctl)
    assert [word for word, line in zip(words, lines, strict=True) if word in line] == words


def test_a_daemon_says_it_as_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything else, so that it is in the log however the start ends."""
    config = tmp_path / "siteferry.toml"
    config.write_text(f'site = "www"\nroot = "{tmp_path}"\n')
    monkeypatch.setattr("siteferry.commands.publishing.too_much", lambda: ["WARNING: too much"])
    monkeypatch.setattr("siteferry.commands.publishing.keep_published", lambda *_: None)
    monkeypatch.setattr("siteferry.clock.signal.signal", lambda *_: None)
    assert main(["run", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "WARNING: too much\n"


def test_what_cannot_be_told_is_no_warning(tmp_path: Path) -> None:
    """Where /proc is not what it is on Linux, nothing is said."""
    assert too_much(tmp_path / "missing", tmp_path / "missing") == []


# ---- nothing is written


def state_of(root: Path) -> dict[str, tuple[int, ...]]:
    """Give all that there is of a tree but times of reading."""
    found: dict[str, tuple[int, ...]] = {}
    for at, folders, names in os.walk(root):
        for name in (".", *folders, *names):
            s = os.lstat(os.path.join(at, name))
            found[os.path.join(at, name)] = (
                s.st_mode, s.st_ino, s.st_nlink, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns
            )  # fmt: skip
    return found


def test_nothing_is_ever_written_in_the_tree(site: World) -> None:
    """Neither by a run that publishes, deletes, audits or recovers, nor by a look: no change, and not even a try."""
    tried: list[tuple[str, tuple[Any, ...]]] = []
    opened = 0

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal opened
        if event == "open" and len(arguments) == 3:
            path, _, flags = arguments
            opened += 1
            if isinstance(flags, int) and flags & WRITES and not is_elsewhere(path):
                tried.append((event, arguments))
        elif event in CHANGES and not all(is_elsewhere(path) for path in arguments if isinstance(path, (str, bytes))):
            tried.append((event, arguments))

    def is_elsewhere(path: object) -> bool:
        # A name alone is relative to an open directory: those are the tree's.
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        return os.path.isabs(text) and not Path(text).is_relative_to(site.root)

    site.write("new.html", b"new")
    site.write("a/one", b"another one")
    (site.root / "b" / "four").unlink()
    before = state_of(site.root)
    _listeners.append(hear)
    try:
        with site.agent() as agent:
            agent.dry_run(as_json=True)
            Explainer(agent.parts, agent.tenancy.look(), Queues(), Distribution(site)).explain("a/one")
        assert site.sync_and_die(8, after_effect=True)
        site.settle()
        with site.agent() as agent:
            agent.audit(deep=True)
            agent.repair(deep=True)
        heard, reads = list(tried), opened
        (site.root / "a").joinpath("probe").write_bytes(b"")
    finally:
        _listeners.clear()
    assert heard == []
    assert reads > 20
    assert len(tried) == 1, "a write would have been heard"
    (site.root / "a" / "probe").unlink()
    after = state_of(site.root)
    for changed in (before, after):  # by the probe
        for path in (f"{site.root}/a", f"{site.root}/a/."):
            del changed[path]
    assert after == before
    site.handle()
    site.check()


# ---- permissions that change midway


def without(site: World, path: str) -> None:
    """Have its owner take everybody's permissions of a file or directory away."""
    with with_capabilities(ALL):
        (site.root / path).chmod(0)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/one", "cannot be read: Permission denied"),
        ("a", "its directory cannot be opened: Permission denied"),
    ],
)
def test_permissions_that_go_between_scan_and_open_fail_only_what_they_are_of(
    site: World, path: str, reason: str
) -> None:
    """That is reported, its published version stays, the rest is published; with the permissions it goes on."""
    (site.root / "link").unlink()
    for name in ("a/one", "b/four"):
        site.write(name, b"changed")
    done: list[str] = []

    def before(request: str) -> None:
        assert done or request != "put", "too late"
        if request == "replace_head" and not done:  # the run is opened
            done.append(path)
            without(site, path)

    site.faults.before = before
    with with_capabilities(0):
        summary = site.sync()
    assert done
    assert summary.failures == [("a/one", reason)]
    assert site.objects.current["a/one"].body == b"a/one"
    assert site.objects.current["b/four"].body == b"changed"
    site.faults.before = lambda _: None
    (site.root / path).chmod(0o755)
    with with_capabilities(0):
        site.settle()
    site.check()


def test_permissions_that_go_during_the_scan_keep_what_is_published(site: World) -> None:
    """A directory closed after its parent was scanned counts as unreadable: nothing beneath it is deleted."""
    site.write("page.html", b"changed")
    (site.root / "b" / "five").touch()
    (site.root / "b" / "c").rename(site.root / "b" / "d")
    give_away(site)
    done: list[bool] = []

    def progress() -> None:
        if not done:
            done.append(True)
            without(site, "b")

    site.progress = progress
    with with_capabilities(0):
        summary = site.sync()
    assert done
    assert summary.failures == [("b", "the directory cannot be read (Permission denied): all beneath it stays")]
    assert summary.deleted == 0
    assert {"b/four", "b/c/three"} <= set(site.objects.published())
    assert site.objects.current["page.html"].body == b"changed"
    (site.root / "b").chmod(0o755)
    with with_capabilities(0):
        site.settle()
    site.check()


def test_modes_are_no_state_that_is_published(site: World) -> None:
    """A chmod alone costs a look at the file, and no upload; what it opens to others was published before."""
    (site.root / "a" / "one").chmod(0o640)
    assert stat.S_IMODE((site.root / "a" / "one").stat().st_mode) == 0o640
    summary = site.sync()
    assert (summary.uploaded, summary.failed) == (0, 0)
    assert summary.unchanged == 2, "the file, and the symlink to it"
