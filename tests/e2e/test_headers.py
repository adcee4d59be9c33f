"""Changed header rules on the local stack: what is published is copied onto itself, duplicated and invalidated."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from siteferry_contract.descriptor import Descriptor
from tests.e2e.agents import COPIES, Agent, assert_published
from tests.e2e.counting import agent_through, counting_proxy

pytestmark = pytest.mark.e2e

_LOG = logging.getLogger(__name__)
FILES = int(os.environ.get("SITEFERRY_HEADER_FILES", "200"))
DIRECTORY = 100


@pytest.fixture
def deployed(site: Any) -> Iterator[Any]:
    """Give a client of the parameter store; the site's descriptor is as before when the test is over."""
    client = site.client("ssm")
    before = client.get_parameter(Name=f"/siteferry/{site.name}")["Parameter"]["Value"]
    yield client
    client.put_parameter(Name=f"/siteferry/{site.name}", Value=before, Overwrite=True)


def test_a_changed_header_rule_uploads_nothing(site: Any, agent: Agent, deployed: Any, tmp_path: Path) -> None:
    """Each object that it concerns is copied once, its duplicate follows, and the CDN is told of all of them."""
    paths = [f"{'docs' if n % 2 else 'plain'}/{n // DIRECTORY}/{n}.hdr" for n in range(FILES)]
    for path in [*paths, "plain/untouched.bin"]:
        (Path(site.root) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(site.root) / path).write_text(path, "utf-8")
    agent.sync("--quiet")
    site.wait_drained(600)
    told = _told(site)
    descriptor = json.loads(deployed.get_parameter(Name=f"/siteferry/{site.name}")["Parameter"]["Value"])
    rule = {"match": "*.hdr", "headers": {"cache-control": "max-age=7", "x-amz-meta-owner": "web"}}
    text = Descriptor.from_json(
        json.dumps(descriptor | {"header_rules": [*descriptor["header_rules"], rule]})
    ).to_json()
    deployed.put_parameter(Name=f"/siteferry/{site.name}", Value=text, Overwrite=True)
    with counting_proxy(site.environment["AWS_ENDPOINT_URL"], site.environment["AWS_CA_BUNDLE"], tmp_path) as proxy:
        summary = json.loads(agent_through(site, proxy, tmp_path, lease=180).sync("--json").stdout)
        _LOG.info("%s; %s", summary, dict(proxy.requests))
    assert (summary["uploaded"], summary["headers"], summary["failed"]) == (0, FILES, 0)
    assert (proxy.requests["s3 PUT"], proxy.requests["s3 COPY"]) == (0, FILES)
    assert proxy.requests["TransactWriteItems"] == 0
    site.wait_drained(600)
    concerned = [*paths, *(f"mirror/{path}" for path in paths if path.startswith("docs/"))]
    for path in concerned[:: max(1, len(concerned) // 100)]:
        assert site.get(quote(path)).headers["Cache-Control"] == "max-age=7", path
    assert "Cache-Control" not in site.get("plain/untouched.bin").headers
    exact: set[str] = set()
    wild: list[str] = []
    for invalidated in (told_now for id_, told_now in _told(site).items() if id_ not in told):
        exact.update(path for path in invalidated if not path.endswith("*"))
        wild += [path[:-1] for path in invalidated if path.endswith("*")]
    left = [path for path in concerned if f"/{path}" not in exact and not f"/{path}".startswith(tuple(wild))]
    assert not left, left[:10]
    _LOG.info("%d exact paths and %d wildcards for %d objects", len(exact), len(wild), len(concerned))
    assert_published(site, COPIES)


def _told(site: Any) -> dict[str, list[str]]:
    """Give the paths of every invalidation by its id."""
    client = site.client("cloudfront")
    pages = client.get_paginator("list_invalidations").paginate(DistributionId=site.distribution)
    ids = [item["Id"] for page in pages for item in page["InvalidationList"].get("Items", [])]
    found = {id_: client.get_invalidation(DistributionId=site.distribution, Id=id_) for id_ in ids}
    return {id_: one["Invalidation"]["InvalidationBatch"]["Paths"]["Items"] for id_, one in found.items()}
