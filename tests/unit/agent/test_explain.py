"""`siteferry explain`: for each state of a path, what is told of it, and whether something is left to do."""
# ruff: noqa: D102 - the ports say what each method does

import errno
import fcntl
import json
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from siteferry.config import Brake
from siteferry.errors import UnavailableError, UsageError
from siteferry.explain import Explainer
from siteferry.explain_report import document, lines
from siteferry.explained import Explanation, Outcome, State
from siteferry.ports import QueueCounts, Visit
from siteferry.status import record
from siteferry.tree import FileState, Tree
from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import HeaderRule
from siteferry_contract.job import JobKind
from siteferry_contract.urls import url_paths
from tests.unit.agent.fakes import DAY, StoredObject, World, descriptor


@dataclass
class Queues:
    """Implements `QueueLook`."""

    waiting: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    error: Exception | None = None

    def count(self, kind: JobKind) -> QueueCounts:
        if self.error:
            raise self.error
        return QueueCounts(self.waiting.get(kind, 0), self.dead.get(kind, 0))


@dataclass
class Distribution:
    """Implements `Cdn`: serves what it has cached, and else what the bucket has."""

    world: World
    cached: dict[str, StoredObject] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)
    answer: Callable[[], Visit] | None = None

    def visit(self, path: str) -> Visit:
        self.visited.append(path)
        if self.answer:
            return self.answer()
        own = self.world.descriptor
        current = self.cached or self.world.objects.current
        found = next((found for key, found in current.items() if path in url_paths(key, own.prefix)), None)
        if found is None:
            return Visit(403, {})
        date = formatdate(found.modified, usegmt=True)
        return Visit(200, {"content-length": str(len(found.body)), "last-modified": date, "x-cache": "Hit"})


@dataclass
class Operator:
    """Somebody who asks."""

    world: World
    queues: Queues
    cdn: Distribution

    def asks(self, path: str) -> Explanation:
        """Explain a path, and make both forms of it."""
        with self.world.agent() as site:
            found = Explainer(site.parts, site.tenancy.look(), self.queues, self.cdn).explain(path)
        assert document(found).isascii()
        assert all(line.isprintable() for line in lines(found))
        return found

    def record_run(self) -> None:
        """Make a run, and leave its status as the command does."""
        with self.world.agent() as site:
            record(site.parts.state, self.world.config, summary=site.sync())


@pytest.fixture
def operator(world: World) -> Operator:
    """A site in order: files with and without a duplicate, a directory with and one without an index file."""
    for path in ("docs/a.html", "pictures/c.png", "own/index.html", "d.txt"):
        world.write(path, path.encode())
    world.settle()
    return Operator(world, Queues(), Distribution(world))


def judged(found: Explanation) -> tuple[Outcome, str]:
    """Give the outcome and the step that decided it."""
    return found.outcome, next((name for name, step in found.steps.items() if step.state is State.WRONG), "")


# ---- as it should be


def test_a_live_file(operator: Operator) -> None:
    """A published file is live; key, header rule, headers and duplicates are told."""
    found = operator.asks("docs/a.html")
    assert judged(found) == (Outcome.LIVE, "")
    facts = json.loads(document(found))["steps"]
    assert {step["state"] for step in facts.values()} == {"well"}
    assert facts["disk"]["size"] == facts["index"]["size"] == facts["bucket"]["object"]["size"] == len("docs/a.html")
    assert facts["rules"]["header_rule"] == "*.html"
    assert facts["rules"]["headers"] == {"content-type": "text/html", "cache-control": "max-age=60"}
    assert [copy["key"] for copy in facts["bucket"]["duplicates"]] == ["mirror/docs/a.html"]
    assert facts["bucket"]["headers_differing"] == {}
    assert (facts["index"]["is"], facts["cdn"]["as_in_bucket"]) == ("live", True)


@pytest.mark.parametrize(
    "argument",
    ["d.txt", "./d.txt", "/d.txt", "{root}/d.txt", "https://www.example.com/d.txt?x=1#y", "/d%2Etxt", "//d.txt"],
)
def test_a_path_or_a_url(operator: Operator, argument: str) -> None:
    """A path may be relative to the root, absolute beneath it, or a URL or its path."""
    found = operator.asks(argument.format(root=operator.world.root))
    assert (found.path, found.outcome) == ("d.txt", Outcome.LIVE)


def test_a_root_that_is_named_through_a_symlink(operator: Operator, tmp_path: Path) -> None:
    """Both the root as configured and where it leads to are beginnings of absolute paths."""
    real = operator.world.root
    link = tmp_path / "www"
    link.symlink_to(real)
    operator.world.config = replace(operator.world.config, root=link)
    assert operator.asks(f"{link}/d.txt").path == operator.asks(f"{real}/d.txt").path == "d.txt"


@pytest.mark.parametrize("argument", ["/etc/passwd", "../d.txt", "docs/../../d.txt", "/%2E%2E/x", "/x%00"])
def test_outside_the_root(operator: Operator, argument: str) -> None:
    """What is not beneath the root is refused."""
    with pytest.raises(UsageError):
        operator.asks(argument)


def test_a_url_names_a_raw_name(operator: Operator) -> None:
    """A URL has UTF-8 of the decoded name, and is led back to the bytes on disk."""
    (operator.world.root / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    operator.world.settle()
    for argument in ("/caf%C3%A9.txt", os.fsdecode(b"caf\xe9.txt")):
        found = operator.asks(argument)
        assert (found.path, found.key, found.outcome) == ("caf\\xe9.txt", "caf\xe9.txt", Outcome.LIVE)
    assert operator.cdn.visited[-1] == "/caf%C3%A9.txt"
    (operator.world.root / os.fsdecode(b"caf\xe9.txt")).unlink()
    assert operator.asks("/caf%C3%A9.txt").path == "caf\\xe9.txt"


def test_a_hostile_name(operator: Operator) -> None:
    """A name with control characters is shown escaped."""
    operator.world.write("a\x1b[2J\n\\b.txt")
    operator.world.settle()
    found = operator.asks("a\x1b[2J\n\\b.txt")
    assert (found.path, found.outcome) == ("a\\x1b[2J\\n\\\\b.txt", Outcome.LIVE)


@pytest.mark.parametrize("path", ["mirror/docs/a.html", "mirror/docs", "mirror/docs/index.html"])
def test_a_duplicate(operator: Operator, path: str) -> None:
    """What is on no disk may be a duplicate, of a file or of a directory page."""
    found = operator.asks(path)
    assert judged(found) == (Outcome.LIVE, "")
    assert "a duplicate of docs/" in found.reason


def test_a_duplicate_of_nothing(operator: Operator) -> None:
    """Where a duplicate would be, but has no original, nothing should be."""
    found = operator.asks("mirror/docs/z")
    assert judged(found) == (Outcome.ABSENT, "")


def test_a_directory_with_a_page(operator: Operator) -> None:
    """A directory without an index file is live by its generated page, whose URL is the directory's."""
    found = operator.asks("pictures")
    assert judged(found) == (Outcome.LIVE, "")
    assert found.key == "pictures/index.html"
    assert operator.cdn.visited == ["/pictures/"]


def test_a_directory_with_its_own_page(operator: Operator) -> None:
    """A directory with an index file is live by that."""
    found = operator.asks("own/")
    assert judged(found) == (Outcome.LIVE, "")
    assert found.steps["bucket"].facts
    assert found.steps["bucket"].facts["wanted"] == "file"


def test_the_root(operator: Operator) -> None:
    """The root is a directory."""
    assert operator.asks(".").key == "index.html"
    assert operator.asks("/").outcome is Outcome.LIVE


def test_a_directory_without_a_page(world: World) -> None:
    """Where the site makes no directory pages, a directory without an index file is rightly nothing."""
    world.descriptor = descriptor(directory_pages=False)
    world.write("pictures/c.png")
    world.settle()
    found = Operator(world, Queues(), Distribution(world)).asks("pictures")
    assert judged(found) == (Outcome.ABSENT, "")
    assert "directory_pages" in found.reason


def test_nothing(operator: Operator) -> None:
    """What never was is rightly absent."""
    found = operator.asks("never/was")
    assert judged(found) == (Outcome.ABSENT, "")
    assert "never is not there" in found.reason


@pytest.mark.parametrize(("path", "at"), [("docs/.htaccess", "docs/.htaccess"), (".git/config", ".git")])
def test_an_excluded_file(operator: Operator, path: str, at: str) -> None:
    """An excluded file, or one beneath an excluded directory, is rightly absent; the glob is told."""
    operator.world.write(path)
    found = operator.asks(path)
    assert judged(found) == (Outcome.ABSENT, "")
    assert f"{at} matches .{'ht*' if 'ht' in at else 'git'}" in found.reason


def test_a_deleted_file(operator: Operator) -> None:
    """A file that is gone everywhere is rightly absent."""
    (operator.world.root / "d.txt").unlink()
    operator.world.settle()
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.ABSENT, "")
    assert found.steps["index"].facts
    assert found.steps["index"].facts["is"] == "dead"


# ---- on the way in


def test_a_new_file_that_is_being_written(operator: Operator) -> None:
    """Until its ctime is old enough, a file waits; how long is told."""
    operator.world.write("new.txt")
    operator.world.clock.time = os.stat(operator.world.root / "new.txt").st_ctime_ns / 1e9 + 0.25
    found = operator.asks("new.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert found.steps["rules"].facts
    assert found.steps["rules"].facts["settled_in"] == pytest.approx(0.75, abs=0.06)
    assert "stays" not in found.reason


def test_a_published_file_that_is_being_written(operator: Operator) -> None:
    """The published version of a file that is being written stays, and that is told."""
    operator.world.write("d.txt", b"new")
    operator.world.clock.time = os.stat(operator.world.root / "d.txt").st_ctime_ns / 1e9
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert "its published version stays" in found.reason


def test_a_file_whose_upload_was_cut_short(operator: Operator) -> None:
    """No wait helps: its published version stays until somebody uploads it again."""
    operator.world.write("d.txt", b"frag")
    with operator.world.agent() as site:
        state = FileState.of((operator.world.root / "d.txt").stat())
        site.parts.cache.add_fragment(b"d.txt", state.text())
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert "cut short" in found.reason
    assert "upload it again" in found.remedy
    assert json.loads(document(found))["steps"]["rules"]["settled_in"] is None


def test_a_file_that_is_locked(operator: Operator) -> None:
    """What another process has locked to write it is told as that, not as unreadable, however old its ctime is."""
    operator.world.write("d.txt", b"the first half")
    with (operator.world.root / "d.txt").open("r+b") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert "another process has it locked; its published version stays" in found.reason
    assert found.steps["rules"].facts
    assert found.steps["rules"].facts["locked"] is True


def test_a_new_file_that_waits_for_a_run(operator: Operator) -> None:
    """What no run has seen yet waits for one; that no agent runs is told."""
    operator.world.write("new.txt")
    found = operator.asks("new.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "index")
    assert "no agent runs on this host" in found.remedy


def test_a_changed_file_that_waits_for_a_run(operator: Operator) -> None:
    """In what the file differs is told."""
    operator.world.write("d.txt", b"longer than it was")
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "index")
    assert "(size)" in found.reason


def test_an_index_file_that_takes_the_place_of_a_page(operator: Operator) -> None:
    """Until a run published a directory's new index file, its generated page is what is served, and no mistake."""
    operator.world.write("pictures/index.html")
    found = operator.asks("pictures")
    assert judged(found) == (Outcome.NOT_LIVE, "index")
    assert found.steps["bucket"].state is State.NOTE
    operator.world.settle()
    assert judged(operator.asks("pictures")) == (Outcome.LIVE, "")


def test_changed_header_rules(operator: Operator) -> None:
    """That a file is to be put again with other headers is told."""
    operator.world.descriptor = descriptor(header_rules=(HeaderRule("*.html", {"cache-control": "max-age=5"}),))
    found = operator.asks("docs/a.html")
    assert any("the next run gives it the new ones" in detail for detail in found.steps["index"].details)
    assert not any("header rules changed" in line for line in lines(operator.asks("d.txt")))


def test_a_daemon_that_runs(operator: Operator) -> None:
    """Where a daemon runs, its next cycle is what to wait for, and it is not disturbed."""
    operator.world.write("new.txt")
    with operator.world.agent() as site:
        site.parts.state.lock()
        found = operator.asks("new.txt")
        site.parts.state.unlock()
    assert "the next cycle publishes it, within 60 s" in found.remedy


def test_a_run_that_failed(operator: Operator) -> None:
    """The error that ended the last cycle is told as the reason to wait for."""
    operator.world.write("new.txt")
    with operator.world.agent() as site:
        record(site.parts.state, operator.world.config, error=UnavailableError("no network", "plug it in"))
    found = operator.asks("new.txt")
    assert "no network (plug it in)" in found.remedy


def test_a_file_that_the_last_run_could_not_publish(operator: Operator) -> None:
    """What the last run said of this very file is told."""
    operator.world.write("new.txt")
    with operator.world.agent() as site:
        summary = site.sync()
        summary.fail(b"new.txt", "refused")
        record(site.parts.state, operator.world.config, summary=summary)
    operator.world.write("new.txt", b"again")
    assert "could not publish it: refused" in operator.asks("new.txt").reason


def test_an_unfinished_run(operator: Operator) -> None:
    """That a run is open is told, and the index is read as it is now."""
    operator.world.write("new.txt")
    assert operator.world.sync_and_die(4, after_effect=False)
    head = operator.world.index.head
    assert head
    assert head.open is not None
    found = operator.asks("d.txt")
    assert found.outcome is Outcome.LIVE
    assert any(f"run {head.open} is open" in detail for detail in found.steps["index"].details)


# ---- what cannot be published


def test_a_symlink(operator: Operator) -> None:
    """A symlink is named, also where it is a parent, and never followed."""
    (operator.world.root / "link").symlink_to("docs")
    for path in ("link", "link/a.html"):
        found = operator.asks(path)
        assert judged(found) == (Outcome.NOT_LIVE, "disk")
        assert found.reason == "link is a symlink"
        assert (found.key, found.steps["rules"].state) == (path, State.WELL)


def test_an_excluded_symlink(operator: Operator) -> None:
    """What is excluded is absent, rightly, whatever it is."""
    (operator.world.root / ".htlink").symlink_to("docs")
    assert judged(operator.asks(".htlink")) == (Outcome.ABSENT, "")


def test_a_fifo(operator: Operator) -> None:
    """What is neither a file nor a directory is named, and not opened."""
    os.mkfifo(operator.world.root / "fifo")
    assert judged(operator.asks("fifo")) == (Outcome.NOT_LIVE, "disk")


def test_a_file_in_a_reserved_place(operator: Operator) -> None:
    """A file where only duplicates may be is not published."""
    operator.world.write("mirror/docs/mine.txt")
    found = operator.asks("mirror/docs/mine.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert "a copy rule reserves this place" in found.reason


def test_a_collision(world: World) -> None:
    """Of two names with one key, one is published, and the other's reason names it."""
    world.descriptor = descriptor(encoding="auto")
    world.write("caf\xe9")
    world.write(os.fsdecode(b"caf\xe9"), b"other")
    world.settle()
    operator = Operator(world, Queues(), Distribution(world))
    found = [operator.asks(name) for name in ("caf\xe9", os.fsdecode(b"caf\xe9"))]
    assert sorted(judged(one) for one in found) == [(Outcome.LIVE, ""), (Outcome.NOT_LIVE, "rules")]
    loser = next(one for one in found if one.outcome is Outcome.NOT_LIVE)
    assert "its key is also that of" in loser.reason


def test_a_name_that_cannot_be_decoded(world: World) -> None:
    """A name that is not of the site's encoding has no key, and nothing is asked about it."""
    world.descriptor = descriptor(encoding="utf-8")
    world.write("a")
    world.write(os.fsdecode(b"caf\xe9"))
    world.settle()
    operator = Operator(world, Queues(), Distribution(world))
    found = operator.asks(os.fsdecode(b"caf\xe9"))
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert (found.key, operator.cdn.visited) == (None, [])


def test_a_key_that_is_too_long(operator: Operator) -> None:
    """A key of more than 1,024 bytes is told as that."""
    name = "/".join(["\xe9" * 100] * 6)
    operator.world.write(name)
    found = operator.asks(name)
    assert judged(found) == (Outcome.NOT_LIVE, "rules")
    assert "S3 takes at most 1024" in found.reason


def test_an_unreadable_directory(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beneath a directory that cannot be read, what is published stays, and the directory is named."""
    opens = Tree.open

    def refuses(tree: Tree, path: bytes) -> int:
        if path.startswith(b"docs"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(tree, path)

    monkeypatch.setattr(Tree, "open", refuses)
    for path in ("docs", "docs/a.html"):
        found = operator.asks(path)
        assert judged(found) == (Outcome.NOT_LIVE, "disk")
        assert "docs cannot be read (Permission denied)" in found.reason
    assert found.steps["index"].state is State.WELL


def test_an_unreadable_file(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the agent may not read is told as that."""
    opens = os.open

    def refuses(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if path == b"d.txt":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuses)
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "disk")
    assert "make it readable" in found.remedy


# ---- on the way out


def test_a_deleted_file_that_waits_for_a_run(operator: Operator) -> None:
    """A file that is gone from disk alone is still live, and the next run is what to wait for."""
    (operator.world.root / "d.txt").unlink()
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_GONE, "index")
    assert "deletes it" in found.remedy


@pytest.mark.parametrize("end", [shutil.rmtree, lambda path: path.rename(path.with_name(".git"))])
def test_a_directory_that_ended(operator: Operator, end: Callable[[Path], None]) -> None:
    """A directory that is gone or renamed is the next run's to delete, with its page and duplicates."""
    end(operator.world.root / "docs")
    for path in ("docs", "docs/a.html"):
        found = operator.asks(path)
        assert judged(found) == (Outcome.NOT_GONE, "index")
        assert found.steps["bucket"].state is State.NOTE
    operator.world.settle()
    for path in ("docs", "docs/a.html", "mirror/docs", "mirror/docs/a.html"):
        assert judged(operator.asks(path)) == (Outcome.ABSENT, "")


def test_an_index_file_that_is_gone(operator: Operator) -> None:
    """Where a directory's own index file is gone, its page takes the place."""
    (operator.world.root / "own/index.html").unlink()
    operator.world.write("own/other")
    for path in ("own", "own/index.html"):
        assert judged(operator.asks(path)) == (Outcome.NOT_LIVE if path == "own" else Outcome.NOT_GONE, "index")
    operator.world.settle()
    for path in ("own", "own/index.html"):
        assert judged(operator.asks(path)) == (Outcome.LIVE, "")


def test_an_excluded_directory(operator: Operator) -> None:
    """A directory that is excluded by now waits for the run that deletes what is published of it."""
    operator.world.config = replace(operator.world.config, exclude=("docs",))
    assert judged(operator.asks("docs")) == (Outcome.NOT_GONE, "index")
    operator.world.settle()
    assert judged(operator.asks("docs")) == (Outcome.ABSENT, "")


def test_a_held_delete(operator: Operator) -> None:
    """That deletes are held, why, and how to approve is told."""
    operator.world.config = replace(operator.world.config, brake=Brake(files=0, percent=0))
    (operator.world.root / "d.txt").unlink()
    operator.record_run()
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_GONE, "index")
    assert "deletes are held" in found.reason
    assert "siteferry approve" in found.remedy


def test_deletes_that_are_switched_off(operator: Operator) -> None:
    """`delete = false` is named as the reason."""
    operator.world.config = replace(operator.world.config, delete=False)
    (operator.world.root / "d.txt").unlink()
    operator.record_run()
    assert "delete = false" in operator.asks("d.txt").reason


def test_a_published_file_that_is_excluded_now(operator: Operator) -> None:
    """What the index still has of an excluded file is to be gone, not live."""
    operator.world.config = replace(operator.world.config, exclude=("d.*",))
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_GONE, "index")


def test_a_delete_job_under_way(operator: Operator) -> None:
    """Between the commit and the job, the object is there still, and the job is what to wait for."""
    (operator.world.root / "d.txt").unlink()
    operator.world.sync()
    operator.queues.waiting = {"delete": 1}
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_GONE, "bucket")
    assert "delete jobs are on their way" in found.remedy


# ---- bucket, queues, CDN


def damage(operator: Operator, key: str, body: bytes | None, *, generated: bool = False) -> None:
    """Put something in the bucket behind the agent's back, or take it away."""
    if body is None:
        del operator.world.objects.current[key]
    else:
        operator.world.objects.current[key] = StoredObject(body, {}, operator.world.clock.now(), generated=generated)


@pytest.mark.parametrize(
    ("path", "key", "body", "generated", "reason"),
    [
        ("d.txt", "d.txt", None, False, "the file is not in the bucket"),
        ("d.txt", "d.txt", b"D.TXT", False, "the file is of other bytes in the bucket"),
        ("own", "own/index.html", b"page", True, "a generated page is in its place"),
        ("pictures", "pictures/index.html", None, True, "the directory page is missing"),
        ("pictures", "pictures/index.html", b"mine", False, "directory page's place"),
        ("docs/a.html", "mirror/docs/a.html", None, False, "its duplicate mirror/docs/a.html is missing"),
        ("docs/a.html", "mirror/docs/a.html", b"DOCS/A.HTML", False, "its duplicate mirror/docs/a.html differs"),
        ("docs/a.html", "mirror/docs/a.html", b"x", False, "its duplicate mirror/docs/a.html differs"),
        ("mirror/docs/a.html", "mirror/docs/a.html", None, False, "the duplicate is missing"),
        ("mirror/docs/a.html", "docs/a.html", None, False, "its original is not"),
    ],
)
def test_a_damaged_object(
    operator: Operator, path: str, key: str, body: bytes | None, generated: bool, reason: str
) -> None:
    """What is missing from the bucket, or is another there, is told with what mends it."""
    damage(operator, key, body, generated=generated)
    found = operator.asks(path)
    assert judged(found) == (Outcome.NOT_LIVE, "bucket")
    assert reason in found.reason
    assert "siteferry audit --repair" in found.remedy


@pytest.mark.parametrize("path", ["pictures", "own/"])
def test_a_redirect(operator: Operator, path: str) -> None:
    """Of a directory, with or without an index file, the redirect is looked at too, and missed."""
    operator.world.descriptor = descriptor(directory_redirects="exact")
    directory = path.strip("/")
    damage(operator, directory, b"redirect", generated=True)
    found = operator.asks(path)
    assert judged(found) == (Outcome.LIVE, "")
    assert found.steps["bucket"].facts
    assert found.steps["bucket"].facts["redirect"]["is"] == "generated"
    damage(operator, directory, None)
    found = operator.asks(path)
    assert judged(found) == (Outcome.NOT_LIVE, "bucket")
    assert "redirect is missing" in found.reason


def test_something_that_nobody_published(operator: Operator) -> None:
    """An object without a file is to be gone."""
    damage(operator, "stray", b"x")
    assert judged(operator.asks("stray")) == (Outcome.NOT_GONE, "bucket")


def test_other_headers(operator: Operator) -> None:
    """Headers that are not those of the rules are told; the file is live."""
    there = operator.world.objects.current["own/index.html"]
    operator.world.objects.current["own/index.html"] = replace(there, headers={"content-type": "text/plain"})
    found = operator.asks("own/index.html")
    assert judged(found) == (Outcome.LIVE, "")
    assert found.steps["bucket"].facts
    assert found.steps["bucket"].facts["headers_differing"] == {
        "cache-control": {"is": None, "by_the_rules": "max-age=60"},
        "content-type": {"is": "text/plain", "by_the_rules": "text/html"},
    }


def test_dead_letters(operator: Operator) -> None:
    """Jobs that failed for good are what to look at where their effect is missing, and are told anyway."""
    operator.queues.dead = {"copy": 2}
    assert operator.asks("d.txt").steps["queues"].remedy
    damage(operator, "mirror/docs/a.html", None)
    assert "siteferry redrive" in operator.asks("docs/a.html").remedy


def test_queues_that_do_not_answer(operator: Operator) -> None:
    """Counts that cannot be had are no reason to fail."""
    operator.queues.error = UnavailableError("no answer")
    found = operator.asks("d.txt")
    assert (found.outcome, found.steps["queues"].text) == (Outcome.LIVE, "could not be counted: no answer")


@pytest.mark.parametrize(("body", "age"), [(b"other size", 0), (b"D.TXT", DAY)])
def test_a_cdn_with_an_older_version(operator: Operator, body: bytes, age: float) -> None:
    """What the CDN cached of another length, or put earlier, is told as older."""
    there = operator.world.objects.current["d.txt"]
    operator.cdn.cached = {"d.txt": replace(there, body=body, modified=there.modified - age)}
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "cdn")
    assert "the CDN still serves an older version" in found.reason


def test_a_cdn_that_serves_what_was_deleted(operator: Operator) -> None:
    """A file that is gone from the bucket alone is still to be seen."""
    operator.cdn.cached = dict(operator.world.objects.current)
    (operator.world.root / "d.txt").unlink()
    operator.world.settle()
    assert judged(operator.asks("d.txt")) == (Outcome.NOT_GONE, "cdn")


@pytest.mark.parametrize(("status", "text"), [(404, "though the bucket has it"), (503, "answers 503")])
def test_a_cdn_that_answers_otherwise(operator: Operator, status: int, text: str) -> None:
    """Any other answer is told with its status."""
    operator.cdn.answer = lambda: Visit(status, {})
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.NOT_LIVE, "cdn")
    assert text in found.reason


def test_a_cdn_that_does_not_answer(operator: Operator) -> None:
    """A CDN that cannot be asked is no reason to fail, and is told with the verdict."""

    def fails() -> Visit:
        raise UnavailableError("timed out\x1b")

    operator.cdn.answer = fails
    found = operator.asks("d.txt")
    assert judged(found) == (Outcome.LIVE, "")
    assert found.steps["cdn"].text == "could not be asked: timed out\\x1b"
    assert "could not be asked" in found.reason


def test_a_site_with_a_prefix(world: World) -> None:
    """Keys have the prefix; paths and URLs do not."""
    world.descriptor = descriptor(prefix="sites/www/", copy_rules=(CopyRule("", "all/"),))
    world.write("a/b.txt")
    world.settle()
    operator = Operator(world, Queues(), Distribution(world))
    assert judged(operator.asks("/a/b.txt")) == (Outcome.LIVE, "")
    found = operator.asks("all/a/b.txt")
    assert (found.key, found.outcome) == ("sites/www/all/a/b.txt", Outcome.LIVE)
    assert operator.cdn.visited == ["/a/b.txt", "/all/a/b.txt"]


def test_nothing_is_changed(operator: Operator) -> None:
    """A look makes no request but reads."""
    operator.world.faults.revive()
    operator.asks("docs/a.html")
    assert set(operator.world.faults.log) <= {"read_head", "leaves", "head", "list"}
