"""A real tree that nobody here wrote, through a real FTP server, the agent and the real template, to the CDN."""

import ftplib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.agents import (
    Agent,
    agent_with,
    assert_published,
    live_keys,
    page_targets,
    tree_files,
    wait_for,
    wait_settled,
)
from tests.e2e.counting import CountingProxy, Faults, counting_proxy

pytestmark = pytest.mark.e2e

COPIES = {"docs/": "mirror/docs/"}
LEAST_FILES = 2000
EDITS = 200


@pytest.fixture(scope="module")
def site(run_local_stack: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Give the site of a stack of this module's own: its tests compare whole buckets."""
    with run_local_stack(None) as stack:
        www = stack.sites["www"]
        (Path(www.root) / "anchor.txt").write_text("an empty root would hold deletes", "utf-8")
        yield www


@pytest.fixture
def large_site(run_local_stack: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Give the site of a stack for the large tree, which would make every other test's whole look slow."""
    with run_local_stack(None) as stack:
        yield stack.sites["www"]


@pytest.fixture
def agent(site: Any) -> Agent:
    """Give the agent that the local stack configured."""
    return Agent(site, Path(site.config))


def test_a_real_tree_comes_through_and_follows_every_edit(large_site: Any, tmp_path: Path) -> None:
    """Every file is live byte for byte, every directory has its page; no change costs nothing; edits are followed."""
    site, agent = large_site, Agent(large_site, Path(large_site.config))
    source = tmp_path / "real"
    _copy_real_tree(source)
    assert len(tree_files(source)) >= LEAST_FILES
    with site.ftp() as client:
        _put_tree(client, source)
    agent.sync()
    site.wait_drained(300)
    assert_published(site, COPIES)

    with counting_proxy(site.environment["AWS_ENDPOINT_URL"], site.environment["AWS_CA_BUNDLE"], tmp_path) as proxy:
        counted = _agent_through(site, proxy, tmp_path)
        assert "nothing to do" in counted.sync().stdout
        assert dict(proxy.requests) == {"GetParameter": 1, "GetItem": 1}

    _edit(Path(site.root), random.Random(7))
    agent.sync()
    site.wait_drained(300)
    assert_published(site, COPIES)
    assert "nothing to do" in agent.sync().stdout


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


def test_a_killed_agent_without_its_cache_changes_nothing_but_time(site: Any, agent: Agent) -> None:
    """A daemon that is killed between two runs and loses its cache finds nothing to do when it comes back."""
    state = Path(site.config).parent / "agent"
    agent.sync()
    before_run = _last_run(state)
    (Path(site.root) / "alive.txt").write_text("alive", "utf-8")
    wait_settled(Path(site.root))
    with subprocess.Popen(
        [sys.executable, "-m", "siteferry", "run", "--config", str(agent.config)],
        env=site.agent_environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        wait_for(lambda: site.get("alive.txt").status == 200, "the daemon's publication")
        # A file is live before its run is closed; the run is recorded after that.
        wait_for(lambda: _last_run(state) > before_run, "the end of the daemon's run")
        daemon.send_signal(signal.SIGKILL)
    site.wait_drained()
    before = live_keys(site)
    for file in state.glob("cache.sqlite*"):
        file.unlink()
    done = agent.sync()
    assert "nothing to do" in done.stdout
    assert live_keys(site) == before
    assert_published(site, COPIES)


def test_the_daemon_stops_cleanly_on_sigterm_and_lets_another_begin(site: Any, agent: Agent) -> None:
    """SIGTERM ends the daemon with 0 and releases the site; while it runs, another sync is refused at once."""
    with subprocess.Popen(
        [sys.executable, "-m", "siteferry", "run", "--config", str(agent.config)],
        env=site.agent_environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stdout
        line = daemon.stdout.readline()
        assert line.startswith("watching ")
        refused = agent.run("sync", code=75)
        assert f"process {daemon.pid}" in refused.stderr
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
    agent.sync()


def test_a_second_host_is_refused_while_the_first_works(site: Any, agent: Agent, tmp_path: Path) -> None:
    """An agent with another state directory is refused, and told who has the site."""
    with subprocess.Popen(
        [sys.executable, "-m", "siteferry", "run", "--config", str(agent.config)],
        env=site.agent_environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stdout
        assert daemon.stdout.readline().startswith("watching ")
        (Path(site.root) / "contended.txt").write_text("1", "utf-8")
        refused = agent_with(site, tmp_path).run("run", code=75)
        assert "another sync of this site is running" in refused.stderr
        assert str(Path(site.config).parent) in refused.stderr
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0


def test_a_dry_run_shows_the_plan_and_changes_nothing(site: Any, agent: Agent) -> None:
    """`sync --dry-run` lists each change with its reason, for people and as JSON, and nothing becomes live."""
    agent.sync()
    (Path(site.root) / "planned.txt").write_text("planned", "utf-8")
    done = agent.sync("--dry-run")
    assert "put    planned.txt (new, 7 B)" in done.stdout
    plan = agent.plan()
    assert [change["path"] for change in plan["changes"]] == ["planned.txt"]
    assert plan["changes"][0] | {"action": "put", "reason": "new", "size": 7} == plan["changes"][0]
    assert site.get("planned.txt").status == 404
    (Path(site.root) / "planned.txt").unlink()


def test_too_many_deletes_are_held_until_approved(site: Any, agent: Agent) -> None:
    """A tree that lost many files keeps its objects; the rest is published; exit 3; `approve` lets them go, once."""
    folder = Path(site.root) / "mass"
    folder.mkdir()
    for n in range(len(tree_files(Path(site.root))) // 5 + 40):
        (folder / f"{n}.txt").write_text(str(n), "utf-8")
    agent.sync()
    site.wait_drained()
    before = live_keys(site)
    shutil.rmtree(folder)
    (Path(site.root) / "beside.txt").write_text("beside", "utf-8")
    held = agent.sync(code=3)
    assert "siteferry approve" in held.stdout
    site.wait_drained()
    assert live_keys(site) == before | {"beside.txt"}
    assert agent.run("sync", code=3)
    agent.run("approve")
    agent.sync()
    site.wait_drained()
    assert_published(site, COPIES)
    agent.run("approve", code=64)


def test_an_unfinished_run_is_recovered(site: Any, agent: Agent) -> None:
    """A daemon killed in the middle of a run leaves an open head; the next sync recovers and all is as it should be."""
    folder = Path(site.root) / "halfway"
    folder.mkdir()
    for n in range(1500):
        (folder / f"{n}.txt").write_text(f"{n}", "utf-8")
    (Path(site.root) / "docs").mkdir(exist_ok=True)
    (Path(site.root) / "docs" / "halfway.txt").write_text("halfway", "utf-8")
    config = Path(site.config)
    short = config.with_name("short-lease.toml")
    short.write_text("lease = 10\n" + config.read_text("utf-8"), "utf-8")
    quick = Agent(site, short)
    known = live_keys(site)
    wait_settled(Path(site.root))
    with subprocess.Popen(
        [sys.executable, "-m", "siteferry", "run", "--config", str(short)],
        env=site.agent_environment,
        stdout=subprocess.DEVNULL,
    ) as daemon:
        wait_for(lambda: len(live_keys(site) - known) > 20, "the first uploads")
        daemon.send_signal(signal.SIGKILL)
    (folder / "0.txt").write_text("changed since", "utf-8")
    (folder / "1.txt").unlink()
    done = quick.sync()
    assert "recovered an unfinished run" in done.stdout
    site.wait_drained()
    assert_published(site, COPIES)


def test_a_sync_through_a_failing_network_ends_complete_or_is_completed(
    site: Any, agent: Agent, tmp_path: Path
) -> None:
    """Errors, throttling and connections cut after the effect: the sync ends complete, or the next one completes it."""
    folder = Path(site.root) / "docs" / "through"
    folder.mkdir(parents=True)
    for n in range(1000):
        (folder / f"{n}.txt").write_text(f"{n}", "utf-8")
    faults = Faults(slow_down=0.05, error=0.02, cut=0.03, seed=1)
    environment = site.environment
    with counting_proxy(environment["AWS_ENDPOINT_URL"], environment["AWS_CA_BUNDLE"], tmp_path, faults) as proxy:
        shaken = _agent_through(site, proxy, tmp_path)
        done = shaken.sync(code=None)
        assert proxy.requests["fault"] > 20
    assert done.returncode in (0, 1, 69), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode:
        # What is not known is waited for, as long as the lease may last.
        agent_with(site, tmp_path, state_dir=json.dumps(str(Path(site.config).parent / "agent"))).sync()
    site.wait_drained(300)
    assert_published(site, COPIES)


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


def _agent_through(site: Any, proxy: CountingProxy, folder: Path) -> Agent:
    """Give the site's agent with its requests made through a proxy, under a short lease."""
    text = Path(site.config).read_text("utf-8").replace(site.environment["AWS_ENDPOINT_URL"], proxy.endpoint)
    config = folder / "through.toml"
    config.write_text("lease = 20\n" + text.replace(site.environment["AWS_CA_BUNDLE"], str(proxy.ca_bundle)), "utf-8")
    return Agent(site, config, {"AWS_ENDPOINT_URL": proxy.endpoint, "AWS_CA_BUNDLE": str(proxy.ca_bundle)})


def _last_run(state: Path) -> int:
    """Give the number of the last run that was recorded as done."""
    try:
        return int((json.loads((state / "status.json").read_text("utf-8"))["last_run"] or {"run": 0})["run"])
    except (OSError, ValueError):
        return 0


def _copy_real_tree(destination: Path) -> None:
    """Copy the interpreter's library: real names, sizes and depths. Two of its packages get a copy rule's place."""
    library = Path(sysconfig.get_paths()["stdlib"])
    ignore = shutil.ignore_patterns("site-packages", "__pycache__", "*.so", "*.a", "lib-dynload")
    shutil.copytree(library, destination, ignore=ignore, symlinks=True)
    shutil.copytree(library / "json", destination / "docs" / "json", ignore=ignore)
    shutil.copytree(library / "email", destination / "docs" / "email", ignore=ignore)
    if len(tree_files(destination)) < LEAST_FILES:  # a distribution that splits its library into packages
        import botocore  # noqa: PLC0415

        shutil.copytree(Path(botocore.__file__).parent, destination / "botocore", ignore=ignore)
    (destination / "json" / "index.html").write_text("<h1>json</h1>", "utf-8")
    (destination / "empty").mkdir()


def _put_tree(client: ftplib.FTP, source: Path) -> None:
    for folder, directories, names in os.walk(source):
        relative = Path(folder).relative_to(source).as_posix()
        for name in directories:
            client.mkd(f"{relative}/{name}")
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink():
                with path.open("rb") as file:
                    client.storbinary(f"STOR {relative}/{name}", file)


def _edit(root: Path, rng: random.Random) -> None:
    """Make random edits: adds, changes, deletes, renames, a directory in a file's place and the reverse."""

    def files() -> list[Path]:
        return sorted(path for path in root.rglob("*") if path.is_file())

    def folders() -> list[Path]:
        return sorted(path for path in root.rglob("*") if path.is_dir())

    for n in range(EDITS):
        kind = rng.choice(["add", "add", "change", "change", "same size", "touch", "delete", "rename", "move", "swap"])
        path = rng.choice(files())
        if kind == "add":
            (rng.choice(folders()) / f"added {n}.{rng.choice(['txt', 'html', 'css'])}").write_bytes(rng.randbytes(n))
        elif kind == "change":
            path.write_bytes(path.read_bytes() + b"more")
        elif kind == "same size":
            path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
        elif kind == "touch":
            os.utime(path, (n, n))
        elif kind == "delete":
            path.unlink()
        elif kind == "rename":
            path.rename(path.with_name(f"renamed {n}{path.suffix}"))
        elif kind == "move" and n % 5 == 0:
            folder = rng.choice([folder for folder in folders() if len(list(folder.rglob("*"))) < 60])
            folder.rename(folder.with_name(f"moved {n}"))
        elif kind == "swap":
            path.unlink()
            path.mkdir()
            (path / "inside.txt").write_text("a directory in a file's place", "utf-8")
    small = next(folder for folder in folders() if 0 < len(list(folder.rglob("*"))) < 20)
    shutil.rmtree(small)
    small.write_text("a file in a directory's place", "utf-8")
    (root / "json" / "index.html").unlink(missing_ok=True)
    (root / "email" / "index.html").write_text("an index of its own", "utf-8")


def test_dead_letters_are_shown_and_redriven(site: Any, agent: Agent) -> None:
    """A job in a dead-letter queue is shown, moved back and done; what is no job stays there and is told."""
    root = Path(site.root)
    (root / "lost.txt").write_text("lost", "utf-8")
    agent.sync()
    site.wait_drained()
    (root / "lost.txt").unlink()
    agent.sync()
    site.wait_drained()
    # As if the delete job had died: the object is there again, and the job in the dead-letter queue.
    site.client("s3").put_object(Bucket=site.bucket, Key="lost.txt", Body=b"lost")
    sqs = site.client("sqs")
    job = {"version": 1, "kind": "delete", "site": "www", "run": 1, "id": "dead", "names": ["lost.txt"]}
    for body in (json.dumps(job), "poison"):
        sqs.send_message(QueueUrl=site.dead_letter_queues["delete"], MessageBody=body)
    shown = agent.run("redrive", "--dry-run", "copy")
    assert "copy       0 waiting" in shown.stdout
    done = agent.run("redrive", "delete", code=1)
    assert "moved  delete: job dead of run 1: lost.txt" in done.stdout
    assert "LEFT  delete: no job: message is not JSON" in done.stdout
    wait_for(lambda: site.get("lost.txt").status == 404, "the redriven delete")
    sqs.purge_queue(QueueUrl=site.dead_letter_queues["delete"])
    site.wait_drained()
    assert_published(site, COPIES)
