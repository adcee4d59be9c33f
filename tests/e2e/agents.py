"""Running the agent as an operator does, and what must be live afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin

from siteferry.errors import Exit

SETTLE_SECONDS = 1.0
COPIES = {"docs/": "mirror/docs/"}
"""The copy rule of every site of the tests, as `assert_published` takes it."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one site of the local stack, with its least-privilege key."""

    site: Any
    config: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    """A command that runs the agent's."""

    def _command(self, *arguments: str) -> list[str]:
        return [*self.through, sys.executable, "-m", "siteferry", *arguments, "--config", str(self.config)]

    def run(self, *arguments: str, code: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Run a command of the agent and expect an exit code; None: any."""
        done = subprocess.run(
            self._command(*arguments),
            env=self.site.agent_environment | dict(self.environment),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def sync(self, *arguments: str, code: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Wait until every file is settled, and make one run."""
        wait_settled(Path(self.site.root))
        return self.run("sync", *arguments, code=code)

    def plan(self) -> Any:
        """Give the plan as JSON."""
        return json.loads(self.run("sync", "--dry-run", "--json").stdout)

    def status(self) -> Any:
        """Give what `siteferry status` knows without AWS, as JSON."""
        return json.loads(self.run("status", "--local", "--json").stdout)

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator["Daemon"]:
        """Run `siteferry run` until the block ends; then SIGTERM must end it with 0, unless the test ended it.

        A start that ends as AWS does not answer is made again, as systemd would.
        """
        output = self.config.with_suffix(".output")
        with output.open("wb") as stream, ExitStack() as stack:
            while True:
                started = subprocess.Popen(
                    self._command("run", *arguments),
                    env=self.site.agent_environment | dict(self.environment),
                    stdin=subprocess.DEVNULL,  # on a terminal SIGHUP would end it
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                )
                process = stack.enter_context(started)
                stack.callback(process.terminate)
                daemon = Daemon(process, output)
                if daemon.has_begun():
                    break
                assert process.returncode == Exit.UNAVAILABLE, f"exit {process.returncode}\n{daemon.said()}"
            yield daemon
            running = process.poll() is None
            process.terminate()
            code = process.wait(60)
            assert code == 0 or not running, f"exit {code}\n{daemon.said()}"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running agent."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def said(self) -> str:
        """Give all that it printed so far."""
        return self.output.read_text("utf-8", "replace")

    def has_begun(self) -> bool:
        """Wait until it watches, or ended; tells whether it watches."""
        wait_for(lambda: "watching " in self.said() or self.process.poll() is not None, "the daemon's begin")
        return self.process.poll() is None

    def wait_for_line(self, text: str, seconds: float = 60) -> None:
        """Wait until it printed a text."""
        wait_for(lambda: text in self.said() or self._ended(), f"{text!r} of the daemon", seconds)

    def kill(self) -> None:
        """End it as a crash of its host would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _ended(self) -> bool:
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}\n{self.said()}"
        return False


def agent_with(served: Any, folder: Path, tables: str = "", **settings: str) -> Agent:
    """Give an agent with other settings and a state directory of its own; values and tables are TOML texts."""
    lines = Path(served.config).read_text("utf-8").splitlines()
    settings = {"state_dir": json.dumps(str(folder / "state")), **settings}
    kept = [line for line in lines if line.split("=")[0].strip() not in settings]
    config = folder / "siteferry.toml"
    new = [f"{name} = {value}" for name, value in settings.items()]
    config.write_text("\n".join([*new, *kept, tables]) + "\n", "utf-8")
    return Agent(served, config)


def wait_settled(root: Path) -> None:
    """Wait until the newest ctime of a root, and beneath it, is older than what the agent waits for."""
    newest = max(
        os.lstat(os.path.join(folder, name)).st_ctime for folder, _, names in os.walk(root) for name in (".", *names)
    )
    while time.time() - newest <= SETTLE_SECONDS + 0.1:
        time.sleep(0.05)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait until a condition gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.1)
    return found


def decoded(name: bytes) -> str:
    """Decode a name as encoding `auto` does."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def tree_files(root: Path) -> dict[str, bytes]:
    """Give the content of every publishable file under a root, by key."""
    found = {}
    base = os.fsencode(root)
    for folder, _, names in os.walk(base):
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith(b".ht") or os.path.islink(path):
                continue
            key = "/".join(decoded(part) for part in os.path.relpath(path, base).split(b"/"))
            with open(path, "rb") as file:
                found[key] = file.read()
    return found


def tree_directories(root: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Give (subdirectory names, file names) of every directory under a root, by directory key."""
    base = os.fsencode(root)
    found = {}
    for folder, directories, names in os.walk(base):
        relative = os.path.relpath(folder, base)
        key = "" if relative == b"." else "/".join(decoded(part) for part in relative.split(b"/"))
        files = {decoded(name) for name in names if not os.path.islink(os.path.join(folder, name))}
        found[key] = ({decoded(name) for name in directories}, files)
    return found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value or "" for name, value in attrs if name == "href"]


def page_targets(address: str, body: bytes) -> set[str]:
    """Give the keys below a page's own directory that its links lead to; a directory's ends in a slash."""
    parser = _Links()
    parser.feed(body.decode("utf-8"))
    own = address if address.endswith("/") or not address else f"{address}/"
    targets = {unquote(urljoin(f"http://site/{own}", link).removeprefix("http://site/")) for link in parser.links}
    here = unquote(own)
    return {target.removeprefix(here) for target in targets if target.startswith(here) and target != here}


def live_keys(site: Any) -> set[str]:
    """List the bucket's current objects."""
    pages = site.client("s3").get_paginator("list_objects_v2").paginate(Bucket=site.bucket)
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def assert_published(site: Any, copies: Mapping[str, str]) -> None:
    """Assert that what is live is the tree, its duplicates, pages and redirects, exactly, as a viewer sees it."""
    root = Path(site.root)
    files, directories = tree_files(root), tree_directories(root)
    pages = {f"{key}/index.html" if key else "index.html" for key in directories} - files.keys()
    redirects = directories.keys() - {""} - files.keys()
    expected = files.keys() | pages | redirects
    for source, destination in copies.items():
        expected |= {destination + key.removeprefix(source) for key in expected if key.startswith(source)}
    live = live_keys(site)
    assert live == expected, f"missing {sorted(expected - live)[:10]}, too many {sorted(live - expected)[:10]}"

    def check(key: str) -> str:
        if "\n" in key:
            # The emulator's CDN has no key with a newline: its pattern for the bucket policy's `*` stops there.
            body = site.client("s3").get_object(Bucket=site.bucket, Key=key)["Body"].read()
            return "" if body == files[key] else f"{key!r}: {len(body)} other bytes"
        original = next((s + key.removeprefix(d) for s, d in copies.items() if key.startswith(d)), key)
        got = site.get(quote(key))
        if original in redirects:
            leads = got.status, unquote(got.headers.get("Location", ""))
            return "" if leads == (301, f"/{key}/") else f"{key!r}: {leads}"
        if got.status != 200:
            return f"{key!r}: {got.status}"
        if original in files:
            return "" if got.body == files[original] else f"{key!r}: {len(got.body)} other bytes"
        directory = original.rpartition("/")[0]
        subdirectories, names = directories[directory]
        wanted = {f"{name}/" for name in subdirectories} | names
        wanted = {name for name in wanted if not name.startswith(".")}
        targets = page_targets(quote(f"{directory}/") if directory else "", got.body)
        return "" if targets == wanted else f"{key!r}: links {sorted(targets ^ wanted)[:5]}"

    with ThreadPoolExecutor(4) as pool:
        wrong = [found for found in pool.map(check, sorted(expected, key=str)) if found]
    assert not wrong, wrong[:10]
