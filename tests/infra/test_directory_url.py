"""The CloudFront Function, run as JavaScript."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTION = Path(__file__).resolve().parents[2] / "infra" / "siteferry_infra" / "directory_url.js"
NODE = Path(sys.prefix, "bin", "node")
# Only what the runtime has: no require, no timers, no process (docs: cloudfront-js-2.0 features).
DRIVER = """
const vm = require('vm');
const [source, uris] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const context = vm.createContext(Object.create(null), { codeGeneration: { strings: false, wasm: false } });
vm.runInContext('"use strict";' + source, context);
const run = (uri) => {
    const request = { method: 'GET', uri, querystring: { a: { value: '1' } }, headers: {} };
    context.event = JSON.stringify({ request });
    return JSON.parse(vm.runInContext('JSON.stringify(handler(JSON.parse(event)))', context));
};
process.stdout.write(JSON.stringify(uris.map(run)));
"""


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
def test_only_a_trailing_slash_is_rewritten(uri: str, expected: str) -> None:
    """A URL that ends in a slash means the index of that directory; any other request passes as it came."""
    node = str(NODE) if NODE.exists() else shutil.which("node")
    assert node, "node is missing: it comes with the dependency group `infra`"
    done = subprocess.run(
        [node, "-e", DRIVER],
        input=json.dumps([FUNCTION.read_text(encoding="utf-8"), [uri]]),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    (request,) = json.loads(done.stdout)
    assert request == {"method": "GET", "uri": expected, "querystring": {"a": {"value": "1"}}, "headers": {}}


def test_it_is_small_enough() -> None:
    """CloudFront takes at most 10 KB for a function."""
    assert FUNCTION.stat().st_size < 10_240
