"""A sync through a network that throttles, fails, dawdles and cuts connections: nothing missing, nothing twice."""

import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import COPIES, Agent, assert_published
from tests.e2e.counting import Faults, agent_through, counting_proxy

pytestmark = pytest.mark.e2e

_LOG = logging.getLogger(__name__)
FILES = int(os.environ.get("SITEFERRY_FAULT_FILES", "600"))
DIRECTORY = 150
"""Files in each directory; every fifth directory is one that a copy rule duplicates."""
LEASE = int(os.environ.get("SITEFERRY_FAULT_LEASE", "20"))
"""Seconds; a next run may have to wait for as long. A single try may take a 24th of it, and the injected latency is
less: 2 s at a lease of 60."""


def test_a_sync_through_a_failing_network_ends_complete_or_is_completed(subjects: Any, tmp_path: Path) -> None:
    """A sync ends complete, or says that it did not and the next one completes it; nothing is missing or put twice."""
    site = subjects.sites["faults"]
    root = Path(site.root)
    for n in range(FILES):
        directory = n // DIRECTORY
        folder = root / ("docs" if directory % 5 == 0 else "plain") / f"{directory}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.txt").write_text(f"file {n}", "utf-8")
    # A burst hits every request; between bursts a tenth of them goes wrong in one way or another.
    faults = Faults(error=0.05, cut=0.03, lost=0.02, bursts=0.005, burst=25, latency=LEASE / 30, seed=FILES)
    with counting_proxy(
        site.environment["AWS_ENDPOINT_URL"], site.environment["AWS_CA_BUNDLE"], tmp_path, faults
    ) as proxy:
        done = agent_through(site, proxy, tmp_path, LEASE).sync("--quiet", code=None)
        _LOG.info("exit %d: %s", done.returncode, done.stdout.strip().rpartition("\n")[2])
        _LOG.info("%d requests %s, faults %s", proxy.requests.total(), dict(proxy.requests), dict(proxy.faults))
    assert all(proxy.faults[kind] for kind in ("SlowDown", "InternalError", "cut", "lost", "slow")), proxy.faults
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 69), done.stderr
    again = Counter({path: count - 1 for path, count in proxy.puts.items() if count > 1})
    assert again <= proxy.unanswered, "put again without need"
    before = _versions(site)
    assert {f"/{site.bucket}/{key}": count for key, count in before.items()} == proxy.puts
    recovered = False
    if done.returncode:
        completed = json.loads(Agent(site, Path(site.config)).sync("--json").stdout)
        _LOG.info("completed: %s", {name: completed[name] for name in ("uploaded", "failed", "recovered")})
        assert _versions(site).total() - before.total() == completed["uploaded"]
        recovered = completed["recovered"]
    site.wait_drained(300)
    assert_published(site, COPIES)
    sources = _versions(site)
    # A recovery sends the copy jobs again: two handlers may then find the same duplicate missing.
    most = Counter({f"mirror/{key}": count + recovered for key, count in sources.items()})
    assert _versions(site, "mirror/") <= most
    _LOG.info("files by their number of versions: %s", dict(Counter(sources.values())))


def _versions(site: Any, prefix: str = "") -> "Counter[str]":
    """Count the versions of each file, or of each duplicate; delete markers too. Pages and redirects are left out."""
    found: Counter[str] = Counter()
    for page in site.client("s3").get_paginator("list_object_versions").paginate(Bucket=site.bucket, Prefix=prefix):
        found.update(item["Key"] for name in ("Versions", "DeleteMarkers") for item in page.get(name, []))
    for key in list(found):
        if not key.endswith(".txt") or key.startswith("mirror/") != bool(prefix):
            del found[key]
    return found
