"""An endpoint of the operator's own: uploads reach it, over plain http too if that is what they named."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from siteferry.aws.objects import S3Objects
from siteferry.aws.session import Session
from siteferry.config import AwsConfig
from tests.unit.agent.fakes import descriptor


class Endpoint(ThreadingHTTPServer):
    """Takes what is put."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        assert isinstance(self.server, Endpoint)
        self.server.paths.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A plain server on this machine."""
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("key", ["a/page.html", "a/line\nbreak"])
def test_a_plain_endpoint_takes_uploads(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Both ways in which keys are put work without TLS where the endpoint's URL says so."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    site = descriptor()
    session = Session(AwsConfig("us-east-1", None, f"http://127.0.0.1:{endpoint.server_port}"), 10)
    S3Objects(session, site, 1, 10).put(key, b"body", {"content-type": "text/html"})
    assert endpoint.paths == [f"/{site.bucket}/{key}".replace("\n", "%0A")]
