"""The AWSs that every test of this folder runs on.

- `memory`: that of the simulation. Always.
- `emulator`: the local stack, with the adapters that the agent and the handlers use (marked e2e).
- `aws`: a real account, with `-m aws`, on the throw-away site of tests/aws. Or SITEFERRY_AWS_SITE names a deployed site
  that nobody needs, and boto3's chain gives the region and the credentials of somebody who may use it and make a table,
  queues and an IAM user. Objects are made beneath `siteferry-conformance/` and removed with all their versions;
  invalidations cost some cents.
"""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conformance.cloud import Cloud
from tests.conformance.gaps import KNOWN
from tests.conformance.memory import in_memory
from tests.conformance.real import Account, deployed
from tests.e2e.conftest import running_local_stack

_SITE = "SITEFERRY_AWS_SITE"
_REAL = [pytest.param("emulator", marks=pytest.mark.e2e), pytest.param("aws", marks=pytest.mark.aws)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every AWS that has what it asks for."""
    if {"cloud", "shelf"} & {*metafunc.fixturenames}:
        metafunc.parametrize("where", ["memory", *_REAL])
    elif "account" in metafunc.fixturenames:
        metafunc.parametrize("where", _REAL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the known gaps."""
    for item in items:
        if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            continue
        where = str(item.callspec.params.get("where", ""))
        reason = KNOWN.get((where, item.originalname))
        if reason and item.path.parent.name == "conformance":
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture
def cloud(where: str, request: pytest.FixtureRequest) -> Cloud:
    """Give an AWS with an empty table and a prefix of the test's own."""
    found: Cloud = in_memory() if where == "memory" else request.getfixturevalue("ports")
    found.clear()
    return replace(found, prefix=f"{found.prefix}{uuid.uuid4().hex[:12]}/")


@pytest.fixture(scope="session")
def _ports() -> dict[int, Cloud]:
    """Keep the ports of each account: making clients takes its time."""
    return {}


@pytest.fixture
def ports(account: Account, _ports: dict[int, Cloud]) -> Cloud:
    """Give the ports of the local stack or of the real account."""
    if id(account) not in _ports:
        _ports[id(account)] = account.cloud()
    return _ports[id(account)]


@pytest.fixture
def account(where: str, request: pytest.FixtureRequest) -> Account:
    """Give the local stack or the real account."""
    found: Account = request.getfixturevalue(where)
    return found


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Give a local stack for the session."""
    with (
        running_local_stack(tmp_path_factory.mktemp("conformance") / "stack") as stack,
        deployed("www", stack.env) as account,
    ):
        yield account


@pytest.fixture(scope="session")
def aws(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[Account]:
    """Give a real account, for who asks for it by mark, and by name or consent."""
    if "aws" not in pytestconfig.getoption("markexpr"):
        pytest.skip("a real account is used with `-m aws` only")
    site = os.environ.get(_SITE) or request.getfixturevalue("throwaway")["paths"].name
    with deployed(site, {}) as account:
        yield account
