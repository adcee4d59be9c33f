"""`python -m siteferry`."""

from siteferry.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
