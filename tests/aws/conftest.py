"""What only AWS can prove, on a throw-away site; what a local stack can do of it runs there too, so that the tests do.

`SITEFERRY_AWS_ACCOUNT=123456789012 uv run pytest -m aws` deploys, runs these tests and tests/conformance, and destroys.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.aws.live import Live
from tests.aws.sites import tagged, write_sites
from tests.e2e.conftest import Stack, running_local_stack

_STAND_IN = "stand-in"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the account, and on the local stack unless it is marked `aws`."""
    if "where" not in metafunc.fixturenames:
        return
    places = [pytest.param("aws", marks=pytest.mark.aws)]
    if not metafunc.definition.get_closest_marker("aws"):
        places.insert(0, pytest.param("emulator", marks=pytest.mark.e2e))
    metafunc.parametrize("where", places)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a local stack with the sites that are deployed to an account."""
    folder = tmp_path_factory.mktemp("stand-in")
    with running_local_stack(folder / "stack", write_sites(folder, _STAND_IN)) as stack:
        yield stack


@pytest.fixture
def sites(where: str, request: pytest.FixtureRequest) -> Mapping[str, Live]:
    """Give the sites by how they are invalidated."""
    if where == "aws":
        return {how: Live(site, is_aws=True) for how, site in request.getfixturevalue("throwaway").items()}
    found = request.getfixturevalue("stand_in").sites
    names = {"paths": _STAND_IN, "tags": tagged(_STAND_IN)}
    return {how: Live(found[name], is_aws=False) for how, name in names.items()}


@pytest.fixture
def live(sites: Mapping[str, Live]) -> Live:
    """Give the site that is invalidated by paths, with an anchor in its tree: an empty root would hold deletes."""
    return _anchored(sites["paths"])


@pytest.fixture
def live_tags(sites: Mapping[str, Live]) -> Live:
    """Give the site that is invalidated by tags."""
    return _anchored(sites["tags"])


def _anchored(live: Live) -> Live:
    (Path(live.site.root) / "anchor.html").write_text("<title>anchor</title>", "utf-8")
    return live
