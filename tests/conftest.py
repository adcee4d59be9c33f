"""Which tests run one after another when several processes share them (`make test`)."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TOGETHER = ("browser", "conformance", "e2e", "infra", "wheel")
"""Folders whose tests share what is dear to make: a local stack, a browser, a synthesis."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist looks at the marks in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep such a folder together, and elsewhere a file."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else str(item.path)))
