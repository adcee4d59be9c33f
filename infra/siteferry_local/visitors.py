"""The two kinds of people at either end: one who changes files over FTP, one who reads the site."""

from __future__ import annotations

import ftplib
import io
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TIMEOUT_SECONDS = 30.0


class FtpUser:
    """Somebody with an FTP client."""

    def __init__(self, client: ftplib.FTP) -> None:
        self._client = client
        self._made = {""}

    def upload(self, path: str, body: bytes) -> None:
        """Put a file, and make the directories above it."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            directory = "/".join(parts[:depth])
            if directory not in self._made:
                with suppress(ftplib.error_perm):  # it is there already
                    self._client.mkd(directory)
                self._made.add(directory)
        self._client.storbinary(f"STOR {path}", io.BytesIO(body))

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._client.delete(path)


@contextmanager
def ftp_user(url: str) -> Iterator[FtpUser]:
    """Log in at an address with user and password."""
    address = urlsplit(url)
    with ftplib.FTP(encoding="utf-8", timeout=_TIMEOUT_SECONDS) as client:  # noqa: S321, it is what users have
        client.connect(address.hostname or "", address.port or 0)
        client.login(address.username or "", address.password or "")
        yield FtpUser(client)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a viewer got."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    """Where redirects led to."""


class Viewer:
    """Somebody with a browser at the site's address."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def address(self, path: str) -> str:
        """Return the address of a path as an FTP user names it."""
        return urljoin(self._site, quote(path))

    def get(self, path: str) -> Answer:
        """Fetch a path as an FTP user names it."""
        return self.follow(self.address(path))

    def follow(self, url: str) -> Answer:
        """Fetch an address as it is."""
        try:
            with self._opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read(), answer.url)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def links(self, directory: str, page: bytes) -> dict[str, str]:
        """Return the addresses that a directory's page links to below itself, by their decoded relative path."""
        base = urljoin(self._site, quote(directory))
        parser = _Links()
        parser.feed(page.decode())
        targets = (urljoin(base, target) for target in parser.targets)
        return {unquote(url.removeprefix(base)): url for url in targets if url.startswith(base) and url != base}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]
