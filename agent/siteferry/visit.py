"""A visit of the site as a viewer makes it: one HEAD to the distribution."""

import http.client
import ssl
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Final

from siteferry.errors import UnavailableError
from siteferry.ports import Visit

SECONDS: Final = 5.0


class HttpCdn:
    """Implements `Cdn`.

    An endpoint of the operator's own for AWS stands for the distribution too, which is named by the Host header then.
    """

    def __init__(self, domain: str, endpoint_url: str | None = None, ca_bundle: Path | None = None) -> None:
        self._domain = domain
        self._base = (endpoint_url or f"https://{domain}").rstrip("/")
        self._ca_bundle = ca_bundle

    def visit(self, path: str) -> Visit:
        """Ask, through the proxy that the environment names."""
        request = urllib.request.Request(self._base + path, method="HEAD", headers={"Host": self._domain})  # noqa: S310
        try:
            context = ssl.create_default_context(cafile=self._ca_bundle)
            opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect)
            with opener.open(request, timeout=SECONDS) as answer:
                return _visit(answer.status, answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return _visit(error.code, error.headers)
        except urllib.error.URLError as error:
            raise UnavailableError(f"{self._domain}: {error.reason}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise UnavailableError(f"{self._domain}: {error or type(error).__name__}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: a redirect is an answer to show."""


def _visit(status: int, headers: Message) -> Visit:
    return Visit(status, {name.lower(): value for name, value in headers.items()})
