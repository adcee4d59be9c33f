"""Records what a release writes: `python -m tests.contract_history 0.2.0`, once, when it is released.

A record is never changed. The first was made by the modules of an earlier commit, found by PYTHONPATH.
"""

import json
import sys
from pathlib import Path

from tests.contract_history.samples import written


def main(release: str) -> None:
    """Write one file for each format into a new folder."""
    folder = Path(__file__).parent / release
    folder.mkdir()
    for name, samples in written().items():
        (folder / f"{name}.json").write_text(json.dumps(samples, indent=2, sort_keys=True) + "\n", "utf-8")


main(*sys.argv[1:])
