"""What the agent's tests share."""

from pathlib import Path

import pytest

from tests.unit.agent.fakes import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty site, on a file system that has the host's clock."""
    monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: False)
    return World(tmp_path)
