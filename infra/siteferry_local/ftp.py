"""A real FTP server over each site's root, as an FTP user meets it."""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.2
_MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class FtpAccount:
    """Where and how an FTP user reaches one site's root."""

    host: str
    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        """The address with user and password."""
        return f"ftp://{self.user}:{self.password}@{self.host}:{self.port}/"


class _ByteExactHandler(FTPHandler):  # type: ignore[misc]
    """pyftpdlib's handler, but names go to disk and come back as the bytes that the client sent.

    By default pyftpdlib decodes names with `replace`, which destroys every latin-1 name.
    """

    encoding = "utf8"
    unicode_errors = "surrogateescape"

    def push(self, data: str) -> None:
        """Answer on the control channel; the original encodes strictly and fails for a latin-1 name."""
        super(FTPHandler, self).push(data.encode(self.encoding, self.unicode_errors))


@contextmanager
def ftp_server(user: str, root: Path) -> Iterator[FtpAccount]:
    """Serve `root` (made if missing) on a free loopback port until the block is left."""
    root.mkdir(parents=True, exist_ok=True)
    password = secrets.token_hex(4)
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, password, str(root), perm="elradfmwMT")
    handler: Any = type("Handler", (_ByteExactHandler,), {"authorizer": authorizer})
    # A loop of its own: the usual one is the process's, and another site's server runs in another thread.
    server = FTPServer(("127.0.0.1", 0), handler, ioloop=IOLoop())
    server.max_cons = server.max_cons_per_ip = _MAX_CONNECTIONS
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.ioloop.loop(_POLL_SECONDS, blocking=False)

    thread = threading.Thread(target=serve, name=f"ftp-{user}", daemon=True)
    thread.start()
    host, port = server.address
    try:
        yield FtpAccount(host, port, user, password)
    finally:
        stop.set()
        thread.join()
        server.close_all()


@contextmanager
def logged_to(log: Path) -> Iterator[None]:
    """Send the FTP servers' log to a file while the block runs; names are escaped, as they may be any bytes."""
    handler = logging.FileHandler(log, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("pyftpdlib")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
