"""`python -m siteferry_local`: the same as the `siteferry-local` command."""

import sys

from siteferry_local.cli import main

sys.exit(main())
