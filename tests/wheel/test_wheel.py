"""The built wheel installs alone and has what the FTP host needs, and nothing else."""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
for name in ("siteferry", "siteferry_contract"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            print(module.name)
ours = {name.split(".")[0] for name in sys.modules if name.startswith("siteferry")}
assert ours == {"siteferry", "siteferry_contract"}, ours
"""


def run(command: Sequence[str | Path], **variables: str) -> str:
    """Run a command away from the repository, with variables of its own; gives what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= variables
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    """The uv that builds and installs."""
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        pytest.fail("uv is neither on PATH nor named by UV")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    out = tmp_path_factory.mktemp("dist")
    run([uv, "build", "--wheel", "--out-dir", out, ROOT])
    (found,) = out.glob("*.whl")
    return found


def test_wheel_has_host_code_only(wheel: Path) -> None:
    """The wheel has the agent, the contract and the licence, and no cloud code or test."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"siteferry", "siteferry_contract"}
    assert any(name.endswith("LICENSE") for name in names)
    assert "siteferry/py.typed" in names


def test_wheel_installs_alone(uv: str, wheel: Path, tmp_path: Path) -> None:
    """In an environment of nothing but the wheel, every module imports and the command runs."""
    environment = tmp_path / "venv"
    run([uv, "venv", environment])
    python = environment / "bin" / "python"
    run([uv, "pip", "install", "--python", python, wheel])
    imported = run([python, "-I", "-c", IMPORT_EVERYTHING]).split()
    assert {"siteferry.cli", "siteferry.aws.objects", "siteferry_contract.leaf"} <= set(imported)
    assert run([environment / "bin" / "siteferry", "--version"]).startswith("siteferry ")


def test_the_wheel_is_a_tool_of_uv(uv: str, wheel: Path, tmp_path: Path) -> None:
    """`uv tool install` puts the command where it is told to, and `uv tool uninstall` takes it away."""
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    run([uv, "tool", "install", wheel], **places)
    assert [file.name for file in (tmp_path / "bin").iterdir()] == ["siteferry"]
    assert "exit codes:" in run([tmp_path / "bin" / "siteferry", "--help"])
    run([uv, "tool", "uninstall", "siteferry"], **places)
    assert not list((tmp_path / "bin").iterdir())
