"""Destroys what a run that was killed left of its throw-away sites: `uv run python -m tests.aws NAME`."""

import re
import sys

from tests.aws.account import deployer
from tests.aws.sites import tagged
from tests.aws.throwaway import destroy


def main(name: str) -> None:
    """Destroy both sites; ends with 1 and what is left."""
    if not re.fullmatch("throwaway-[0-9a-f]{8}", name):
        sys.exit(f"{name!r} is no name of a throw-away site: nothing is destroyed")
    left = destroy(deployer(), [name, tagged(name)])
    sys.exit("\n".join(left) or 0)


main(*sys.argv[1:])
