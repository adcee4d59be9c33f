"""`python -m tests.docs reference`: write docs/reference from the code. `… site`: build the docs site.

The site is .cache/site/index.html, and needs no network to be read.
"""
# ruff: noqa: T201 - printing is what it is for

import argparse
import sys

from tests.docs import reference, site


def main() -> int:
    """Do it; gives the exit code: 1 if the site has a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    parser.add_argument("what", choices=("reference", "site"))
    if parser.parse_args().what == "reference":
        reference.write()
        return 0
    try:
        print(site.build())
    except site.SiteError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
