"""Real FTP clients, whose uploads are as slow as a test wants them to be."""

import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ftplib import Error
from pathlib import Path
from typing import Any, Final, Protocol

from tests.ftp.host import INTERVAL, SETTLE, Host
from tests.ftp.packages import environment, find
from tests.ftp.servers import Server

CHUNKS: Final = 8
"""In which a slow upload is written, a cycle or more between two of them."""
_SECONDS: Final = 120


class RefusedError(Exception):
    """The server or the client cannot do that; the text says which answer came."""


class Upload(Protocol):
    """An upload that is going on."""

    def write(self, data: bytes) -> None:
        """Send some more of it."""

    def finish(self) -> None:
        """End it as it should end; raises RefusedError."""

    def abort(self) -> None:
        """Cut it off."""


class Client(Protocol):
    """A client of one server."""

    @property
    def name(self) -> str:
        """What it is called in the table."""

    def upload(self, path: str, *, rest: int = 0, append: bool = False) -> Any:
        """Give a context manager with an `Upload`: of the whole file, of what is behind `rest`, or of an end."""


def slowly(host: Host, upload: Upload, data: bytes, between: Callable[[], object] = lambda: None) -> None:
    """Write data in chunks, between which the agent looks, for longer than an idle file would take to be published."""
    begun, size = time.monotonic(), -(-len(data) // CHUNKS)
    rest = [data[at : at + size] for at in range(0, len(data), size)]
    while rest:
        upload.write(rest.pop(0))
        between()
        host.next_cycle()
        # A first cycle may be long: the rest keeps the pace that makes it last.
        assert rest or time.monotonic() - begun > SETTLE + INTERVAL


class _Connection:
    def __init__(self, client: Any, connection: socket.socket) -> None:
        self._client, self._connection = client, connection

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def finish(self) -> None:
        self._connection.close()
        self._client.voidresp()

    def abort(self) -> None:
        # As when the network is gone: a reset on both connections, and no ABOR.
        for one in (self._connection, self._client.sock):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()
        self._client.close()


@dataclass(frozen=True, slots=True)
class Ftplib:
    """Python's."""

    server: Server
    name: str = "ftplib"

    @contextmanager
    def upload(self, path: str, *, rest: int = 0, append: bool = False) -> Iterator[Upload]:
        """Begin an upload."""
        with self.server.login() as client:
            try:
                connection = client.transfercmd(f"{'APPE' if append else 'STOR'} {path}", rest or None)
            except Error as error:
                raise RefusedError(str(error)) from error
            with connection:
                yield _Connection(client, connection)


class _Pipe:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        assert process.stdin
        self._pipe = process.stdin

    def write(self, data: bytes) -> None:
        self._pipe.write(data)
        self._pipe.flush()

    def finish(self) -> None:
        self._pipe.close()
        code = self._process.wait(_SECONDS)
        said = self._process.stdout.read().decode("utf-8", "replace") if self._process.stdout else ""
        if code:
            raise RefusedError(f"exit {code}: {said}")

    def abort(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._pipe.close()


@contextmanager
def _piped(command: list[str], before: bytes = b"") -> Iterator[Upload]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
    ) as process:
        pipe = _Pipe(process)
        try:
            if before:
                pipe.write(before)
            yield pipe
        except BrokenPipeError:
            said = process.stdout.read().decode("utf-8", "replace") if process.stdout else ""
            raise RefusedError(said) from None
        finally:
            if process.poll() is None:
                pipe.abort()


@dataclass(frozen=True, slots=True)
class Curl:
    """curl, fed through a pipe."""

    server: Server
    program: str
    name: str = "curl"

    @contextmanager
    def upload(self, path: str, *, rest: int = 0, append: bool = False) -> Iterator[Upload]:
        """Begin an upload. To resume, curl reads past what is there already, and appends (APPE)."""
        options = ["--continue-at", str(rest)] if rest else ["--append"] if append else []
        user = ["--user", f"{self.server.user}:{self.server.password}"]
        command = [self.program, "-sS", *user, *options, "-T", "-", self.server.url(path)]
        with _piped(command, b"-" * rest) as upload:
            yield upload


@dataclass(frozen=True, slots=True)
class Lftp:
    """lftp, fed through a pipe or with files of a folder."""

    server: Server
    program: str
    folder: Path
    """For files of its own."""
    settings: str = "set net:max-retries 1"
    name: str = "lftp"

    @contextmanager
    def upload(self, path: str, *, rest: int = 0, append: bool = False) -> Iterator[Upload]:
        """Begin an upload."""
        if rest or append:
            raise RefusedError("lftp resumes from files only")
        with _piped(self.command(f"put /dev/stdin -o {path}")) as upload:
            yield upload

    def command(self, script: str) -> list[str]:
        """Give the command that runs a script on the server."""
        settings = f"set cmd:fail-exit yes; set net:timeout 60; {self.settings}"
        server = self.server
        address = f"-u {server.user},{server.password} ftp://{server.host}:{server.port}"
        return [self.program, "--norc", "-c", f"{settings}; open {address}; {script}"]

    def run(self, script: str) -> None:
        """Run a script to its end; raises RefusedError."""
        done = subprocess.run(
            self.command(script), env=environment() | {"HOME": str(self.folder)}, capture_output=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise RefusedError((done.stdout + done.stderr).decode("utf-8", "replace"))


def client_of(name: str, server: Server, folder: Path) -> Client | None:
    """Give a client by its name; None: this machine has none."""
    makes: dict[str, Callable[[str], Client]] = {
        "curl": lambda program: Curl(server, program),
        "lftp": lambda program: Lftp(server, program, folder),
    }
    if name == "ftplib":
        return Ftplib(server)
    program = find(name)
    return makes[name](program) if program else None
