"""Which tests run one after another in the same process when several processes share them (`make test`)."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("browser", "conformance", "e2e", "infra", "wheel")
"""Folders whose tests share what is dear to make: a local stack, a browser, a synthesis."""


class _ByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps such a folder together, and elsewhere a file."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.removeprefix("tests/").partition("/")[0]
        return folder if folder in TOGETHER else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFolder:
    """Schedule by folder, whatever --dist says."""
    return _ByFolder(config, log)
