"""The .deb: the agent with the locked versions of its libraries, in an environment of its own.

The environment is a virtual one of Debian's own Python, whichever it is: all that is compiled in it keeps to Python's
stable interface, so one folder of libraries serves every version that `nfpm.yaml` allows.
"""

import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from siteferry.cli import make_parser
from siteferry_packaging.completion import SHELLS, completion
from siteferry_packaging.manual import command_page, configuration_page

PREFIX: Final = Path("/usr/lib/siteferry")
"""Where the environment is on the host."""
OLDEST_PYTHON: Final = 11
NEWEST_PYTHON: Final = 15
"""The minor versions between which Debian's Python may be; `nfpm.yaml` says the same as a dependency."""

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_UV: Final = os.environ.get("UV", "uv")
_NFPM: Final = Path("agent/packaging/nfpm.yaml")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_COMMAND: Final = f"""\
#!{PREFIX}/bin/python -I
from siteferry.cli import main

raise SystemExit(main())
"""


class PackagingError(Exception):
    """The package cannot be made."""


def build_deb(out: Path, work: Path, checkout: Path = _CHECKOUT) -> Path:
    """Build the .deb of a checkout for the architecture of this machine into a folder; `work` is an empty one."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise PackagingError(f"{machine}: the package is made for {' and '.join(_ARCHITECTURES)} only")
    _run([_UV, "build", "--quiet", "--wheel", "--out-dir", work / "dist", checkout])
    (wheel,) = (work / "dist").glob("*.whl")
    version = wheel.name.split("-")[1]
    _environment(work / "environment", wheel, machine, checkout)
    _texts(work / "texts", version, checkout)
    out.mkdir(parents=True, exist_ok=True)
    package = out / f"siteferry_{debian_version(version)}_{_ARCHITECTURES[machine]}.deb"
    package.unlink(missing_ok=True)
    pack: list[str | Path] = [Path(sys.executable).with_name("nfpm"), "package", "--config", _NFPM]
    variables = {"VERSION": debian_version(version), "ARCH": _ARCHITECTURES[machine], "WORK": str(work)}
    _run([*pack, "--packager", "deb", "--target", package], cwd=checkout, environment=variables)
    return package


def debian_version(version: str) -> str:
    """Give Python's name of a version as Debian orders it: before a release comes what has a tilde."""
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", version)


def _environment(folder: Path, wheel: Path, machine: str, checkout: Path) -> None:
    """Lay out what will be at PREFIX."""
    packages = folder / "lib" / "python3" / "site-packages"
    locked = folder.with_name("requirements.txt")
    export = [_UV, "export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header"]
    _run([*export, "--project", checkout, "--output-file", locked])
    install: list[str | Path] = [_UV, "pip", "install", "--quiet", "--target", packages, "--link-mode", "copy"]
    install += ["--only-binary", ":all:", "--python-version", f"3.{OLDEST_PYTHON}"]
    install += ["--python-platform", f"{machine}-unknown-linux-gnu"]
    _run([*install, "--require-hashes", "--requirements", locked])
    _run([*install, "--no-deps", wheel])
    _strip(packages)
    for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1):
        (folder / "lib" / f"python3.{minor}").symlink_to("python3")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to("/usr/bin/python3")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", "utf-8")
    command = folder.with_name("siteferry")
    command.write_text(_COMMAND, "utf-8")
    command.chmod(0o755)


def _strip(packages: Path) -> None:
    """Remove what the libraries do not need on a host, and what tells of this machine."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for name in (".lock", "*.dist-info/direct_url.json", "*.dist-info/uv_*.json", "*.dist-info/INSTALLER"):
        for file in packages.glob(name):
            file.unlink()
    for cache in packages.rglob("__pycache__"):
        shutil.rmtree(cache)
    bound = sorted(file.name for file in packages.rglob("*.so") if not file.name.endswith(".abi3.so"))
    if bound:
        raise PackagingError(f"{', '.join(bound)}: for one version of Python only, but the package is for several")


def _texts(folder: Path, version: str, checkout: Path) -> None:
    """Write manual pages, completions and the change log."""
    folder.mkdir()
    example = (checkout / "agent" / "packaging" / "siteferry.toml").read_text("utf-8")
    _compress(folder / "siteferry.1.gz", command_page(make_parser(), version))
    _compress(folder / "siteferry.toml.5.gz", configuration_page(example, version))
    _compress(folder / "changelog.gz", (checkout / "CHANGELOG.md").read_text("utf-8"))
    for shell in SHELLS:
        (folder / f"siteferry.{shell}").write_text(completion(make_parser(), shell), "utf-8")


def _compress(file: Path, text: str) -> None:
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


def _run(
    command: Sequence[str | Path], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PackagingError(f"{Path(command[0]).name} {command[1]} failed:\n{done.stdout}{done.stderr}")
