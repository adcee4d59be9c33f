"""A TLS proxy before the emulator's endpoint that counts requests, and makes some of them fail."""

import http.client
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import trustme


@dataclass(frozen=True, slots=True)
class CountingProxy:
    """A running proxy. Signatures stay valid, as the client's Host header is passed on."""

    endpoint: str
    ca_bundle: Path
    requests: "Counter[str]" = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, as parts of all requests; the seed decides which."""

    slow_down: float = 0.0
    """503 SlowDown, without effect."""
    error: float = 0.0
    """500, without effect."""
    cut: float = 0.0
    """The connection is cut after the request had its effect."""
    seed: int = 0


@contextmanager
def counting_proxy(
    endpoint: str, ca_bundle: str, folder: Path, faults: Faults | None = None
) -> Iterator[CountingProxy]:
    """Run a proxy to an endpoint until the block ends."""
    rng, wrong = random.Random(faults.seed if faults else 0), faults or Faults()
    target = urlsplit(endpoint)
    ca = trustme.CA()
    bundle = folder / "proxy-ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context(cafile=ca_bundle)
    counts: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            counts[operation or f"s3 {self.command}"] += 1
            drawn = rng.random()
            if drawn < wrong.slow_down + wrong.error:
                counts["fault"] += 1
                self.refuse(*((503, "SlowDown") if drawn < wrong.slow_down else (500, "InternalError")))
                return
            connection = http.client.HTTPSConnection(target.hostname or "", target.port, context=client_side)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if rng.random() < wrong.cut:
                counts["fault"] += 1
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        def refuse(self, status: int, code: str) -> None:
            body = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = relay  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = server_side.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield CountingProxy(f"https://localhost:{server.server_address[1]}", bundle, counts)
        finally:
            server.shutdown()
            thread.join()
