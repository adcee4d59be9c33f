"""The local stack serves what its ready line promises, and ends without a trace."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.exceptions import ClientError

from siteferry_local.state import claimed

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="session")
def www(local_stack: Any) -> Any:
    """Give the stack's only site."""
    return local_stack.sites["www"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_ftp_names_are_byte_exact(www: Any, encoding: str) -> None:
    """A name lands on disk, and is listed, as the bytes that the FTP client sent."""
    name = "caf\xe9.txt"
    with www.ftp(encoding) as client:
        client.mkd(encoding)
        client.cwd(encoding)
        client.storbinary(f"STOR {name}", io.BytesIO(b"coffee"))
        assert name in client.nlst()
        client.rename(name, f"{name}.renamed")
        client.rename(f"{name}.renamed", name)
    on_disk = os.path.join(os.fsencode(www.root), encoding.encode(), name.encode(encoding))
    assert Path(os.fsdecode(on_disk)).read_bytes() == b"coffee"


@pytest.mark.parametrize(
    "key", ["plain.txt", "a folder/50 % + more & so.txt", "a#b?c=d.txt", "caf\xe9/\u2708 \U0001f6a2.txt", "a//b.txt"]
)
def test_an_object_is_served_at_its_key(www: Any, key: str) -> None:
    """An object of the bucket is served by the viewers' address under its percent-encoded key, GET and HEAD."""
    body = key.encode()
    www.client("s3").put_object(Bucket=www.bucket, Key=key, Body=body, ContentType="text/x-test")
    got = www.get(quote(key))
    assert (got.status, got.headers["Content-Type"], got.body) == (200, "text/x-test", body)
    head = www.get(quote(key), method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(body)), b"")


def test_a_directory_url_serves_its_index(www: Any) -> None:
    """An address that ends with a slash serves the directory's index.html."""
    www.client("s3").put_object(Bucket=www.bucket, Key="folder/index.html", Body=b"index")
    assert www.get("folder/").body == b"index"


def test_what_is_missing_is_404(www: Any) -> None:
    """A key that does not exist is 404 for a viewer."""
    assert www.get("no/such/thing.html").status == 404


def test_a_large_object_comes_through_whole(www: Any) -> None:
    """A body of several chunks arrives as it was stored."""
    body = os.urandom(3_000_000)
    www.client("s3").put_object(Bucket=www.bucket, Key="large.bin", Body=body)
    assert www.get("large.bin").body == body


def test_the_proxy_relays_a_target_byte_for_byte(www: Any) -> None:
    """A target that urllib would normalise reaches the CDN unchanged, several on one connection."""
    for key in ("caf\xe9.txt", "/caf\xe9.txt"):
        www.client("s3").put_object(Bucket=www.bucket, Key=key, Body=b"1")
    host, port = www.distribution_url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as viewer:
        for target in (b"/caf%C3%A9.txt", b"/%63af%c3%a9.txt", b"//caf%C3%A9.txt"):
            viewer.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: anything\r\n\r\n")
            assert viewer.recv(65536).startswith(b"HTTP/1.1 200 "), target


def test_the_agents_key_is_least_privilege(www: Any) -> None:
    """The agent's key may write objects and read its parameter, and may not delete an object."""
    s3 = www.client("s3", www.agent_env)
    s3.put_object(Bucket=www.bucket, Key="by-agent.txt", Body=b"x")
    assert www.client("ssm", www.agent_env).get_parameter(Name="/siteferry/www")["Parameter"]["Value"]
    with pytest.raises(ClientError) as refused:
        s3.delete_object(Bucket=www.bucket, Key="by-agent.txt")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_configuration_is_complete(www: Any) -> None:
    """The agent's configuration names the root, the endpoint and the CA bundle of this stack."""
    text = Path(www.config).read_text()
    assert f'root = "{www.root}"' in text
    assert f'endpoint_url = "{www.environment["AWS_ENDPOINT_URL"]}"' in text
    assert Path(www.environment["AWS_CA_BUNDLE"]).is_file()


def test_state_directory_has_one_user(local_stack: Any) -> None:
    """A second `up` in the same state directory is refused with one message, and the first goes on."""
    second = _up(local_stack.state)
    assert second.returncode == 1
    assert "is in use by another local stack" in second.stderr
    assert local_stack.client("sts").get_caller_identity()["Account"]


def test_foreign_directory_is_refused(tmp_path: Path) -> None:
    """A directory with somebody else's files is refused and left as it was."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "emulator.log").write_text("precious")
    refused = _up(tmp_path / "mine")
    assert refused.returncode == 1
    assert "was not made by siteferry-local" in refused.stderr
    assert (tmp_path / "mine" / "emulator.log").read_text() == "precious"


def test_a_taken_port_is_one_message(tmp_path: Path) -> None:
    """A port that somebody listens on ends `up` with a message that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = _up(tmp_path / "state", "--port", port)
    assert refused.returncode == 1
    assert f"port {port} cannot be used" in refused.stderr.splitlines()[-1]


def test_only_the_ftp_root_is_kept(tmp_path: Path) -> None:
    """An `up` in the directory of an earlier one removes what that one knew, and keeps the users' files."""
    with claimed(tmp_path / "state") as state:
        for kept_or_not in (state.root("www"), state.agent("www"), state.cdk_out):
            kept_or_not.mkdir(parents=True)
            (kept_or_not / "file").write_text("x")
        state.emulator_log.write_text("x")
        state.configuration("www").write_text("x")
    with claimed(tmp_path / "state") as state:
        left = [path.relative_to(state.folder).as_posix() for path in state.folder.rglob("*") if path.is_file()]
    assert sorted(left) == [".siteferry-local", "www/root/file"]


def test_missing_sites_file_is_one_message(tmp_path: Path) -> None:
    """A sites file that is not there ends `up` with one message that names it."""
    refused = _up(tmp_path / "state", "--sites", str(tmp_path / "none.toml"))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "none.toml") in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_survives_an_end_while_coming_up(tmp_path: Path, number: int) -> None:
    """Whatever ends the stack in the middle of its start, no process of it is left."""
    state = tmp_path / "state"
    with _starting(state, subprocess.DEVNULL) as process:
        _wait((state / "deploy.log").exists, "the deployment begins")
        process.send_signal(number)
        assert process.wait(30) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        _wait(lambda: not _processes_of(state), "every process ends")


def test_no_lambda_survives_a_killed_stack(tmp_path: Path) -> None:
    """When a running stack is killed, the emulator and its warm Lambdas end as well."""
    state = tmp_path / "state"
    with _starting(state, subprocess.PIPE) as process:
        assert process.stdout
        facts = json.loads(process.stdout.readline())
        (site,) = facts["sites"]
        sqs = boto3.Session(site["agent_env"]["AWS_ACCESS_KEY_ID"], site["agent_env"]["AWS_SECRET_ACCESS_KEY"]).client(
            "sqs", region_name="us-east-1", endpoint_url=facts["endpoint"], verify=facts["env"]["AWS_CA_BUNDLE"]
        )
        sqs.send_message(QueueUrl=site["queues"]["copy"], MessageBody="not a job")
        _wait(lambda: any("_worker.py" in command for command in _processes_of(state)), "a Lambda is started")
        process.kill()
        process.wait(30)
        _wait(lambda: not _processes_of(state), "every process ends")


@contextmanager
def _starting(state: Path, output: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "siteferry_local", "up", "--state", str(state)]
    with subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _up(state: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "siteferry_local", "up", "--state", str(state), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _processes_of(state: Path) -> list[str]:
    mark = f"SITEFERRY_LOCAL_STATE={state}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                found.append((folder / "cmdline").read_text(errors="replace"))
        except OSError:
            continue  # it ended
    return found


def _wait(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.05)
