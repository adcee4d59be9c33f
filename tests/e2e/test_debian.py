"""The .deb on the releases of Debian that it is for: installed, started by systemd, used, upgraded and purged."""

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from siteferry import __version__
from siteferry.errors import Exit
from siteferry_packaging.deb import build_deb
from tests.e2e.agents import COPIES, assert_published, wait_for
from tests.e2e.machine import RELEASES, Machine, booted, why_not

pytestmark = pytest.mark.e2e

CHECKOUT = Path(__file__).parents[2]
DOCS = ("operate.md", "restore.md", "lost-index.md")
"""What an operator on the host needs, of docs."""
PARTS = (
    *("pyproject.toml", "uv.lock", "README.md", "LICENSE", "CHANGELOG.md", "agent"),
    *(f"docs/{name}" for name in DOCS),
)
"""What the package is made of, beside the contract."""
NEXT = re.sub(r"\d+$", lambda found: str(int(found[0]) + 1), __version__)

NOT_FOUND = 404
CONFIGURATION = "etc/siteferry.toml"
STATE = "var/lib/siteferry"
OPERATORS = {"etc/credstore", "etc/credstore/siteferry.aws-credentials", "etc/ca.pem"}
"""What the test puts on the host beside the configuration."""
NOT_OURS = re.compile(
    r"(dev|proc|run|sys|tmp|var/(cache|log|lib/(apt|dpkg|systemd)))(/|$)|etc/.*-$|.*/__pycache__(/|$)"
)
"""What installing and removing anything leaves on a Debian host, and what runs there."""

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
for name in ("siteferry", "siteferry_contract", "boto3", "obstore", "awscrt.checksums"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), name + "."):
        if name.startswith("siteferry") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(sys.prefix, *(name for name, module in sys.modules.items()
    if "dist-packages" in (getattr(module, "__file__", None) or "")))
"""
COMPLETE = (
    "source {}; COMP_WORDS=(siteferry re); COMP_CWORD=1; $(complete -p siteferry | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
)
SHORT_WATCHDOG = """\
[Service]
NotifyAccess=all
ExecStartPost=systemd-notify WATCHDOG_USEC=12000000
RestartSec=1
"""
"""Has systemd lose patience sooner than the agent would have it do."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package of this tree, and that of the next version."""
    reasons = [why_not(release) for release in RELEASES]
    if all(reasons):
        pytest.skip(reasons[0])
    return both_packages(tmp_path_factory.mktemp("packages"))


def both_packages(folder: Path) -> tuple[Path, Path]:
    """Build the package of this tree, and that of the next version, in a folder."""
    copy = folder / "checkout"
    for name in (*PARTS, "lambdas/siteferry_contract"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        take = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        take(CHECKOUT / name, copy / name)
    for name in ("pyproject.toml", "agent/siteferry/__init__.py"):
        text = (copy / name).read_text("utf-8")
        changed, found = re.subn(rf'(?m)^((__)?version(__)? = "){re.escape(__version__)}"', rf'\g<1>{NEXT}"', text)
        assert found == 1
        (copy / name).write_text(changed, "utf-8")
    with ThreadPoolExecutor(2) as pool:
        old = pool.submit(build_deb, folder, folder / "old")
        new = pool.submit(build_deb, folder, folder / "new", copy)
        return old.result(), new.result()


@pytest.fixture(params=RELEASES)
def machine(request: pytest.FixtureRequest, site: Any, tmp_path: Path) -> Iterator[Machine]:
    """A Debian machine with the site's root at /srv/ftp/www."""
    if reason := why_not(request.param):
        pytest.skip(reason)
    with booted(request.param, tmp_path, Path(site.root), "/srv/ftp/www") as machine:
        yield machine


def test_the_package_on_a_debian_host(site: Any, machine: Machine, packages: tuple[Path, Path]) -> None:
    """Its whole life on one host: nothing runs unasked, what an operator made is kept, and a purge leaves no trace."""
    old, new = packages
    before = {path for path in machine.paths() if not NOT_OURS.match(path)}

    install(machine, old)
    assert_complete(machine)
    assert_not_begun(machine)

    configure(machine, site)
    machine.run("systemctl", "enable", "--now", "siteferry.service")
    assert_published_by_the_unit(machine, site)
    assert_brought_back_by_root(machine, site)
    assert_heard_by_systemd(machine)
    if machine.tree.name == RELEASES[0]:  # it takes its time
        assert_watched_over(machine)

    configuration = (machine.tree / CONFIGURATION).read_bytes()
    runs = last_run(machine)
    main_process = machine.unit("siteferry", "MainPID")
    install(machine, new)
    assert machine.run("siteferry", "--version") == f"siteferry {NEXT}\n"
    assert machine.unit("siteferry", "MainPID") not in (main_process, {"MainPID": "0"})
    assert (machine.tree / CONFIGURATION).read_bytes() == configuration
    publish(machine, site, "after the upgrade.txt")
    assert last_run(machine) > runs
    assert_published(site, COPIES)

    machine.run("apt-get", "remove", "--yes", "siteferry")
    assert machine.unit("siteferry", "ActiveState", "ExecMainStatus") == {
        "ActiveState": "inactive",
        "ExecMainStatus": "0",
    }
    assert (machine.tree / CONFIGURATION).read_bytes() == configuration
    assert (machine.tree / STATE / "www" / "cache.sqlite").exists()
    assert not (machine.tree / "usr/lib/siteferry").exists()
    machine.run("apt-get", "purge", "--yes", "siteferry")
    after = {path for path in machine.paths() if not NOT_OURS.match(path)}
    assert after - before == OPERATORS - before
    assert before - after == set()


def install(machine: Machine, package: Path) -> None:
    """Install a package, or upgrade to it, as an operator who was given the file."""
    shutil.copy(package, machine.tree / "root")
    machine.run("apt-get", "install", "--yes", f"/root/{package.name}")
    (machine.tree / "root" / package.name).unlink()
    assert machine.run("dpkg", "--verify", "siteferry").replace(f"??5?????? c /{CONFIGURATION}\n", "") == ""


def assert_complete(machine: Machine) -> None:
    """All that is to be there is there, and comes from the package's own environment."""
    assert machine.run("siteferry", "--version") == f"siteferry {__version__}\n"
    assert machine.run("/usr/lib/siteferry/bin/python", "-I", "-c", IMPORT_EVERYTHING) == "/usr/lib/siteferry\n"
    assert "EXIT STATUS" in machine.run("man", "siteferry")
    assert "max_bandwidth" in machine.run("man", "siteferry.toml")
    assert "siteferry (1)" in machine.run("whatis", "siteferry")
    completed = COMPLETE.format("/usr/share/bash-completion/completions/siteferry")
    offered = machine.run("bash", "-c", completed + '; echo "${COMPREPLY[@]}"').split()
    assert sorted(offered) == ["redrive", "reindex", "restore", "resume"]
    assert list((machine.tree / "usr/lib/siteferry").rglob("cli.cpython-3*.pyc"))
    assert set(DOCS) <= {path.name for path in (machine.tree / "usr/share/doc/siteferry").iterdir()}


def assert_not_begun(machine: Machine) -> None:
    """Nothing is enabled or runs; started without its configuration, the unit fails at once, and says what it lacks."""
    assert machine.run("systemctl", "is-enabled", "siteferry", code=1) == "disabled\n"
    assert machine.run("systemctl", "is-active", "siteferry", code=3) == "inactive\n"
    machine.run("systemctl", "start", "siteferry", code=1)
    failed = {"ActiveState": "failed", "ExecMainStatus": str(int(Exit.CONFIG)), "NRestarts": "0"}
    assert machine.unit("siteferry", *failed) == failed
    assert "`site` is missing" in machine.run("journalctl", "--unit=siteferry", "--priority=err", "--output=cat")


def configure(machine: Machine, site: Any) -> None:
    """Fill the configuration in, and put the credentials where the unit takes them from."""
    given = site.agent_environment
    settings = {
        "site": json.dumps(site.name),
        "root": '"/srv/ftp/www"',
        "interval": "1",
        "settle": "1",
        "region": json.dumps(given["AWS_REGION"]),
        "endpoint_url": json.dumps(given["AWS_ENDPOINT_URL"]),
        "ca_bundle": '"/etc/ca.pem"',
    }
    file = machine.tree / CONFIGURATION
    text = file.read_text("utf-8")
    for name, value in settings.items():
        text, found = re.subn(rf"(?m)^# {name} = .*$", f"{name} = {value}", text)
        assert found == 1, name
    file.write_text(text, "utf-8")
    shutil.copy(given["AWS_CA_BUNDLE"], machine.tree / "etc/ca.pem")
    credentials = machine.tree / "etc/credstore/siteferry.aws-credentials"
    credentials.parent.mkdir(mode=0o700, exist_ok=True)
    keys = (f"{name.lower()} = {given[name]}\n" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    credentials.write_text("[default]\n" + "".join(keys), "utf-8")
    credentials.chmod(0o600)


def publish(machine: Machine, site: Any, name: str) -> None:
    """Put a file in the tree that only its owner may read, and wait until it is live and its run is closed."""
    before = last_run(machine)
    file = Path(site.root) / name
    file.touch(0o600)
    file.write_text(name, "utf-8")
    wait_for(lambda: site.get(name.replace(" ", "%20")).body == name.encode(), f"the publication of {name}")
    wait_for(lambda: last_run(machine) > before, "the end of its run")
    site.wait_drained()


def last_run(machine: Machine) -> int:
    """Give the number of the last run, as the command tells an operator who runs it as the unit."""
    status = json.loads(machine.run("siteferry-as-unit", "status", "--json"))
    return int((status.get("last_run") or {"run": 0})["run"])


def assert_published_by_the_unit(machine: Machine, site: Any) -> None:
    """The unit is active once the site is connected, and publishes as a user that may not write."""
    assert machine.unit("siteferry", "ActiveState", "User") == {"ActiveState": "active", "User": "siteferry"}
    publish(machine, site, "closed to others.txt")
    assert_published(site, COPIES)
    assert "from the shared credentials file" in machine.run("siteferry-as-unit", "check")
    assert "LIVE: as it is on disk" in machine.run("siteferry-as-unit", "explain", "closed to others.txt")
    machine.run("siteferry", "sync", code=int(Exit.IO_ERROR))  # root's own is refused
    assert (machine.tree / STATE / "www").stat().st_uid == (machine.tree / STATE).stat().st_uid != 0
    assert not machine.run("journalctl", "--unit=siteferry", "--priority=warning", "--since=-1s", "--output=cat")


def assert_brought_back_by_root(machine: Machine, site: Any) -> None:
    """By hand a restore writes where root may, and an undo in the tree, after a word on the terminal; state stays."""
    machine.run("sh", "-c", "cd /tmp && siteferry-as-unit restore then")
    assert machine.run("cat", "/tmp/then/closed to others.txt") == "closed to others.txt"
    publish(machine, site, "a mistake.txt")
    file = Path(site.root) / "a mistake.txt"
    machine.run("siteferry-as-unit", "pause", "a mistake")
    undo = f"siteferry-as-unit undo {last_run(machine)}"
    machine.run(*undo.split(), code=1)
    assert file.exists()  # without a terminal the plan is only shown
    assert "[y/N]" in machine.run("sh", "-c", f"echo y | script --quiet --return --command '{undo}' /dev/null")
    assert not file.exists()
    machine.run("siteferry-as-unit", "resume")
    wait_for(lambda: site.get("a%20mistake.txt").status == NOT_FOUND, "the undo's publication")
    site.wait_drained()
    state = machine.tree / STATE
    foreign = [path for path in state.rglob("*") if path.lstat().st_uid != state.stat().st_uid]
    assert not foreign


def assert_heard_by_systemd(machine: Machine) -> None:
    """What the agent tells of its state, of a reload and of its stop is what systemd shows."""
    wait_for(lambda: status_text(machine).startswith("waiting; last cycle: "), "STATUS")
    file = machine.tree / CONFIGURATION
    file.write_text(file.read_text("utf-8").replace("# workers = 16", "workers = 4"), "utf-8")
    machine.run("systemctl", "reload", "siteferry")
    wait_for(lambda: "the configuration changed: starting again with it" in journal(machine), "the reload")
    wait_for(lambda: machine.unit("siteferry", "ActiveState")["ActiveState"] == "active", "READY after the reload")
    machine.run("systemctl", "stop", "siteferry")
    stopped = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    assert machine.unit("siteferry", *stopped) == stopped
    assert status_text(machine).startswith("stopping: ")
    machine.run("systemctl", "start", "siteferry")


def assert_watched_over(machine: Machine) -> None:
    """An agent that gets on keeps its watchdog content; one that hangs is ended and started again."""
    drop_in = machine.tree / "etc/systemd/system/siteferry.service.d/watchdog.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(SHORT_WATCHDOG, "utf-8")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "siteferry")
    first = machine.unit("siteferry", "WatchdogTimestampMonotonic")
    wait_for(lambda: machine.unit("siteferry", "WatchdogTimestampMonotonic") != first, "two pings")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", "siteferry")
    wait_for(lambda: "Failed with result 'watchdog'" in journal(machine), "the watchdog")
    wait_for(lambda: machine.unit("siteferry", "ActiveState")["ActiveState"] == "active", "the agent's return")
    assert machine.unit("siteferry", "NRestarts") == {"NRestarts": "1"}
    shutil.rmtree(drop_in.parent)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "siteferry")


def status_text(machine: Machine) -> str:
    """Give what the agent last told systemd that it does."""
    return machine.unit("siteferry", "StatusText")["StatusText"]


def journal(machine: Machine) -> str:
    """Give all that the unit and systemd said of it."""
    return machine.run("journalctl", "--unit=siteferry", "--output=cat")
