"""A plain-http proxy before a distribution, for browsers: they know neither the local CA nor the local names."""

from __future__ import annotations

import http.client
import ssl
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from siteferry_local.emulator import Emulator

_CHUNK_BYTES = 64 * 1024
_UPSTREAM_TIMEOUT_SECONDS = 60.0
# RFC 9110 section 7.6.1, and what each side of the proxy says for itself.
_NOT_RELAYED = frozenset(
    "connection content-length host keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)


# What S3 says of a key that is not there depends on the reader: 404 to one that may list, 403 to any other.
# The emulator's CDN always gets 403 (its `serve_cloudfront_origin_fetch`).
_REFUSED = b"<Code>AccessDenied</Code><Message>Access Denied</Message>"
_MISSING = b"<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"


@contextmanager
def viewer_proxy(emulator: Emulator, domain: str, *, missing_is_404: bool) -> Iterator[str]:
    """Serve the distribution with the given domain on a free loopback port; yields its http address.

    With `missing_is_404`, S3's 403 reaches the viewer as the 404 that it is on AWS where CloudFront may list
    the bucket; the header `X-Local-Status: 403` then tells what the emulator said.
    """
    context = ssl.create_default_context(cafile=str(emulator.ca_bundle))
    settings = {
        "context": context,
        "port": emulator.port,
        "domain": domain.encode(),
        "missing_is_404": missing_is_404,
    }
    handler = type("Handler", (_ViewerHandler,), settings)
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="proxy", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a viewer that hangs up is no news."""


class _ViewerHandler(BaseHTTPRequestHandler):
    """Relays one viewer connection over one connection to the emulator, with targets byte for byte."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and a small body leave in one packet
    context: ssl.SSLContext
    port: int
    domain: bytes
    missing_is_404: bool
    raw_requestline: bytes

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPSConnection | None = None

    def finish(self) -> None:
        super().finish()
        self._hang_up()

    def do_GET(self) -> None:
        """Relay a GET."""
        self._relay()

    def do_HEAD(self) -> None:
        """Relay a HEAD."""
        self._relay()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the emulator logs the requests."""

    def _relay(self) -> None:
        try:
            answer = self._ask()
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            self.send_error(502, f"the local CDN does not answer ({type(error).__name__})")
            return
        if answer.status == HTTPStatus.FORBIDDEN and self.missing_is_404:
            self._relay_refusal(answer)
        else:
            self._relay_answer(answer)
        if answer.will_close:
            self._hang_up()

    def _relay_answer(self, answer: http.client.HTTPResponse) -> None:
        length = answer.getheader("Content-Length")
        body = answer.read() if length is None else None
        self._start_answer(answer, answer.status)
        if answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.send_header("Content-Length", length or str(len(body or b"")))
        self.end_headers()
        if body is not None:
            self.wfile.write(body)
        while chunk := answer.read(_CHUNK_BYTES):
            self.wfile.write(chunk)

    def _relay_refusal(self, answer: http.client.HTTPResponse) -> None:
        body = answer.read()
        is_from_s3 = _REFUSED in body or self.command == "HEAD"
        self._start_answer(answer, HTTPStatus.NOT_FOUND if is_from_s3 else answer.status)
        if is_from_s3:
            self.send_header("X-Local-Status", str(answer.status))
        body = body.replace(_REFUSED, _MISSING)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _start_answer(self, answer: http.client.HTTPResponse, status: int) -> None:
        self.send_response_only(status)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_RELAYED:
                self.send_header(name, value)

    def _ask(self) -> http.client.HTTPResponse:
        if self._upstream is not None:
            try:
                return self._send(self._upstream)
            except (OSError, http.client.HTTPException):
                self._hang_up()  # an idle connection was closed: GET and HEAD may be repeated
        self._upstream = http.client.HTTPSConnection(
            "localhost", self.port, timeout=_UPSTREAM_TIMEOUT_SECONDS, context=self.context
        )
        self._upstream.connect()
        return self._send(self._upstream)

    def _send(self, upstream: http.client.HTTPSConnection) -> http.client.HTTPResponse:
        # By hand, for `putrequest` refuses and `self.path` changes targets that a viewer may send.
        method, target = self.raw_requestline.split(b" ")[:2]
        lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: " + self.domain]
        lines += [
            f"{name}: {value}".encode("latin-1")
            for name, value in self.headers.items()
            if name.lower() not in _NOT_RELAYED
        ]
        upstream.send(b"\r\n".join([*lines, b"", b""]))
        answer = http.client.HTTPResponse(upstream.sock, method=method.decode("latin-1"))
        answer.begin()
        return answer

    def _hang_up(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
