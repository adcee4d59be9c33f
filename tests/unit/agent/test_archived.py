"""An object in an archive class: S3 refuses it as it refuses credentials, and only its answer's text tells which."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from siteferry.aws.archive import ARCHIVED, PART_BYTES, S3Archive
from siteferry.aws.session import Session
from siteferry.config import AwsConfig
from siteferry.errors import AccessError, RefusedError
from tests.unit.agent.fakes import descriptor

KEYS = ["a/page.html", "by boto\n", "<Code>AccessDenied</Code>", "<Code>InvalidObjectState</Code>", "x" * 900]


class Refusing(ThreadingHTTPServer):
    """Answers every GET with 403 and a code."""

    code = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Refusing)
        body = f'<?xml version="1.0"?>\n<Error><Code>{self.server.code}</Code><Message>no</Message></Error>'
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    """Such an endpoint."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Refusing(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def read(server: Refusing, key: str, size: int) -> None:
    """Read an object of it."""
    session = Session(AwsConfig("us-east-1", None, f"http://127.0.0.1:{server.server_port}"), 10)
    archive = S3Archive(session, descriptor(), 1, 10)
    for _ in archive.get(key, size, None).chunks:
        pass


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [1, 2 * PART_BYTES])
def test_an_archived_object_fails_alone(refusing: Refusing, key: str, size: int) -> None:
    """It is one file that fails, not the credentials, and the error says what to do."""
    refusing.code = "InvalidObjectState"
    with pytest.raises(RefusedError) as caught:
        read(refusing, key, size)
    assert str(caught.value) == ARCHIVED


@pytest.mark.parametrize("key", KEYS)
def test_refused_credentials_end_the_restore(refusing: Refusing, key: str) -> None:
    """Whatever a file is called."""
    refusing.code = "AccessDenied"
    with pytest.raises(AccessError):
        read(refusing, key, 1)
