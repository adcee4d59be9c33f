"""The benchmark itself, on a small tree: what it counts is right, and what it says can be relied on."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import cost, cover
from tests.bench.__main__ import run_case
from tests.bench.goals import SITE, judge
from tests.bench.handlers import HANDLERS
from tests.bench.render import render
from tests.bench.restoring import FROM_BUCKET, verify
from tests.bench.results import Result, load
from tests.bench.tree import FILES_PER_DIRECTORY, edit_tree, link_copies, make_tree, walk
from tests.bench.workbench import Workbench, WrongError, open_workbench

FILES = 500


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A small tree, its server, and siteferry alone."""
    with open_workbench(FILES, [], tmp_path_factory.mktemp("cache"), python=sys.executable) as opened:
        yield opened


def test_a_first_sync_makes_one_put_a_file(bench: Workbench, tmp_path: Path) -> None:
    """All files are put once, nothing else is asked of S3, and what it cost is told and saved."""
    result = run_case(bench, "first", 1)
    requests = result.requests(SITE)
    assert {name: count for name, count in requests.items() if name.startswith("s3.")} == {"s3.PutObject": FILES}
    (row,) = result.rows[SITE]
    assert row["cpu"] > 0
    assert row["rss"] >= row["largest"] > 0
    result.save(tmp_path)
    assert [one.requests(SITE) for one in load(tmp_path)] == [requests]


def test_a_run_without_a_change_reads_the_descriptor_and_the_head(bench: Workbench) -> None:
    """It makes these two requests, whatever the tree's size."""
    result = run_case(bench, "nochange", 1)
    assert result.requests(SITE) == {"ssm.GetParameter": 1, "dynamodb.GetItem": 1}


def test_what_changed_is_published_and_nothing_else(bench: Workbench) -> None:
    """Of 1 % changed, one PUT for each file written; the bucket is checked against the tree."""
    result = run_case(bench, "changed", 1)
    assert 1 <= result.requests(SITE)["s3.PutObject"] <= FILES / 100


def test_a_hinted_file_is_published_by_a_look_at_its_directory(bench: Workbench) -> None:
    """One line in the FTP server's log brings one PUT and one leaf commit, long before the next cycle."""
    requests = run_case(bench, "hinted", 1).requests(SITE)
    assert requests["s3.PutObject"] == requests["dynamodb.TransactWriteItems"] == 1


def test_a_restore_makes_one_get_a_file(bench: Workbench) -> None:
    """Beside them it reads descriptor and index; without the index it lists the bucket. The tree is compared."""
    result = run_case(bench, "restore", 1)
    files = len(list(walk(bench.root)))
    from_index, from_bucket = result.requests(SITE), result.requests(FROM_BUCKET)
    assert {name: count for name, count in from_index.items() if name.startswith("s3.")} == {"s3.GetObject": files}
    assert from_bucket == {"s3.GetObject": files, "s3.ListObjectsV2": 1, "ssm.GetParameter": 1}
    assert not [goal.line() for goal in judge(result) if not goal.met]


def test_a_restore_of_what_is_there_downloads_nothing(bench: Workbench) -> None:
    """Whatever is compared."""
    result = run_case(bench, "again", 1)
    assert list(result.rows) == [SITE, f"{SITE} --compare mtime", f"{SITE} --compare size"]
    assert all("s3.GetObject" not in result.requests(name) for name in result.rows)


def test_a_wrong_file_is_noticed(bench: Workbench, tmp_path: Path) -> None:
    """A restored tree with another byte, or a file more, fails the case."""
    shutil.copytree(bench.root, tmp_path / "restored")
    verify(bench.root, tmp_path / "restored", "one")
    name = next(name for name, size in walk(bench.root) if size)
    body = (tmp_path / "restored" / name).read_bytes()
    (tmp_path / "restored" / name).write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(WrongError, match=re.escape(name)):
        verify(bench.root, tmp_path / "restored", "one")
    (tmp_path / "restored" / name).write_bytes(body)
    (tmp_path / "restored" / "more").touch()
    with pytest.raises(WrongError, match="more"):
        verify(bench.root, tmp_path / "restored", "one")


def test_a_rebuilt_index_takes_one_look_a_file(bench: Workbench) -> None:
    """Of a bucket that is as it was, each object is looked at once, and none is put."""
    requests = run_case(bench, "rebuilt", 1).requests(SITE)
    files = len(list(walk(bench.root)))
    assert {name: count for name, count in requests.items() if name.startswith("s3.")} == {
        "s3.HeadObject": files,
        "s3.ListObjectsV2": 1,
    }


def test_a_renamed_directory_is_followed_to_the_end_of_all_jobs(bench: Workbench) -> None:
    """Every file is put once under its new name; the real handlers clear each old key and make each page."""
    files = len(list(walk(bench.root)))
    result = run_case(bench, "renamed", 1)
    assert result.requests(SITE)["s3.PutObject"] == files
    assert result.requests(HANDLERS)["s3.HeadObject"] >= 2 * files
    batches = result.rows[HANDLERS][0]["batches"]
    assert batches["delete"]["names"] == files
    assert batches["page"]["names"] >= 2 * files / FILES_PER_DIRECTORY


def test_a_wrong_object_is_noticed(bench: Workbench) -> None:
    """A bucket that is not the tree's fails the case: speed without the effect counts for nothing."""
    bench.bring_to_par()
    made = bench.root / "not-published.html"
    made.write_text("new")
    with pytest.raises(WrongError, match=r"not-published\.html is not there"):
        bench.verify(bench.site)
    made.unlink()


def test_a_missed_goal_is_named() -> None:
    """A request too many without a change is a goal missed."""
    row = {"cpu": 1.0, "wall": 1.0, "rss": 1, "largest": 1, "requests": {"dynamodb.GetItem": 1, "s3.ListObjectsV2": 1}}
    result = Result("nochange", 1, copies=0, date="", machine={}, load=[], versions={}, rows={SITE: [row]})
    assert [goal.text for goal in judge(result) if not goal.met] == [
        "no change: requests beyond descriptor and head",
    ]


def test_trees_are_the_same_each_time(tmp_path: Path) -> None:
    """Two trees of one size have the same names and sizes, and so have the same edits of them."""
    for name in ("a", "b"):
        make_tree(tmp_path / name, FILES)
    assert sorted(walk(tmp_path / "a")) == sorted(walk(tmp_path / "b"))
    assert len(list(walk(tmp_path / "a"))) == FILES
    first, second = (edit_tree(tmp_path / name, 0.2, seed=1) for name in ("a", "b"))
    assert first == second
    assert first.written
    assert first.removed


def test_copies_are_hard_links(tmp_path: Path) -> None:
    """Each copy has all names, and takes no room."""
    make_tree(tmp_path, FILES)
    link_copies(tmp_path, 2)
    names = {name for name, _ in walk(tmp_path)}
    assert len(names) == 3 * FILES
    assert {(tmp_path / name).stat().st_nlink for name in names} == {3}


def test_the_page_shows_every_result(tmp_path: Path) -> None:
    """Each case and size has its table, and the plot its line."""
    row = {"cpu": 1.5, "wall": 1.0, "rss": 1, "pss": 1, "largest": 1, "requests": {"s3.PutObject": 7}, "units": {}}
    results = [
        Result("first", files, copies=0, date="2026", machine={}, load=[0, 0], versions={}, rows={SITE: [row]})
        for files in (1_000, 100_000)
    ]
    render(results, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "## First sync, 1,000 files" in page
    assert "7 PutObject" in page
    assert (tmp_path / "benchmarks.svg").read_text().count("<circle") == 2


def test_the_document_compares_what_the_broker_chooses_now() -> None:
    """The table in docs/invalidation.md is the one that is computed."""
    document = (Path(__file__).parents[2] / cover.DOCUMENT).read_text()
    assert cover.written(document, cover.render(cover.compare())) == document


def test_the_costs_are_the_scripts() -> None:
    """docs/cost.md is what the script makes of its prices."""
    assert (Path(__file__).parents[2] / "docs/cost.md").read_text() == cost.document()


def test_each_step_of_what_is_served_has_its_price() -> None:
    """The first 1,000 GB are free, the next 9,000 cost 8.5 cents each, and what is above it less."""
    assert cost.served(1_000) == 0
    assert cost.served(10_000) == pytest.approx(9_000 * 0.085)
    assert cost.served(10_001) == pytest.approx(9_000 * 0.085 + 0.08)


@pytest.mark.parametrize(
    ("changed", "paths"),
    [
        (["a/index.html", "b"], ["/a/", "/b"]),
        ([f"a/b/c/{n}" for n in range(9)], ["/a/b/*"]),
        ([f"a/{n}" for n in range(9)], ["/a/*"]),
        ([str(n) for n in range(9)], ["/*"]),
        ([f"{n}/b/c/x" for n in range(9)], ["/*"]),
    ],
)
def test_the_rule_that_is_compared_groups_by_prefix(changed: list[str], paths: list[str]) -> None:
    """Up to eight paths stay; of more, the deepest become the wildcard above their directory; else all goes."""
    assert cover.grouped(changed) == paths
