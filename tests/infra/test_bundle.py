"""What is deployed as the handlers' code, and that its hash changes with that and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siteferry_infra.functions import PACKAGES, PROJECT, BundlingError, bundle, bundle_hash, locked_requirements


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Make a small source folder of the right outline."""
    for package in PACKAGES:
        folder = tmp_path / "lambdas" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f'"""{package}."""\n')
    return tmp_path / "lambdas"


def test_the_hash_does_not_depend_on_place_time_or_compiled_files(sources: Path, tmp_path: Path) -> None:
    """A second deploy from another clone changes nothing."""
    first = bundle_hash(sources, "a==1")
    copy = tmp_path / "elsewhere"
    shutil.copytree(sources, copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))
    cached = copy / PACKAGES[0] / "__pycache__"
    cached.mkdir()
    (cached / "x.cpython-311.pyc").write_bytes(b"compiled")
    (copy / "notes.txt").write_text("outside the packages")
    assert bundle_hash(copy, "a==1") == first


def test_the_hash_does_not_depend_on_the_process(sources: Path) -> None:
    """Another run of the app, with other addresses and another hash seed, gives the same hash."""
    code = "import sys; from siteferry_infra.functions import *; print(bundle_hash(Path(sys.argv[1]), 'a==1'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code, str(sources)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {bundle_hash(sources, "a==1")}


def test_the_hash_changes_with_content_names_and_requirements(sources: Path) -> None:
    """Whatever changes the bundle changes its hash."""
    seen = {bundle_hash(sources, "a==1"), bundle_hash(sources, "a==2")}
    module = sources / PACKAGES[1] / "copy.py"
    module.write_text("x = 1\n")
    seen.add(bundle_hash(sources, "a==1"))
    module.write_text("x = 2\n")
    seen.add(bundle_hash(sources, "a==1"))
    module.rename(module.with_name("delete.py"))
    seen.add(bundle_hash(sources, "a==1"))
    assert len(seen) == 5


def test_the_requirements_are_locked_and_leave_out_what_the_runtime_brings() -> None:
    """Each line has a version and hashes; boto3 and its own dependencies are not among them."""
    lines = [line for line in locked_requirements().splitlines() if line and not line.startswith(" ")]
    names = {line.partition("==")[0] for line in lines}
    assert "aws-lambda-powertools" in names
    assert not names & {"boto3", "botocore", "s3transfer", "siteferry"}
    assert all("==" in line and line.endswith("\\") for line in lines)
    assert locked_requirements() == locked_requirements()


def test_the_bundle_holds_the_handlers_and_runs_on_arm(tmp_path: Path) -> None:
    """Both packages and the requirements are there; no command line tools, no caches, no code for another processor."""
    bundle(tmp_path, locked_requirements())
    names = {path.name for path in tmp_path.iterdir()}
    assert {*PACKAGES, "aws_lambda_powertools", "requirements.txt"} <= names
    assert not names & {"bin", "boto3", "botocore"}
    assert not list(tmp_path.rglob("__pycache__"))
    assert [path for path in tmp_path.rglob("*.so") if "aarch64" not in path.name] == []
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 20_000_000
    for package in PACKAGES:
        for path in (PROJECT / "lambdas" / package).rglob("*.py"):
            assert (tmp_path / path.relative_to(PROJECT / "lambdas")).is_file()


def test_a_failed_installation_says_what_failed(tmp_path: Path) -> None:
    """An error of the installer ends the synth with its own words."""
    with pytest.raises(BundlingError, match=r"`uv pip install .*failed:\n"):
        bundle(tmp_path, "no-such-hash==1\n")


def test_a_missing_uv_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uv the remedy is named."""
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BundlingError, match="uv is not on the PATH; install it"):
        locked_requirements()
