"""Running the agent as an operator does, and what must be live afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin

SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one site of the local stack, with its least-privilege key."""

    site: Any
    config: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, code: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Run a command of the agent and expect an exit code; None: any."""
        done = subprocess.run(
            [sys.executable, "-m", "siteferry", *arguments, "--config", str(self.config)],
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


def agent_with(served: Any, folder: Path, **settings: Any) -> Agent:
    """Give an agent with other settings and a state directory of its own; values are TOML texts."""
    lines = Path(served.config).read_text("utf-8").splitlines()
    settings = {"state_dir": json.dumps(str(folder / "state")), **settings}
    kept = [line for line in lines if line.split("=")[0].strip() not in settings]
    config = folder / "siteferry.toml"
    new = [f"{name} = {value}" for name, value in settings.items() if "." not in name]
    config.write_text("\n".join([*new, *kept]) + "\n", "utf-8")
    return Agent(served, config)


def wait_settled(root: Path) -> None:
    """Wait until the newest ctime beneath a root is older than what the agent waits for."""
    newest = max(
        (os.lstat(os.path.join(folder, name)).st_ctime for folder, _, names in os.walk(root) for name in names),
        default=0.0,
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
    """Assert that what is live is the tree, its duplicates and its directory pages, exactly, as a viewer sees it."""
    root = Path(site.root)
    files, directories = tree_files(root), tree_directories(root)
    pages = {f"{key}/index.html" if key else "index.html" for key in directories} - files.keys()
    expected = files.keys() | pages
    for source, destination in copies.items():
        expected |= {destination + key.removeprefix(source) for key in expected if key.startswith(source)}
    assert live_keys(site) == expected

    def check(key: str) -> str:
        if "\n" in key:
            # The emulator's CDN has no key with a newline: its pattern for the bucket policy's `*` stops there.
            body = site.client("s3").get_object(Bucket=site.bucket, Key=key)["Body"].read()
            return "" if body == files[key] else f"{key!r}: {len(body)} other bytes"
        original = next((s + key.removeprefix(d) for s, d in copies.items() if key.startswith(d)), key)
        got = site.get(quote(key))
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
