"""What is written in C, compiled where it runs: the limit, which is a scan, and what leaves fsync out."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

_LIMIT: Final = Path(__file__).parent / "limit.c"
_NO_FSYNC: Final = Path(__file__).parent / "no_fsync.c"


def compile_limit(folder: Path) -> Path | None:
    """Compile the scan; None where there is no C compiler."""
    return _compile(_LIMIT, folder / "limit", "-pthread")


def compile_no_fsync(folder: Path) -> Path | None:
    """Compile what is to be preloaded; None where there is no C compiler."""
    return _compile(_NO_FSYNC, folder / "no-fsync.so", "-shared", "-fPIC")


def _compile(source: Path, target: Path, *options: str) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-O2", *options, "-o", str(target), str(source)], check=True)
    return target
