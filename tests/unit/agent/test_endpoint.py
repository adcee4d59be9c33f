"""An endpoint of the operator's own: uploads reach it, over plain http too if that is what they named."""

import pytest

from siteferry.aws.objects import S3Objects
from siteferry.aws.session import Session
from siteferry.config import AwsConfig
from tests.unit.agent.endpoint import Endpoint
from tests.unit.agent.fakes import descriptor


@pytest.mark.parametrize("key", ["a/page.html", "a/line\nbreak"])
def test_a_plain_endpoint_takes_uploads(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Both ways in which keys are put work without TLS where the endpoint's URL says so."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    site = descriptor()
    session = Session(AwsConfig("us-east-1", None, endpoint.url), 10)
    S3Objects(session, site, 1, 10).put(key, b"body", {"content-type": "text/html"})
    assert endpoint.paths == [f"/{site.bucket}/{key}".replace("\n", "%0A")]
