"""The release before this one, taken from the history: its agent and its handlers, run as they were."""

import io
import subprocess
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from siteferry_contract.job import JOB_KINDS
from tests.e2e.agents import wait_for

PREVIOUS: Final = "2635d8472860ae84fe4eb192da5252b1eca33739"
"""Until there is a release: the last commit before agents wrote heartbeats and kept pauses and hints."""
_PROJECT: Final = Path(__file__).resolve().parents[2]
_HANDLERS: Final = ("siteferry_contract", "siteferry_lambdas")


def previous_release(folder: Path) -> Path:
    """Unpack the previous release's agent and handlers into a folder; skips in a clone without its commit."""
    command = ["git", "-C", str(_PROJECT), "archive", PREVIOUS, "agent", "lambdas"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("git is not installed: the previous release comes from the history")
    if done.returncode:
        pytest.skip(f"the history has no commit {PREVIOUS[:7]} (a shallow clone?), which is the previous release")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def agent_environment(release: Path) -> dict[str, str]:
    """Give the variable by which Python finds a release's agent before this one's."""
    return {"PYTHONPATH": f"{release / 'agent'}:{release / 'lambdas'}"}


def bundle_of(lambdas: Path, assembly: Path) -> bytes:
    """Zip handlers with the requirements that were bundled for the deployed ones."""
    (deployed,) = [found.parent for found in assembly.glob("asset.*/siteferry_lambdas")]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for base, wanted in ((deployed, False), (lambdas, True)):
            for path in sorted(base.rglob("*")):
                name = path.relative_to(base)
                if path.is_file() and (name.parts[0] in _HANDLERS) is wanted and "__pycache__" not in name.parts:
                    archive.write(path, name)
    return stream.getvalue()


def put_handlers(site: Any, bundle: bytes) -> None:
    """Give each function of a site other code, as a deploy of another release does."""
    functions = site.client("lambda")
    for kind in JOB_KINDS:
        name = f"siteferry-{site.name}-{kind}"
        functions.update_function_code(FunctionName=name, ZipFile=bundle)
        wait_for(partial(_is_updated, functions, name), f"new code of {name}")


def _is_updated(functions: Any, name: str) -> bool:
    status = functions.get_function_configuration(FunctionName=name).get("LastUpdateStatus", "Successful")
    return bool(status == "Successful")
