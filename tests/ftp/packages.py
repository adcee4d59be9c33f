"""Debian's FTP servers and lftp, unpacked beside one another: installed they would conflict, and need root.

`make ftp-servers` runs this where apt is. What the distribution serves is what the tests run on; libraries that the
machine has are used, others are unpacked as well.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parents[2] / ".cache" / "ftp-servers"
PACKAGES: Final = {"vsftpd": "vsftpd", "proftpd": "proftpd-core", "pure-ftpd": "pure-ftpd", "lftp": "lftp"}
"""Package by program."""
_SECONDS: Final = 240
_DEPENDS: Final = re.compile(r"^ +(?:Pre)?Depends: (lib\S+)$", re.MULTILINE)
"""In what `apt-cache depends` says; not the first of alternatives, which is `|Depends`."""


def find(program: str) -> str | None:
    """Give the path of a program: one that was unpacked, or the machine's."""
    for folder in ("usr/sbin", "usr/bin"):
        unpacked = TOP / PACKAGES.get(program, program) / folder / program
        if unpacked.exists():
            return str(unpacked)
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def environment() -> dict[str, str]:
    """Give this process's environment, with the libraries that were unpacked."""
    libraries = sorted({str(found.parent) for found in TOP.glob("*/usr/lib/**/lib*.so*")})
    return dict(os.environ) | ({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})


def fetch(program: str) -> None:
    """Unpack a program's package, with the libraries that the machine has not; raises CalledProcessError."""
    package = PACKAGES[program]
    place, downloads = TOP / package, TOP / f"{package}.debs"
    if place.exists():
        return
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    for options in ([], _private_lists()):
        if options:
            _run(["apt-get", *options, "-o", "APT::Sandbox::User=root", "update", "-qq"], downloads)
        try:
            names = [package, *_missing_libraries(package, options, downloads)]
            _run(["apt-get", *options, "download", "-qq", "-o", "APT::Sandbox::User=root", *names], downloads)
            break
        except subprocess.CalledProcessError:
            if options:
                raise
    fresh = downloads / "unpacked"
    for found in sorted(downloads.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(found), str(fresh)], downloads)
    fresh.rename(place)
    shutil.rmtree(downloads)


def _missing_libraries(package: str, options: Sequence[str], at: Path) -> list[str]:
    """Give the libraries that a package needs, and they need, and this machine has not."""
    missing: list[str] = []
    left = [package]
    while left:
        found = _DEPENDS.findall(_run(["apt-cache", *options, "depends", left.pop()], at))
        new = [name for name in found if name not in missing and not _is_installed(name)]
        missing += new
        left += new
    return missing


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def _private_lists() -> list[str]:
    """Have lists of packages of one's own, where the system's are missing, out of date or not readable."""
    lists = TOP / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (lists / folder).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State::lists": lists / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": lists / "cache",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: Sequence[str], at: Path) -> str:
    environment = dict(os.environ) | {"LC_ALL": "C"}
    return subprocess.run(
        command, cwd=at, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=_SECONDS
    ).stdout


def main() -> int:
    """Fetch all of them; 1: something could not be had."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        sys.stderr.write("no apt here: only pyftpdlib is tested\n")
        return 1
    missing = 0
    for program in PACKAGES:
        try:
            fetch(program)
        except (OSError, subprocess.SubprocessError) as error:
            missing = 1
            sys.stderr.write(f"{program}: {error}\n")
        sys.stdout.write(f"{program}: {find(program) or 'not to be had'}\n")
    return missing


if __name__ == "__main__":
    sys.exit(main())
