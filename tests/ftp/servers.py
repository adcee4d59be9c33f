"""FTP servers in the foreground, on the loopback, each with one user whose home is a directory of the site's."""

import ctypes
import ftplib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from siteferry_local.ftp import ftp_server
from siteferry_local.processes import running, tail
from tests.ftp.packages import environment, find

USER: Final = "daemon"
"""Whom files belong to where root runs the tests; every Debian has it."""
LOGIN: Final = "www"
PASSWORD: Final = "secret"
_START_SECONDS: Final = 20.0


class MissingError(Exception):
    """A server cannot run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    port: int
    home: Path
    user: str = LOGIN
    password: str = PASSWORD
    host: str = "127.0.0.1"

    def url(self, path: str) -> str:
        """Give the address of a path for curl."""
        return f"ftp://{self.host}:{self.port}/{path}"

    @contextmanager
    def login(self) -> Iterator[ftplib.FTP]:
        """Log in with ftplib."""
        with ftplib.FTP(timeout=30) as client:
            client.connect(self.host, self.port)
            client.login(self.user, self.password)
            client.voidcmd("TYPE I")
            yield client


@dataclass(frozen=True, slots=True)
class Kind:
    """A server with certain settings: a column of the table in docs/ftp-servers.md."""

    name: str
    program: str
    options: tuple[str, ...] = ()
    """Lines of its configuration, or arguments."""


KINDS: Final = (
    Kind("vsftpd", "vsftpd"),
    Kind("ProFTPD", "proftpd"),
    Kind("ProFTPD, `HiddenStores`", "proftpd", ("HiddenStores on",)),
    Kind("Pure-FTPd", "pure-ftpd"),
    Kind("Pure-FTPd `-0`", "pure-ftpd", ("-0",)),
    Kind("pyftpdlib", "pyftpdlib"),
)


@contextmanager
def serving(kind: Kind, home: Path, folder: Path) -> Iterator[Server]:
    """Run a server with its files in `folder` until the block ends; raises MissingError."""
    home.mkdir(parents=True)
    if kind.program == "pyftpdlib":
        with ftp_server(LOGIN, home) as account:
            yield Server(kind.name, account.port, home, account.user, account.password)
        return
    program = find(kind.program)
    if program is None:
        raise MissingError(f"no {kind.program} on this machine: `make ftp-servers` fetches it where apt is")
    folder.mkdir()
    if os.getuid() == 0:
        shutil.chown(home, USER, USER)
    log = folder / "log"
    command = _COMMANDS[kind.program](program, kind, home, folder, port := _free_port())
    with (
        log.open("wb") as output,
        running(command, environment=environment(), output=output, cwd=folder) as process,
    ):
        server = Server(kind.name, port, home)
        _wait_until_it_answers(server, process, log)
        yield server


def _vsftpd(program: str, kind: Kind, home: Path, folder: Path, port: int) -> Sequence[str]:
    if os.getuid() != 0:
        raise MissingError("vsftpd has users of its own only as root")
    (folder / "pam.d").mkdir()
    (folder / "pam.d/siteferry-test").write_text("auth required pam_permit.so\naccount required pam_permit.so\n")
    (folder / "empty").mkdir()
    settings = {
        "listen": "YES",
        "listen_address": "127.0.0.1",
        "listen_port": port,
        "background": "NO",
        "local_enable": "YES",
        "anonymous_enable": "NO",
        "write_enable": "YES",
        "max_per_ip": 0,
        "guest_enable": "YES",
        "guest_username": USER,
        "virtual_use_local_privs": "YES",
        "local_root": home,
        "local_umask": "022",
        "chroot_local_user": "YES",
        "allow_writeable_chroot": "YES",
        "secure_chroot_dir": folder / "empty",
        "pam_service_name": "siteferry-test",
        "seccomp_sandbox": "NO",
    }
    lines = [*(f"{name}={value}" for name, value in settings.items()), *kind.options]
    (folder / "vsftpd.conf").write_text("\n".join(lines) + "\n")
    # The service exists for this process alone: PAM knows no other directory.
    mounted = 'mount --bind "$1" /etc/pam.d && exec "$2" "$3"'
    return ["unshare", "--mount", "sh", "-c", mounted, "sh", f"{folder}/pam.d", program, f"{folder}/vsftpd.conf"]


def _proftpd(program: str, kind: Kind, home: Path, folder: Path, port: int) -> Sequence[str]:
    user = pwd.getpwnam(USER) if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    accounts = folder / "accounts"
    accounts.write_text(f"{LOGIN}:{_digest()}:{user.pw_uid}:{user.pw_gid}::{home}:/bin/sh\n")
    accounts.chmod(0o600)
    lines = [
        "ServerType standalone",
        "DefaultAddress 127.0.0.1",
        "SocketBindTight on",
        f"Port {port}",
        "UseIPv6 off",
        "UseReverseDNS off",
        f"User #{user.pw_uid}" if os.getuid() else f"User {USER}",
        f"Group #{user.pw_gid}" if os.getuid() else f"Group {USER}",
        *(["DefaultRoot ~"] if os.getuid() == 0 else []),
        "RequireValidShell off",
        "AuthOrder mod_auth_file.c",
        f"AuthUserFile {accounts}",
        f"PidFile {folder}/pid",
        f"ScoreboardFile {folder}/scoreboard",
        f"SystemLog {folder}/system.log",
        "DelayEngine off",
        "WtmpLog off",
        "TransferLog none",
        "AllowOverwrite on",
        "AllowStoreRestart on",
        "Umask 022",
        *kind.options,
    ]
    configuration = folder / "proftpd.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return [program, "-n", "-q", "-c", str(configuration)]


def _pure_ftpd(program: str, kind: Kind, home: Path, folder: Path, port: int) -> Sequence[str]:
    tool = Path(program).parents[1] / "bin/pure-pw"
    if os.getuid() != 0:
        raise MissingError("Pure-FTPd has users of its own only as root")
    user = pwd.getpwnam(USER)
    # pure-pw would hash the password so that each login takes seconds.
    (folder / "accounts").write_text(f"{LOGIN}:{_digest()}:{user.pw_uid}:{user.pw_gid}::{home}/./{':' * 12}\n")
    command = [str(tool), "mkdb", str(folder / "users.pdb"), "-f", str(folder / "accounts")]
    subprocess.run(command, env=environment(), check=True)
    users = f"puredb:{folder}/users.pdb"
    where = ["-S", f"127.0.0.1,{port}", "-g", f"{folder}/pid"]
    return [program, *where, "-l", users, *"-u 1 -c 300 -C 300 -E -H -A".split(), *kind.options]


_COMMANDS: Final[dict[str, Callable[[str, Kind, Path, Path, int], Sequence[str]]]] = {
    "vsftpd": _vsftpd,
    "proftpd": _proftpd,
    "pure-ftpd": _pure_ftpd,
}


def _digest() -> str:
    """Hash the password; Python itself has no crypt(3) any more."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return str(library.crypt(PASSWORD.encode(), b"$5$rounds=1000$siteferry$").decode())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_it_answers(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with server.login():
                return
        except (OSError, EOFError, ftplib.Error) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{server.name} did not start ({error}):\n{tail(log)}", pytrace=False)
            time.sleep(0.05)
