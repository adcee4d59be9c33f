"""Siteferry as its users run it: its own command, on a configuration with every safety rule on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from siteferry_contract.descriptor import Descriptor, HeaderRule
from siteferry_contract.job import JOB_KINDS
from tests.bench.server import Server

SITE: Final = "bench"
BUCKET: Final = "siteferry"
TABLE: Final = "siteferry-index"
SETTLE_SECONDS: Final = 1.0
"""The least that the configuration allows."""
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def quiet_environment(home: Path) -> dict[str, str]:
    """Give the environment that every client gets: nothing of this machine's settings but the path."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **CREDENTIALS}


class Siteferry:
    """The product, with its own bucket and table."""

    name = "siteferry"
    bucket = BUCKET
    deletes_by_jobs = True
    """Deletes are sent as jobs, and made by the handlers, which do not run here."""

    def __init__(self, server: Server, root: Path, folder: Path, python: str = sys.executable) -> None:
        """Write its configuration below a folder; `python` is the interpreter that has the release to measure."""
        self._server, self._folder, self._python = server, folder, python
        folder.mkdir()
        self.configuration = folder / "siteferry.toml"
        self.configuration.write_text(
            f'site = "{SITE}"\nroot = "{root}"\nstate_dir = "{self.state}"\nsettle = {SETTLE_SECONDS:g}\ninterval = 1\n'
            f'[aws]\nregion = "us-east-1"\nendpoint_url = "{server.url}"\nca_bundle = "{server.ca}"\n'
        )
        self.environment = quiet_environment(folder)

    @property
    def state(self) -> Path:
        """Where it keeps its state."""
        return self._folder / "state"

    def command(self, command: str = "sync", *options: str) -> list[str]:
        """Give the command line."""
        quiet = ["--quiet"] if command in ("sync", "run") else []
        return [self._python, "-m", "siteferry", command, *options, *quiet, "--config", str(self.configuration)]

    def restore_command(self, destination: Path, *options: str) -> list[str]:
        """Give the command line of a restore as on a new host, which has the configuration alone."""
        configuration = self._folder / "new-host.toml"
        text = self.configuration.read_text().replace(str(self.state), str(self._folder / "no-state"))
        configuration.write_text(text)
        line = [self._python, "-m", "siteferry", "restore", str(destination), "--quiet"]
        return [*line, "--config", str(configuration), *options]

    def version(self) -> str:
        """Give the version that it tells."""
        command = [self._python, "-m", "siteferry", "--version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def forget(self) -> None:
        """Be as before the first run: no state, nothing in the cloud but what was deployed."""
        shutil.rmtree(self.state, ignore_errors=True)
        self._server.drop(BUCKET)
        self._server.drop(TABLE)
        for kind in JOB_KINDS:
            self._server.drop(f"bench-{kind}")
        self._server.set_parameter(f"/siteferry/{SITE}", self.descriptor.to_json())

    @property
    def descriptor(self) -> Descriptor:
        """What `cdk deploy` would have written."""
        return Descriptor(
            site=SITE,
            region="us-east-1",
            bucket=BUCKET,
            prefix="",
            table=TABLE,
            encoding="utf-8",
            queues={kind: f"{self._server.url}/000000000000/bench-{kind}" for kind in JOB_KINDS},
            distribution="EBENCH",
            domain="bench.cloudfront.net",
            directory_pages=True,
            page_layout="0a1b2c3d4e5f",
            header_rules=(HeaderRule("*.html", {"cache-control": "max-age=60"}),),
        )
