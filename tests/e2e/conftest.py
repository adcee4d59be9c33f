"""The local stack for the end-to-end tests: one for the session, or one of a test's own sites file."""

import ftplib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from tests.e2e.agents import Agent

SUBJECTS = ("www", "brake", "poison", "kills", "faults", "broker", "pause")
"""The sites of the stack that most modules share; `www` is for all that needs no site of its own."""

_START_SECONDS = 300
_END_SECONDS = 30
_SITE_OF_A_SUBJECT = """\
[sites.{name}]
encoding = "auto"
directory_pages = true
copy_rules = [{{ from = "docs/", to = "mirror/docs/" }}]
header_rules = [{{ match = "*.html", headers = {{ cache-control = "max-age=60" }} }}]
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a viewer got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Site:
    """One site of the stack, as its ready line tells it, and what a test does with one."""

    facts: Mapping[str, Any]
    environment: Mapping[str, str]
    """The administrator's."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.facts[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def agent_environment(self) -> dict[str, str]:
        """The environment of an agent: no AWS variable but those of its own least-privilege key."""
        return clean_environment() | dict(self.facts["agent_env"])

    def get(self, target: str, method: str = "GET") -> Answer:
        """Fetch a percent-encoded target (without its leading slash) as a viewer; a redirect is not followed."""
        request = urllib.request.Request(self.distribution_url + target, method=method)
        try:
            with urllib.request.build_opener(_Unfollowed).open(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    @contextmanager
    def ftp(self, encoding: str = "utf-8") -> Iterator[ftplib.FTP]:
        """Log in as the site's FTP user, with names sent in the given encoding."""
        address = urlsplit(self.facts["ftp"])
        with ftplib.FTP(encoding=encoding, timeout=30) as client:
            client.connect(address.hostname or "", address.port or 0)
            client.login(address.username or "", address.password or "")
            yield client

    def client(self, service: str, environment: Mapping[str, str] | None = None) -> Any:
        """Make a boto3 client, by default the administrator's; with `agent_env`, the agent's."""
        return aws_client(service, environment or self.environment)

    def in_flight(self) -> dict[str, int]:
        """Count the messages of each queue that a handler has, or that wait for their visibility."""
        name, sqs = "ApproximateNumberOfMessagesNotVisible", self.client("sqs")
        return {
            kind: int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])
            for kind, url in self.facts["queues"].items()
        }

    def waiting_messages(self, *, dead: bool = False) -> dict[str, int]:
        """Count the messages of each queue, in flight and delayed ones too."""
        sqs = self.client("sqs")
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        counts = {}
        for kind, url in self.facts["dead_letter_queues" if dead else "queues"].items():
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            counts[kind] = sum(int(answer.get(name, 0)) for name in names)
        return counts

    def wait_drained(self, seconds: float = 120) -> None:
        """Wait until no queue has a message, seen twice, as one handler feeds the next; dead letters fail."""
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 2:
            counts = self.waiting_messages()
            quiet = 0 if any(counts.values()) else quiet + 1
            assert time.monotonic() < deadline, f"queues are not drained after {seconds} s: {counts}"
            time.sleep(0.2)
        dead = self.waiting_messages(dead=True)
        assert not any(dead.values()), f"dead letters: {dead}"


@dataclass(frozen=True, slots=True)
class Stack:
    """A running local stack."""

    endpoint: str
    env: Mapping[str, str]
    sites: Mapping[str, Site]
    state: Path
    pid: int

    def client(self, service: str) -> Any:
        """Make the administrator's boto3 client."""
        return aws_client(service, self.env)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without AWS variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def aws_client(service: str, environment: Mapping[str, str]) -> Any:
    """Make a boto3 client from the variables of a ready line."""
    create: Any = boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    ).client
    return create(service, endpoint_url=environment["AWS_ENDPOINT_URL"], verify=environment["AWS_CA_BUNDLE"])


def processes_of(state: Path) -> list[str]:
    """Return the command lines of every process that a local stack with this state directory started."""
    mark = f"SITEFERRY_LOCAL_STATE={state}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found.append(f"{folder.name}: {command}")
        except OSError:
            continue  # it ended, or is somebody else's
    return found


@contextmanager
def running_local_stack(state: Path, sites: Path | None = None) -> Iterator[Stack]:
    """Run `siteferry-local up` in a state directory; afterwards no process of it is left."""
    command = [sys.executable, "-m", "siteferry_local", "up", "--state", str(state)]
    command += ["--sites", str(sites)] if sites else []
    with (
        (state.parent / f"{state.name}.progress").open("w+b") as progress,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=progress) as process,
    ):
        try:
            assert process.stdout
            ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
            line = process.stdout.readline() if ready else b""
            if not line:
                progress.seek(0)
                pytest.fail(f"the local stack did not come up:\n{progress.read().decode()}", pytrace=False)
            facts = json.loads(line)
            found = {site["name"]: Site(site, facts["env"]) for site in facts["sites"]}
            yield Stack(facts["endpoint"], facts["env"], found, state, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
    assert code == 0
    assert processes_of(state) == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests that look at what all the others did run last."""
    items.sort(key=lambda item: item.path.name == "test_least_privilege.py")


@pytest.fixture(scope="session")
def run_local_stack(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Path | None], AbstractContextManager[Stack]]:
    """Give a function that runs a local stack with a sites file, in a state directory of its own."""
    return lambda sites: running_local_stack(tmp_path_factory.mktemp("stack"), sites)


@pytest.fixture(scope="session")
def local_stack(run_local_stack: Callable[[Path | None], AbstractContextManager[Stack]]) -> Iterator[Stack]:
    """Give the session's local stack with the package's own sites file (site `www`)."""
    with run_local_stack(None) as stack:
        yield stack


@pytest.fixture(scope="session")
def subjects(
    run_local_stack: Callable[[Path | None], AbstractContextManager[Stack]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Give a stack with one site for each subject, so that each compares whole buckets: cheaper than a stack each."""
    sites = tmp_path_factory.mktemp("subjects") / "sites.toml"
    sites.write_text("\n".join(_SITE_OF_A_SUBJECT.format(name=name) for name in SUBJECTS), "utf-8")
    with run_local_stack(sites) as stack:
        yield stack


@pytest.fixture
def site(subjects: Stack) -> Site:
    """Give the site for all that needs none of its own."""
    www = subjects.sites["www"]
    (Path(www.root) / "anchor.txt").write_text("an empty root would hold deletes", "utf-8")
    return www


@pytest.fixture
def agent(site: Site) -> Agent:
    """Give the agent that the local stack configured."""
    return Agent(site, Path(site.config))
