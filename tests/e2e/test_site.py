"""What FTP users do appears at the CDN: names and sizes of all kinds, duplicates, and a plan without effects."""

import io
import os
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.agents import COPIES, Agent, assert_published, page_targets

pytestmark = pytest.mark.e2e


def test_names_of_all_kinds_come_through(site: Any, agent: Agent) -> None:
    """Hostile and foreign names are published, and the pages link to each of them."""
    names = [
        b"two words.txt",
        b"a+b.txt",
        b"100%.txt",
        b"%41.txt",
        b"a#b.txt",
        b"a?b=c.txt",
        b"a&b.txt",
        b"quote'\".txt",
        b"<script>alert(1)<b>.txt",
        b"new\nline.txt",
        b"javascript:alert(1)",
        b"back\\slash.txt",
        b"caf\xe9 latin-1.txt",
        "caf\xe9 utf-8.txt".encode(),
        "\U0001f6a2.txt".encode(),
        b"x" * 200 + b".txt",
        b"~tilde.txt",
        b"semi;colon,comma.txt",
        b"[brackets]{braces}.txt",
        b"*star.txt",
    ]
    folder = os.fsencode(site.root) + b"/na\xefve names & more"
    os.mkdir(folder)
    for name in names:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"content of " + name)
    agent.sync()
    site.wait_drained()
    assert_published(site, COPIES)
    # The CDN's own page, followed as a browser would.
    address = quote("na\xefve names & more/")
    page = site.get(address)
    targets = page_targets(address, page.body)
    assert len(targets) == len(names)
    key = "na\xefve names & more/new\nline.txt"
    stored = site.client("s3").get_object(Bucket=site.bucket, Key=key)
    assert stored["Body"].read() == b"content of new\nline.txt"


def test_large_files_come_through_in_parts(site: Any, agent: Agent) -> None:
    """A file of several parts is live byte for byte, also under a key that only boto3 takes, and after a change."""
    root = Path(site.root)
    body = random.Random(3).randbytes(20_000_000)
    (root / "large.bin").write_bytes(body)
    (root / "large\n.bin").write_bytes(body)
    agent.sync()
    stored = site.client("s3").get_object(Bucket=site.bucket, Key="large\n.bin")
    assert stored["Body"].read() == body
    assert site.get("large.bin").body == body
    (root / "large.bin").write_bytes(body[::-1])
    os.utime(root / "large\n.bin")
    done = agent.sync()
    assert "published large.bin (mtime, 20.0 MB)" in done.stdout
    assert "unchanged large\\n.bin" in done.stdout
    site.wait_drained()
    assert site.get("large.bin").body == body[::-1]
    for name in ("large.bin", "large\n.bin"):
        (root / name).unlink()
    agent.sync()
    site.wait_drained()
    assert_published(site, COPIES)


def test_a_copied_file_is_live_changes_and_disappears_at_both_keys(site: Any, agent: Agent) -> None:
    """A file under a copy rule appears at both keys, changes at both, and disappears from both."""
    both = ("docs/twice.txt", "mirror/docs/twice.txt")
    with site.ftp() as client:
        if not (Path(site.root) / "docs").exists():
            client.mkd("docs")
        for content in (b"first", b"second, longer"):
            client.storbinary("STOR docs/twice.txt", io.BytesIO(content))
            agent.sync()
            site.wait_drained()
            assert [site.get(key).body for key in both] == [content, content]
        client.delete("docs/twice.txt")
    agent.sync()
    site.wait_drained()
    assert [site.get(key).status for key in both] == [404, 404]
    assert_published(site, COPIES)


def test_a_dry_run_shows_the_plan_and_changes_nothing(site: Any, agent: Agent) -> None:
    """`sync --dry-run` lists each change with its reason, for people and as JSON, and nothing becomes live."""
    agent.sync()
    (Path(site.root) / "planned.txt").write_text("planned", "utf-8")
    done = agent.sync("--dry-run")
    assert "put     planned.txt (new, 7 B)" in done.stdout
    plan = agent.plan()
    assert [change["path"] for change in plan["changes"]] == ["planned.txt"]
    assert plan["changes"][0] | {"action": "put", "reason": "new", "size": 7} == plan["changes"][0]
    assert site.get("planned.txt").status == 404
    (Path(site.root) / "planned.txt").unlink()
