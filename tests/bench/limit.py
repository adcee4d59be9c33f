"""The limit: a scan in C, compiled where it runs."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).parent / "limit.c"


def compile_limit(folder: Path) -> Path | None:
    """Compile it; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "limit"
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(_SOURCE)], check=True)
    return program
