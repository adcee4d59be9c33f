"""What the agent cannot work with ends the command with one clear message, and changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import Agent, agent_with, live_keys

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("setting", "value", "code", "words"),
    [
        ("root", '"/nowhere/at/all"', 66, ["/nowhere/at/all", "mounted"]),
        ("site", '"nobody"', 77, ["/siteferry/nobody"]),
        ("interval", '"often"', 78, ["interval", "number"]),
        ("intervall", "3", 78, ["intervall", "did you mean", "interval"]),
    ],
)
def test_a_bad_setting_gives_one_clear_message(
    site: Any, tmp_path: Path, setting: str, value: str, code: int, words: list[str]
) -> None:
    """A wrong setting ends the command with its exit code and a message that names it; nothing is changed."""
    before = live_keys(site)
    done = agent_with(site, tmp_path, **{setting: value}).run("sync", code=code)
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert live_keys(site) == before


def test_a_missing_descriptor_says_to_deploy(site: Any, tmp_path: Path) -> None:
    """A site whose stack is not deployed is a configuration error that says how to deploy it."""
    agent = agent_with(site, tmp_path, site='"nobody"')
    done = Agent(site, agent.config, dict(site.environment)).run("sync", code=78)
    assert "cdk deploy" in done.stderr


def test_no_credentials_say_so(site: Any) -> None:
    """Without credentials the command ends with 77 and says where they may come from."""
    environment = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
    environment["HOME"] = "/nonexistent"
    done = Agent(site, Path(site.config), environment).run("sync", code=77)
    assert "credentials" in done.stderr
