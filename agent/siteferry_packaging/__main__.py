"""`python -m siteferry_packaging [OUT]`: build the .deb into a folder, by default dist."""

import sys
import tempfile
from pathlib import Path

from siteferry_packaging.deb import PackagingError, build_deb


def main() -> int:
    """Build it and print where it is."""
    with tempfile.TemporaryDirectory(prefix="siteferry-deb-") as work:
        try:
            package = build_deb(Path(*sys.argv[1:2] or ["dist"]).absolute(), Path(work))
        except PackagingError as error:
            print(error, file=sys.stderr)
            return 1
    print(package)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
