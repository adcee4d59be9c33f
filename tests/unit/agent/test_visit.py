"""A visit of the CDN: one HEAD, whose answer is told as it is."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from siteferry.errors import UnavailableError
from siteferry.visit import HttpCdn

DOMAIN = "d123.cloudfront.net"


class Edge(ThreadingHTTPServer):
    """Answers as its path says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        assert isinstance(self.server, Edge)
        self.server.asked.append((self.command, self.headers["Host"], self.path))
        self.send_response(int(self.path[1:4]))
        self.send_header("X-Cache", "Hit from cloudfront")
        self.send_header("Location", "/200")
        self.send_header("Content-Length", "7")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def edge() -> Iterator[Edge]:
    """A distribution on this machine."""
    with Edge() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/200/caf%C3%A9%7E(*)", "/301", "/404", "/503"])
def test_an_answer(edge: Edge, path: str) -> None:
    """Whatever the status is, it comes with its headers; a redirect is not followed, the path is sent as it is."""
    visit = HttpCdn(DOMAIN, f"http://127.0.0.1:{edge.server_port}").visit(path)
    assert visit.status == int(path[1:4])
    assert (visit.headers["x-cache"], visit.headers["content-length"]) == ("Hit from cloudfront", "7")
    assert edge.asked == [("HEAD", DOMAIN, path)]


def test_nobody_answers(edge: Edge) -> None:
    """A connection that is refused, or ends, is told with the domain."""
    with Edge() as closed:
        address = f"http://127.0.0.1:{closed.server_port}"
    with pytest.raises(UnavailableError, match=DOMAIN):
        HttpCdn(DOMAIN, address).visit("/200")
    with pytest.raises(UnavailableError, match=DOMAIN):
        HttpCdn(DOMAIN, f"https://127.0.0.1:{edge.server_port}").visit("/200")
