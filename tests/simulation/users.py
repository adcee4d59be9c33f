"""What FTP users do to the tree. Any of it may fail, as on a real server; then it is not done."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, get_args

from tests.simulation.disk import Disk

EditKind = Literal[
    "write", "in steps", "hidden", "again", "delete", "rename", "make directory", "remove tree", "swap", "backdate",
    "same size", "symlink", "directory symlink", "visit", "forbid", "allow", "unmount", "mount",
]  # fmt: skip
EDIT_KINDS: Final[tuple[EditKind, ...]] = get_args(EditKind)
_WEIGHTS: Final = (6, 3, 2, 3, 8, 3, 1, 3, 2, 1, 2, 1, 1, 2, 1, 1, 0.4, 0.6)
_FOCUSED: Final = (12, 1, 1, 2, 12, 1, 0, 2, 1, 0, 2, 0, 0, 2, 0, 0, 0, 0)
_ON_DIRECTORIES: Final = frozenset({"make directory", "remove tree", "directory symlink"})
_ON_EITHER: Final = frozenset({"rename", "forbid", "allow"})
CUES: Final = ("opening", "has put", "commits", "commits", "sends", "closing", "DIES", "no answer", "delete marker")

FILES: Final = (
    b"a.txt", b"b.html", b"index.html", b"d/a.txt", b"d/index.html", b"d/e/a.txt", b"d/e/index.html",
    b"docs/a.txt", b"docs/index.html", b"docs/s/a.txt", b"x", b"x/a.txt",
    b"d/caf\xe9 1~*.txt", b"d/caf\xc3\xa9 1~*.txt", b"caf\xe9/a.txt", b"caf\xc3\xa9/a.txt", b"caf\xc3\xa9",
    b"mirror/docs/a.txt",
)  # fmt: skip
DIRECTORIES: Final = (b"d", b"d/e", b"docs", b"docs/s", b"x", b"empty", b"mirror", b"caf\xe9")
OLD: Final = 946_684_800 * 10**9
"""An mtime long ago, in nanoseconds since 1970."""
BODIES: Final = (b"A1A1", b"B2B2", b"C3C3")


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that a user does, `after` seconds after the one before."""

    user: int
    after: float
    kind: EditKind
    path: bytes
    other: bytes
    body: bytes
    old: bool
    cue: str = ""
    """What the user waits for, at most `after` seconds: regular expressions of lines of the story, one after the other,
    with " then " between."""

    def describe(self) -> str:
        """Say it."""
        match self.kind:
            case "write" | "in steps" | "hidden" | "same size":
                text = f"{self.kind}: {self.path!r} {self.body!r}"
            case "rename":
                text = f"renames {self.path!r} to {self.other!r}"
            case _:
                text = f"{self.kind}: {self.path!r}"
        return text + (" with an old mtime" if self.old else "")


def draw_edits(rng: random.Random, count: int, users: int, *, focused: bool, failing: str) -> tuple[Edit, ...]:
    """Draw what users will do: often to the same few names; `focused`: nearly always to the same one, and on cue.

    `failing` is the cue of the schedule's own fault, if it has one.
    """
    files = rng.sample(FILES, rng.choice((1, 1, 2)) if focused else rng.choice((2, 3, 5)))
    if focused and rng.random() < 0.4:
        files = [rng.choice((b"docs/a.txt", b"docs/index.html", b"d/index.html"))]
    directories = sorted({path.rpartition(b"/")[0] for path in files} - {b""}) or [b"d"]
    scale = rng.choice((5.0, 20.0, 60.0))
    weights = _FOCUSED if focused else _WEIGHTS
    edits = [Edit(0, 0.0, "write", path, path, rng.choice(BODIES), False) for path in files if rng.random() < 0.7]
    for _ in range(count):
        kind = rng.choices(EDIT_KINDS, weights)[0]
        path, other = rng.choice(files), rng.choice(files)
        if kind in _ON_DIRECTORIES or (kind in _ON_EITHER and rng.random() < 0.6):
            path = rng.choice((*directories, *directories, rng.choice(DIRECTORIES)))
            other = rng.choice((*directories, *DIRECTORIES))
        after = rng.random() * (scale if rng.random() < 0.9 else 600.0)
        cues = (failing,) if failing and rng.random() < 0.6 else CUES
        cue = rng.choice(cues) if rng.random() < (0.7 if focused else 0.2) else ""
        body = rng.choice(BODIES[:2] if focused else BODIES)
        edits.append(
            Edit(rng.randrange(users), after + 60 * bool(cue), kind, path, other, body, rng.random() < 0.1, cue)
        )
    return tuple(edits)


_STORIES: Final[tuple[tuple[tuple[EditKind, int, str], ...], ...]] = (
    (("write", 0, ""), ("write", 1, "closing"), ("write", 0, "fault")),
    (("write", 0, ""), ("write", 1, "closing"), ("delete", 0, "fault")),
    (("write", 0, ""), ("delete", 0, "fault")),
    (("write", 0, ""), ("write", 1, "takes copy"), ("write", 0, "takes copy")),
    (("write", 0, ""), ("delete", 0, "takes copy")),
    (("write", 0, ""), ("delete", 0, "closing"), ("write", 1, "takes delete")),
    (("write", 0, ""), ("delete", 0, "closing"), ("write", 0, "takes delete"), ("delete", 0, "takes delete")),
    (("write", 0, ""), ("delete", 0, "closing"), ("write", 0, "sends delete"), ("delete", 0, "fault")),
    (
        ("write", 0, ""), ("delete", 0, "closing"), ("write", 1, "sends delete"), ("delete", 0, "has put"),
        ("write", 1, "sends delete"),
    ),
    (("write", 0, ""), ("delete", 0, "closing"), ("write", 1, "delete marker"), ("write", 0, "fault")),
)  # fmt: skip
"""What the protocol is about: kind, body, cue ("fault": the schedule's own)."""


def tell_story(rng: random.Random, path: bytes, fault: str) -> tuple[Edit, ...]:
    """Give one of the stories, perhaps twice."""
    story = rng.choice(_STORIES) * rng.choice((1, 1, 2))
    return tuple(
        Edit(
            0,
            rng.random() * 10 + 100 * bool(cue),
            kind,
            path,
            path,
            BODIES[body],
            False,
            fault if cue == "fault" else cue,
        )
        for kind, body, cue in story
    )


class User:
    """Carries edits out."""

    def __init__(
        self,
        disk: Disk,
        sleep: Callable[[float], None],
        rng: random.Random,
        settle: float,
        visit: Callable[[bytes], None],
    ) -> None:
        self._disk, self._sleep, self._rng, self._settle = disk, sleep, rng, settle
        self._visits = visit

    def do(self, edit: Edit) -> bool:
        """Carry an edit out; tells whether that worked."""
        try:
            getattr(self, "_" + edit.kind.replace(" ", "_"))(edit)
        except OSError:
            return False
        finally:
            self._disk.record()
        return True

    def _mtime(self, edit: Edit) -> int:
        return OLD if edit.old else self._disk.moment()

    def _write(self, edit: Edit) -> None:
        self._disk.write(edit.path, edit.body, self._mtime(edit))

    def _in_steps(self, edit: Edit) -> None:
        """As FTP servers do it. The parts come sooner after one another than `settle`."""
        descriptor = self._disk.begin(edit.path)
        try:
            for part in (edit.body[:1], edit.body[1:3], edit.body[3:]):
                self._sleep(self._rng.random() * self._settle * 0.9)
                self._disk.add(descriptor, part)
            if edit.old:
                self._disk.add(descriptor, b"", OLD)
        finally:
            self._disk.end(descriptor)

    def _hidden(self, edit: Edit) -> None:
        """Under a name of its own first."""
        directory, _, name = edit.path.rpartition(b"/")
        hidden = b"/".join(filter(None, (directory, b".in." + name + b".")))
        descriptor = self._disk.begin(hidden)
        try:
            self._disk.add(descriptor, edit.body[:2])
            self._sleep(self._rng.random() * self._settle * 0.9)
            self._disk.add(descriptor, edit.body[2:], self._mtime(edit))
        finally:
            self._disk.end(descriptor)
        os.rename(self._disk.path(hidden), self._disk.path(edit.path))
        self._disk.changed(edit.path)

    def _again(self, edit: Edit) -> None:
        with open(self._disk.path(edit.path), "rb") as file:
            body = file.read()
        if body in BODIES:
            self._disk.write(edit.path, body, self._mtime(edit))

    def _same_size(self, edit: Edit) -> None:
        """Other bytes, the same size and mtime: only the ctime tells."""
        mtime = os.lstat(self._disk.path(edit.path)).st_mtime_ns
        self._disk.write(edit.path, edit.body, mtime)

    def _backdate(self, edit: Edit) -> None:
        os.utime(self._disk.path(edit.path), ns=(OLD, OLD), follow_symlinks=False)
        self._disk.changed(edit.path)

    def _delete(self, edit: Edit) -> None:
        os.unlink(self._disk.path(edit.path))
        self._disk.vanished(edit.path)

    def _rename(self, edit: Edit) -> None:
        os.makedirs(os.path.dirname(self._disk.path(edit.other)), exist_ok=True)
        os.rename(self._disk.path(edit.path), self._disk.path(edit.other))
        self._disk.vanished(edit.path)
        self._disk.changed(edit.other)

    def _make_directory(self, edit: Edit) -> None:
        os.makedirs(self._disk.path(edit.path), exist_ok=True)

    def _remove_tree(self, edit: Edit) -> None:
        top = self._disk.path(edit.path)
        if os.path.islink(top) or not os.path.isdir(top):
            os.unlink(top)
            return
        for at, directories, names in os.walk(top, topdown=False):
            for name in names:
                with suppress(OSError):
                    os.unlink(os.path.join(at, name))
                    self._disk.vanished(os.path.relpath(os.path.join(at, name), os.fsencode(self._disk.root)))
                if self._rng.random() < 0.3:
                    self._sleep(self._rng.random())
            for name in directories:
                with suppress(OSError):
                    os.rmdir(os.path.join(at, name))
        os.rmdir(top)

    def _swap(self, edit: Edit) -> None:
        """A file becomes a directory with a file, or the other way round."""
        full = self._disk.path(edit.path)
        if os.path.isdir(full):
            self._remove_tree(edit)
            self._write(edit)
        else:
            with suppress(FileNotFoundError):
                os.unlink(full)
            self._disk.write(edit.path + b"/a.txt", edit.body, self._mtime(edit))

    def _symlink(self, edit: Edit) -> None:
        """The file becomes a symlink to something outside the root."""
        full = self._disk.path(edit.path)
        os.unlink(full)
        self._disk.vanished(edit.path)
        os.symlink(os.fsencode(self._disk.base) + b"/outside/secret.html", full)

    def _visit(self, edit: Edit) -> None:
        """Ask the CDN for it."""
        self._visits(edit.path)

    def _forbid(self, edit: Edit) -> None:
        self._disk.forbid(edit.path)

    def _allow(self, edit: Edit) -> None:
        self._disk.allow(edit.path)

    def _unmount(self, _: Edit) -> None:
        self._disk.unmount()

    def _mount(self, _: Edit) -> None:
        self._disk.mount()

    def _directory_symlink(self, edit: Edit) -> None:
        full = self._disk.path(edit.path)
        with suppress(FileNotFoundError):
            os.rename(full, full + b".old")
        os.symlink(os.fsencode(self._disk.base) + b"/outside", full)
