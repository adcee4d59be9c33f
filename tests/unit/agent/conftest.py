"""What the agent's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agent.endpoint import Endpoint, serving
from tests.unit.agent.fakes import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty site, on a file system that has the host's clock."""
    monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: False)
    return World(tmp_path)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A plain server on this machine that takes what is put."""
    with serving() as server:
        yield server


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Where a site is restored to."""
    return tmp_path / "restored"
