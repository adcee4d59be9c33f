"""Which tests run one after another in the same process when several processes share them (`make test`).

And the throw-away sites on a real account, which tests/aws and tests/conformance use together.
"""

import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.aws.account import AccountSite, deployer_or_skip
from tests.aws.throwaway import throwaway_sites

TOGETHER = ("aws", "browser", "conformance", "e2e", "infra", "wheel")
"""Folders whose tests share what is dear to make: a local stack, a browser, a synthesis."""
STACKS_OF_THEIR_OWN = frozenset(
    f"tests/e2e/test_{name}.py"
    for name in ("audit", "deployments", "local_stack", "real_tree", "rebuild", "redrive", "restore", "upgrade")
)
"""Of tests/e2e, what has no part in the stack that the others share."""


class _ByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps such a folder together, and elsewhere a file."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path in STACKS_OF_THEIR_OWN:
            return "stacks of their own"
        folder = path.removeprefix("tests/").partition("/")[0]
        return folder if folder in TOGETHER else path


def pytest_xdist_auto_num_workers() -> int:
    """Give `-n auto` a process more than there are processors: tests that have a stack wait for it half of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFolder:
    """Schedule by folder, whatever --dist says."""
    return _ByFolder(config, log)


@pytest.fixture(scope="session")
def throwaway(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, AccountSite]]:
    """Deploy throw-away sites to a real account, for who asks for it by mark and by the account's id."""
    if "aws" not in pytestconfig.getoption("markexpr"):
        pytest.skip("a real account is used with `-m aws` only")
    owner = deployer_or_skip()
    if hasattr(pytestconfig, "workerinput"):
        pytest.fail("run `pytest -m aws` without -n: each process would deploy sites of its own", pytrace=False)
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")

    def tell(text: str) -> None:
        if terminal:
            terminal.ensure_newline()
            terminal.write_line(text)

    name = f"throwaway-{uuid.uuid4().hex[:8]}"
    with throwaway_sites(owner, name, tmp_path_factory.mktemp("throwaway"), tell) as sites:
        yield sites
