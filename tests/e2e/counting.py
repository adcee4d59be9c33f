"""A TLS proxy before the emulator's endpoint that counts requests, and makes some of them fail."""

import http.client
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import trustme

from tests.e2e.agents import Agent

Fault = Literal["SlowDown", "InternalError", "cut", "lost", "slow"]


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, as parts of all requests; the seed decides which."""

    error: float = 0.0
    """500, without effect."""
    cut: float = 0.0
    """The connection is cut after the request had its effect."""
    lost: float = 0.0
    """The connection is cut before that."""
    bursts: float = 0.0
    """The part of requests with which a burst begins: of 503 SlowDown, without effect, or of latency, in turn."""
    burst: int = 0
    """How many requests in a row a burst hits."""
    latency: float = 2.0
    """Seconds that a request of a burst of latency takes longer."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CountingProxy:
    """A running proxy. Signatures stay valid, as the client's Host header is passed on."""

    endpoint: str
    ca_bundle: Path
    requests: "Counter[str]" = field(default_factory=Counter)
    """By operation."""
    faults: "Counter[Fault]" = field(default_factory=Counter)
    puts: "Counter[str]" = field(default_factory=Counter)
    """Objects written, by path: bucket and key."""
    unanswered: "Counter[str]" = field(default_factory=Counter)
    """Of these, what the client was not told of."""


class _Chance:
    """Decides what becomes of each request."""

    def __init__(self, faults: Faults) -> None:
        self._faults, self._rng, self._lock = faults, random.Random(faults.seed), threading.Lock()
        self._left = 0
        self._burst: Fault = "slow"

    def draw(self) -> Fault | None:
        """Give what goes wrong with the next request."""
        wrong = self._faults
        with self._lock:
            if not self._left and self._rng.random() < wrong.bursts:
                self._left, self._burst = wrong.burst, "SlowDown" if self._burst == "slow" else "slow"
            if self._left:
                self._left -= 1
                return self._burst
            drawn = self._rng.random()
        chances: list[tuple[Fault, float]] = [("InternalError", wrong.error), ("cut", wrong.cut), ("lost", wrong.lost)]
        for fault, chance in chances:
            if drawn < chance:
                return fault
            drawn -= chance
        return None


@contextmanager
def counting_proxy(
    endpoint: str, ca_bundle: str, folder: Path, faults: Faults | None = None
) -> Iterator[CountingProxy]:
    """Run a proxy to an endpoint until the block ends."""
    faults = faults or Faults()
    ca = trustme.CA()
    bundle = folder / "proxy-ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(server_side)
    handler: Any = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = server_side.wrap_socket(server.socket, server_side=True)
        proxy = CountingProxy(f"https://localhost:{server.server_address[1]}", bundle)
        handler.proxy, handler.chance, handler.latency = proxy, _Chance(faults), faults.latency
        handler.target, handler.context = urlsplit(endpoint).netloc, ssl.create_default_context(cafile=ca_bundle)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def agent_through(site: Any, proxy: CountingProxy, folder: Path, lease: int = 20) -> Agent:
    """Give a site's own agent with its requests made through a proxy, under a lease of so many seconds."""
    text = Path(site.config).read_text("utf-8").replace(site.environment["AWS_ENDPOINT_URL"], proxy.endpoint)
    text = text.replace(site.environment["AWS_CA_BUNDLE"], str(proxy.ca_bundle))
    config = folder / "through.toml"
    config.write_text(f"lease = {lease}\n{text}", "utf-8")
    return Agent(site, config, {"AWS_ENDPOINT_URL": proxy.endpoint, "AWS_CA_BUNDLE": str(proxy.ca_bundle)})


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, and one to the endpoint for it."""

    protocol_version = "HTTP/1.1"
    proxy: CountingProxy
    chance: _Chance
    latency: float
    target: str
    context: ssl.SSLContext

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPSConnection(self.target, context=self.context)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        copies = "x-amz-copy-source" in self.headers
        self.proxy.requests[operation or f"s3 {'COPY' if copies else self.command}"] += 1
        fault = self.chance.draw()
        if fault:
            self.proxy.faults[fault] += 1
        if fault in ("SlowDown", "InternalError"):
            self._refuse(fault)
            return
        if fault == "lost":
            self._cut()
            return
        if fault == "slow":
            time.sleep(self.latency)
        answer, content = self._pass_on(body)
        if self.command == "PUT" and not copies and answer.status == http.HTTPStatus.OK:
            path = unquote(urlsplit(self.path).path)
            self.proxy.puts[path] += 1
            self.proxy.unanswered[path] += fault == "cut"
        if fault == "cut":
            self._cut()
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    def _pass_on(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self._upstream.putheader(name, value)
        self._upstream.endheaders(body)
        answer = self._upstream.getresponse()
        return answer, answer.read()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response_only(503 if code == "SlowDown" else 500)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = relay  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
