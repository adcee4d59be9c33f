"""What FTP users do to a file while siteferry publishes the tree, and what a reader sees of it.

Each situation is a row of the table in docs/ftp-servers.md. It gives a story: all that a reader got, one after the
other, as words for the states that the test made. A body that is none of them, nor the beginning of one, fails.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from ftplib import Error, error_perm
from io import BytesIO
from pathlib import Path
from typing import Final

from tests.ftp.clients import Client, Lftp, RefusedError, slowly
from tests.ftp.host import SETTLE, Host
from tests.ftp.servers import Server

NAME: Final = "a.txt"
LONG_AGO: Final = "20010203040506"
OLD: Final = b"".join(b"old %06d\n" % n for n in range(3000))
NEW: Final = b"".join(b"new %06d\n" % n for n in range(4000))
HALF: Final = NEW[: len(NEW) // 2]


class StalledError(Exception):
    """This machine did not go on for as long as `settle`: what was meant to be slow has stalled."""


@dataclass
class Case:
    """A situation on one server with one client, in a directory of its own."""

    host: Host
    server: Server
    client: Client
    directory: str
    states: dict[bytes, str] = field(default_factory=lambda: {OLD: "old", NEW: "new"})
    unsteady: bool = False
    """An upload stalls, or is cut off: its beginning may be what is left."""

    @property
    def place(self) -> Path:
        """The directory on disk."""
        return self.server.home / self.directory

    def path(self, name: str = NAME) -> str:
        """Give a file's path for the client."""
        return f"{self.directory}/{name}"

    def key(self, name: str = NAME) -> str:
        """Give a file's key."""
        return f"{self.place.relative_to(self.host.root)}/{name}"

    def publish(self, body: bytes, name: str = NAME) -> None:
        """Upload a file at once, and wait until it is live."""
        with self.client.upload(self.path(name)) as upload:
            upload.write(body)
            upload.finish()
        self.host.wait_until_live(self.key(name), body)

    def ask(self, *commands: str) -> None:
        """Send commands; raises RefusedError."""
        with self.server.login() as ftp:
            for command in commands:
                try:
                    ftp.sendcmd(command)
                except error_perm as error:
                    raise RefusedError(f"{command.split()[0]}: {error}") from error

    def written(self) -> int:
        """Count the bytes in the directory."""
        return sum(found.stat().st_size for found in self.place.iterdir())

    def story(self, name: str = NAME) -> str:
        """Tell what a reader saw of a file, and check that nothing was published before its time."""
        words = []
        for seen in self.host.seen(self.key(name)):
            age = None if seen.ctime is None else seen.at - seen.ctime
            word = self._word(seen.body)
            if word in {"part", "empty"} and not self.unsteady:
                if age is None or age >= SETTLE:
                    raise StalledError
                raise AssertionError(f"{self.key(name)}: part of an upload was published, {age:.2f} s after a write")
            if seen.body is not None:
                self._check_pace(seen.at, seen.ctime)
            words.append(word)
        return " → ".join(word for word, _ in itertools.groupby(words))

    @contextmanager
    def within_settle(self) -> Iterator[None]:
        """Do what is only the same if it takes less than `settle`; raises StalledError."""
        begun = time.monotonic()
        yield
        if time.monotonic() - begun >= SETTLE:
            raise StalledError

    def check_names(self, *names: str) -> None:
        """Check that a reader saw files of these names, and no other: no temporary name is ever published."""
        top = self.key("")
        assert {key.removeprefix(top) for key in list(self.host.history) if key.startswith(top)} <= set(names)

    def _word(self, body: bytes | None) -> str:
        if body is None:
            return "nothing"
        if body in self.states:
            return self.states[body]
        if any(state.startswith(body) for state in self.states):
            return "part" if body else "empty"
        raise AssertionError(f"{self.directory}: a reader saw what no client ever uploaded: {len(body)} bytes")

    def _check_pace(self, at: float, ctime: float | None) -> None:
        """Check that a settled file is published in the first cycle that begins after it is settled, or before."""
        if ctime is not None:
            later = [begun for begun in self.host.cycles if ctime + SETTLE <= begun < at]
            assert len(later) <= 1, f"{self.directory}: {len(later)} cycles began before a settled file was published"


def new(case: Case) -> str:
    """Upload a new file slowly."""
    with case.client.upload(case.path()) as upload:
        slowly(case.host, upload, NEW)
        upload.finish()
    case.host.wait_until_live(case.key(), NEW)
    return case.story()


def overwritten(case: Case) -> str:
    """Upload slowly over a published file."""
    case.publish(OLD)
    with case.client.upload(case.path()) as upload:
        slowly(case.host, upload, NEW)
        upload.finish()
    case.host.wait_until_live(case.key(), NEW)
    return case.story()


def appended(case: Case) -> str:
    """Append slowly to a published file."""
    case.publish(OLD)
    case.states = {OLD: "old", OLD + NEW: "new", NEW: "the appended end alone"}
    with case.client.upload(case.path(), append=True) as upload:
        slowly(case.host, upload, NEW)
        upload.finish()
    case.host.wait_quiet(case.place)
    return case.story()


def resumed(case: Case) -> str:
    """Resume what was published as it was when its upload was cut off; lftp cannot be made to do it evenly slowly."""
    rest = NEW[len(HALF) :]
    case.states = {HALF: "old", NEW: "new", rest: "the resumed end alone"}
    case.publish(HALF)
    if isinstance(case.client, Lftp):
        source = case.client.folder / "resumed"
        source.write_bytes(NEW)
        case.client.run(f"put -c {source} -o {case.path()}")
    else:
        with case.client.upload(case.path(), rest=len(HALF)) as upload:
            slowly(case.host, upload, rest)
            upload.finish()
    case.host.wait_quiet(case.place)
    return case.story()


def aborted(case: Case) -> str:
    """Cut an upload over a published file off in the middle, and make it once more later."""
    case.publish(OLD)
    case.unsteady = True
    with case.client.upload(case.path()) as upload:
        upload.write(HALF)
        case.host.wait_for(lambda: case.written() in {len(HALF), len(OLD) + len(HALF)}, "the first half")
        with suppress(OSError, Error):
            upload.abort()
    case.host.wait_quiet(case.place)
    case.publish(NEW)
    return case.story()


def stalled(case: Case) -> str:
    """Let an upload over a published file stall in the middle for longer than `settle`."""
    case.publish(OLD)
    case.unsteady = True
    with case.client.upload(case.path()) as upload:
        upload.write(HALF)
        case.host.wait_for(lambda: case.written() in {len(HALF), len(OLD) + len(HALF)}, "the first half")
        case.host.wait_quiet(case.place)
        upload.write(NEW[len(HALF) :])
        upload.finish()
    case.host.wait_until_live(case.key(), NEW)
    return case.story()


def temporary_name(case: Case) -> str:
    """Upload under the client's temporary name, stall, and rename into the place of a published file."""
    case.publish(OLD)
    by_client = isinstance(case.client, Lftp)
    client = (
        replace(case.client, settings="set xfer:use-temp-file yes") if isinstance(case.client, Lftp) else case.client
    )
    with client.upload(case.path(NAME if by_client else f"{NAME}.filepart")) as upload:
        upload.write(HALF)
        case.host.wait_for(lambda: case.written() == len(OLD) + len(HALF), "the first half")
        case.host.wait_quiet(case.place)
        upload.write(NEW[len(HALF) :])
        upload.finish()
    if not by_client:
        case.ask(f"RNFR {case.path(f'{NAME}.filepart')}", f"RNTO {case.path()}")
    case.host.wait_until_live(case.key(), NEW)
    case.check_names(NAME)
    return case.story()


def renamed(case: Case) -> str:
    """Rename a published file over another one."""
    case.publish(OLD)
    case.publish(NEW, "b.txt")
    case.ask(f"RNFR {case.path('b.txt')}", f"RNTO {case.path()}")
    case.host.wait_until_live(case.key(), NEW)
    case.host.wait_until_live(case.key("b.txt"), None)
    assert case.story("b.txt") == "new → nothing"
    return case.story()


def deleted(case: Case) -> str:
    """Delete a published file."""
    case.publish(OLD)
    case.ask(f"DELE {case.path()}")
    case.host.wait_until_live(case.key(), None)
    return case.story()


def deleted_first(case: Case) -> str:
    """Delete a published file, and upload it again slowly."""
    case.publish(OLD)
    with ExitStack() as stack:
        with case.within_settle():
            case.ask(f"DELE {case.path()}")
            case.host.next_cycle()
            upload = stack.enter_context(case.client.upload(case.path()))
            case.host.wait_for(lambda: any(case.place.iterdir()), "the new file")
        slowly(case.host, upload, NEW)
        upload.finish()
    case.host.wait_until_live(case.key(), NEW)
    return case.story()


def mirrored(case: Case) -> str:
    """Delete a published directory with all in it, and upload another state of it, as mirror tools do."""
    names = [f"sub/{name}.txt" for name in "abc"]
    case.ask(f"MKD {case.path('sub')}")
    for name in names:
        case.publish(OLD, name)
    with case.within_settle():
        if isinstance(case.client, Lftp):
            source = case.client.folder / "mirrored"
            source.mkdir()
            for name in names:
                (source / Path(name).name).write_bytes(NEW)
            case.client.run(f"rm -r {case.path('sub')}; mirror -R {source} {case.path('sub')}")
        else:
            with case.server.login() as ftp:
                for name in names:
                    ftp.delete(case.path(name))
                ftp.rmd(case.path("sub"))
                case.host.next_cycle()
                ftp.mkd(case.path("sub"))
                for name in names:
                    ftp.storbinary(f"STOR {case.path(name)}", BytesIO(NEW))
    for name in names:
        case.host.wait_until_live(case.key(name), NEW)
    case.check_names(*names)
    return ", ".join(sorted({case.story(name) for name in names}))


def dated_back(case: Case) -> str:
    """Upload slowly over a published file of the same size, with the time of long ago set after each write."""
    case.states = {NEW: "old", NEW.swapcase(): "new"}
    command = "MDTM" if case.server.name.startswith("vsftpd") else "MFMT"

    def date_back() -> None:
        case.ask(f"{command} {LONG_AGO} {case.path()}")

    case.publish(NEW)
    date_back()
    with case.client.upload(case.path()) as upload:
        slowly(case.host, upload, NEW.swapcase(), date_back)
        upload.finish()
    date_back()
    case.host.wait_until_live(case.key(), NEW.swapcase())
    return case.story()


def chmodded(case: Case) -> str:
    """Change the mode of every published file of a directory."""
    names = [f"{n}.txt" for n in range(20)]
    for name in names:
        with case.client.upload(case.path(name)) as upload:
            upload.write(OLD)
            upload.finish()
    for name in names:
        case.host.wait_until_live(case.key(name), OLD)
    if isinstance(case.client, Lftp):
        case.client.run(f"glob chmod 600 {case.path('*')}")
    else:
        case.ask(*(f"SITE CHMOD 600 {case.path(name)}" for name in names))
    assert {(case.place / name).stat().st_mode & 0o777 for name in names} == {0o600}
    case.host.wait_quiet(case.place)
    assert {len(case.host.seen(case.key(name))) for name in names} == {1}
    return ", ".join({case.story(name) for name in names})


@dataclass(frozen=True, slots=True)
class Situation:
    """A row of the table."""

    text: str
    play: Callable[[Case], str]
    clients: tuple[str, ...] = ("ftplib",)


SITUATIONS: Final = (
    Situation("a new file, slowly", new, ("ftplib", "curl", "lftp")),
    Situation("an overwrite, slowly", overwritten, ("ftplib", "curl", "lftp")),
    Situation("an append, slowly", appended, ("ftplib", "curl")),
    Situation("a resumed upload, slowly", resumed, ("ftplib", "curl", "lftp")),
    Situation("an overwrite, cut off, made again later", aborted, ("ftplib", "curl", "lftp")),
    Situation("an overwrite that stalls longer than `settle`", stalled, ("ftplib", "curl", "lftp")),
    Situation("the client's temporary name, stalled, renamed into place", temporary_name, ("ftplib", "lftp")),
    Situation("a rename over another file", renamed),
    Situation("a delete", deleted),
    Situation("a delete, then a slow upload", deleted_first),
    Situation("a directory deleted and uploaded again", mirrored, ("ftplib", "lftp")),
    Situation("an overwrite, slowly, size and mtime kept", dated_back),
    Situation("chmod of everything", chmodded, ("ftplib", "lftp")),
)
