"""From a file on the host to what a viewer gets from CloudFront, and out of its caches again."""

import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.aws.live import Live, is_hit
from tests.aws.sites import LONG


def test_an_upload_is_served(live: Live) -> None:
    """A file is served with its type and headers, at both keys, in the page of its directory, to which `/dir` leads."""
    name = f"docs/{uuid.uuid4().hex}"
    live.publish({f"{name}/a b.txt": "plain", f"{name}/page.html": "<p>page", "404.html": "<p>no such page"})
    for key in (f"{name}/a%20b.txt", f"mirror/{name}/a%20b.txt"):
        answer = live.serves_body(key, "plain")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.headers["Cache-Control"] == LONG
    assert live.serves_body(f"{name}/page.html", "<p>page").headers["Content-Type"].startswith("text/html")
    page = live.serves(f"{name}/", lambda answer: b"a%20b.txt" in answer.body, "the page of the directory")
    assert page.status == 200
    led = live.serves_status(name, 301)
    assert led.headers["Location"].endswith(f"/{name}/")


def test_what_is_missing_is_404(live: Live) -> None:
    """CloudFront itself says 404 for what was never there, and gives the site's own page."""
    live.publish({"404.html": "<p>no such page"})
    live.serves_body("404.html", "<p>no such page")
    missing = live.serves_status(f"{uuid.uuid4().hex}.html", 404)
    if live.is_aws:
        assert missing.body == b"<p>no such page"


def test_a_delete_is_served(live: Live) -> None:
    """What was cached and is deleted is 404 at both keys, and gone from the page of its directory."""
    name = f"docs/{uuid.uuid4().hex}"
    live.publish({f"{name}/a.txt": "to be deleted", f"{name}/b.txt": "stays"})
    for key in (f"{name}/a.txt", f"mirror/{name}/a.txt"):
        live.serves_body(key, "to be deleted")
        live.cached(key)
    (Path(live.site.root) / name / "a.txt").unlink()
    live.agent.sync()
    live.site.wait_drained(300)
    for key in (f"{name}/a.txt", f"mirror/{name}/a.txt"):
        live.serves_status(key, 404)
    live.serves(
        f"{name}/", lambda answer: b"a.txt" not in answer.body and b"b.txt" in answer.body, "the page without it"
    )


def test_a_change_is_thrown_out_of_the_caches_by_paths(live: Live) -> None:
    """A cached file is served anew at all its keys, after an invalidation that names it and is completed."""
    _change_is_served(live)


def test_a_change_is_thrown_out_of_the_caches_by_tags(live_tags: Live) -> None:
    """The same on a site that is invalidated by tags: one of a file's own reaches its duplicates, too."""
    _change_is_served(live_tags)


def _change_is_served(live: Live) -> None:
    name = f"docs/{uuid.uuid4().hex}.txt"
    keys = (name, f"mirror/{name}")
    live.publish({name: "before"})
    for key in keys:
        live.serves_body(key, "before")
        live.cached(key)
    live.publish({name: "after, and longer"})
    for key in keys:
        live.serves_body(key, "after, and longer")


@pytest.mark.aws
@pytest.mark.usefixtures("where")
def test_what_has_not_changed_stays_cached(live_tags: Live) -> None:
    """An invalidation by tags throws out what changed and what is generated of it, and no file beside it."""
    name = f"docs/{uuid.uuid4().hex}"
    live_tags.publish({f"{name}/a.txt": "before", f"{name}/b.txt": "beside"})
    live_tags.serves_body(f"{name}/b.txt", "beside")
    live_tags.cached(f"{name}/b.txt")
    live_tags.cached(f"{name}/a.txt")
    live_tags.publish({f"{name}/a.txt": "after, and longer"})
    live_tags.serves_body(f"{name}/a.txt", "after, and longer")
    assert is_hit(live_tags.site.get(f"{name}/b.txt"))


@pytest.mark.aws
@pytest.mark.usefixtures("where")
def test_the_cdn_compresses_and_insists_on_tls(live: Live) -> None:
    """Text is compressed for who takes it; http leads to https; the headers of the template are there."""
    name = f"{uuid.uuid4().hex}.txt"
    live.publish({name: "all the same " * 1000})
    live.serves_status(name, 200)
    url = live.site.distribution_url + name
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "br, gzip"})) as answer:
        assert answer.headers["Content-Encoding"] in ("br", "gzip")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with urllib.request.urlopen(url.replace("https://", "http://", 1)) as answer:
        assert answer.geturl() == url


@pytest.mark.aws
@pytest.mark.usefixtures("where")
def test_changes_are_gathered_into_one_invalidation(live: Live) -> None:
    """Jobs that come within the batching window make fewer invalidations than jobs."""
    name, cloudfront = uuid.uuid4().hex, live.site.client("cloudfront")

    def count() -> int:
        pages = cloudfront.get_paginator("list_invalidations").paginate(DistributionId=live.site.distribution)
        return sum(len(page["InvalidationList"].get("Items", [])) for page in pages)

    names = [f"docs/{name}/{n}/a.txt" for n in range(20)]
    live.publish(dict.fromkeys(names, "before"))
    before = count()
    live.publish(dict.fromkeys(names, "after, and longer"))
    live.serves_body(names[-1], "after, and longer")
    assert 0 < count() - before < len(names)


def test_the_template_is_deployed_whole(live: Live) -> None:
    """CloudFormation took the whole template; what is promised of bucket and table is so."""
    site: Any = live.site
    name = f"siteferry-{site.name}"
    (stack,) = site.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    assert site.client("s3").get_bucket_versioning(Bucket=site.bucket)["Status"] == "Enabled"
    table = site.client("dynamodb").describe_table(TableName=site.table)["Table"]
    assert table["DeletionProtectionEnabled"] is True


@pytest.mark.aws
@pytest.mark.usefixtures("where")
def test_the_bucket_has_its_lifecycle(live: Live) -> None:
    """S3 took the rules by which old versions and unfinished uploads go."""
    site: Any = live.site
    rules = site.client("s3").get_bucket_lifecycle_configuration(Bucket=site.bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {"expire-noncurrent-versions", "abort-incomplete-uploads"}
