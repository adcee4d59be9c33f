"""The CloudFront Functions, run as JavaScript."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from siteferry_infra.cdn import _REQUEST, _RESPONSE

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "siteferry_infra"
NODE = Path(sys.prefix, "bin", "node")
# Only what the runtime has: no require, no timers, no process (docs: cloudfront-js-2.0 features).
DRIVER = """
const vm = require('vm');
const [source, events] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const context = vm.createContext(Object.create(null), { codeGeneration: { strings: false, wasm: false } });
vm.runInContext('"use strict";' + source, context);
const run = (one) => {
    context.event = JSON.stringify(one);
    return JSON.parse(vm.runInContext('JSON.stringify(handler(JSON.parse(event)))', context));
};
process.stdout.write(JSON.stringify(events.map(run)));
"""
QUERY = {"a": {"value": "1"}, "b": {"value": "", "multiValue": [{"value": ""}, {"value": "x%20y"}]}}


def source(parts: Sequence[str]) -> str:
    """Give the code of a function as it is deployed."""
    return "".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in parts)


def run(parts: Sequence[str], event: dict[str, Any]) -> dict[str, Any]:
    """Run a function."""
    node = str(NODE) if NODE.exists() else shutil.which("node")
    assert node, "node is missing: it comes with the dependency group `infra`"
    done = subprocess.run(
        [node, "-e", DRIVER],
        input=json.dumps([source(parts), [event]]),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    (result,) = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def request(uri: str) -> dict[str, Any]:
    """Give a request with a query string."""
    return {"method": "GET", "uri": uri, "querystring": QUERY, "headers": {}}


def response(status: int = 200, generated: str = "directory-redirect") -> dict[str, Any]:
    """Give a response of the bucket's."""
    headers = {"content-type": {"value": "text/html"}, "x-amz-meta-siteferry-generated": {"value": generated}}
    return {"statusCode": status, "headers": headers}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/", "/index.html"),
        ("/a/", "/a/index.html"),
        ("/a/b%20c/", "/a/b%20c/index.html"),
        ("/caf%C3%A9/", "/caf%C3%A9/index.html"),
        ("//", "//index.html"),
        ("/a", "/a"),
        ("/a.html", "/a.html"),
        ("/a/index.html", "/a/index.html"),
        ("/a%2F", "/a%2F"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("redirects", ["exact", "none"])
def test_only_a_trailing_slash_is_rewritten(redirects: Any, uri: str, expected: str) -> None:
    """A URL that ends in a slash means the index of that directory; any other request passes as it came."""
    assert run(_REQUEST[redirects], {"request": request(uri)}) == request(expected)


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("/docs", "/docs/"),
        ("/a/b%20c", "/a/b%20c/"),
        ("/caf%C3%A9", "/caf%C3%A9/"),
        ("//evil.example", "/evil.example/"),
        ("/\\evil.example", "/evil.example/"),
        ("/a\\b", "/a%5Cb/"),
    ],
)
@pytest.mark.parametrize("status", [200, 206, 304])
def test_what_is_generated_at_a_directorys_key_becomes_a_redirect(status: int, uri: str, location: str) -> None:
    """It leads to the directory's URL on the same host, query string and all; of a part of it, too."""
    result = run(_RESPONSE, {"request": request(uri), "response": response(status)})
    assert result["statusCode"] == 301
    assert result["headers"]["location"] == {"value": f"{location}?a=1&b&b=x%20y"}
    plain = run(_RESPONSE, {"request": {**request(uri), "querystring": {}}, "response": response()})
    assert plain["headers"]["location"] == {"value": location}


@pytest.mark.parametrize("passed", [response(generated="directory-page"), {"statusCode": 304, "headers": {}}])
def test_every_other_response_passes_as_it_came(passed: dict[str, Any]) -> None:
    """A file without an extension is served as what it is."""
    assert run(_RESPONSE, {"request": request("/LICENSE"), "response": passed}) == passed


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("/", "/index.html"), ("/a/", "/a/index.html"), ("/a.html", "/a.html"), ("/a/.well-known", "/a/.well-known")],
)
def test_by_extension_a_name_with_a_dot_passes(uri: str, expected: str) -> None:
    """So does a URL that ends in a slash, as the index of that directory."""
    assert run(_REQUEST["by-extension"], {"request": request(uri)}) == request(expected)


@pytest.mark.parametrize(("uri", "location"), [("/docs", "/docs/"), ("/a.b/c", "/a.b/c/"), ("//evil", "/evil/")])
def test_by_extension_a_name_without_a_dot_is_redirected(uri: str, location: str) -> None:
    """Without asking whether there is such a directory."""
    result = run(_REQUEST["by-extension"], {"request": request(uri)})
    assert (result["statusCode"], result["headers"]["location"]["value"]) == (301, f"{location}?a=1&b&b=x%20y")


@pytest.mark.parametrize("parts", [*_REQUEST.values(), _RESPONSE])
def test_it_is_small_enough(parts: Sequence[str]) -> None:
    """CloudFront takes at most 10 KB for a function."""
    assert len(source(parts).encode()) < 10_240
