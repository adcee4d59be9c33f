"""A Debian machine of its own: a copy of a tree that `make debian` made, in namespaces, with systemd as its init."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.agents import wait_for

RELEASES = ("bookworm", "trixie")

_TREES = Path(__file__).parents[2] / ".cache" / "debian"
_BOOT = Path(__file__).with_name("boot_debian.sh")
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
_IN_A_CGROUP = 'mkdir "$0/siteferry-test-$$" && echo $$ > "$0/siteferry-test-$$/cgroup.procs" && exec "$@"'
_INIT = ("/lib/systemd/systemd", "--system", "systemd.unit=multi-user.target")
_HALT = signal.SIGRTMIN + 3
_NOT_NEEDED = ("timers.target", "getty.target")
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that has booted."""

    tree: Path
    init: int
    """The process id of its systemd, as seen from here."""

    def run(self, *command: str, code: int | None = 0) -> str:
        """Run a command as its root, without this process's environment, and expect an exit code; None: any."""
        enter = ["nsenter", f"--target={self.init}", *_NAMESPACES, "--root", "--wd", "env", "-i"]
        enter += ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        done = subprocess.run(
            [*enter, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, f"{' '.join(command)}: exit {done.returncode}\n{said}"
        return done.stdout

    def unit(self, name: str, *properties: str) -> dict[str, str]:
        """Give what its systemd says of a unit."""
        shown = self.run("systemctl", "show", name, *(f"--property={found}" for found in properties))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def paths(self) -> set[str]:
        """Give the paths of everything on its disk."""
        found = set()
        for folder, directories, names in os.walk(self.tree):
            found |= {os.path.relpath(os.path.join(folder, name), self.tree) for name in (*directories, *names)}
        return found


def why_not(release: str) -> str:
    """Say why no machine of a release can be had here; empty if one can."""
    if not (_TREES / release).is_dir():
        return f"there is no {_TREES / release}; `make debian` makes it, as root"
    if os.geteuid() != 0:
        return "only root can boot a machine"
    if not _cgroups():
        return "no cgroup2 is mounted here"
    with _started(_TREES / release, Path("/mnt"), "/srv", "true") as process:
        said, _ = process.communicate(timeout=_SECONDS)
    return f"namespaces cannot be had here: {said}" if process.returncode else ""


@contextmanager
def booted(release: str, folder: Path, source: Path, target: str) -> Iterator[Machine]:
    """Boot a machine from a copy of a release's tree in a folder, with a directory of here in it."""
    tree = folder / release
    subprocess.run(["cp", "--archive", "--reflink=auto", _TREES / release, tree], check=True)
    for unit in _NOT_NEEDED:
        (tree / "etc" / "systemd" / "system" / unit).symlink_to("/dev/null")
    # With an empty one, systemd takes this for the first boot, and waits for answers.
    (tree / "etc" / "machine-id").write_text("0123456789abcdef0123456789abcdef\n", "utf-8")
    (tree / "etc" / "hosts").write_text("127.0.0.1 localhost\n", "utf-8")
    (tree / "etc" / "dpkg" / "dpkg.cfg.d" / "quick").write_text("force-unsafe-io\n", "utf-8")
    with _started(tree, source, target, *_INIT) as process:
        machine = Machine(tree, wait_for(lambda: _child(process), "the machine's init"))
        try:
            wait_for(lambda: _state(machine) in ("running", "degraded"), "the machine's boot")
            yield machine
        finally:
            if process.poll() is None:
                os.kill(machine.init, _HALT)
            process.communicate(timeout=_SECONDS)
    shutil.rmtree(tree)


@contextmanager
def _started(tree: Path, source: Path, target: str, *init: str) -> "Iterator[subprocess.Popen[str]]":
    """Run an init in namespaces and a cgroup of its own; afterwards nothing of it is left."""
    command = ["sh", "-c", _IN_A_CGROUP, _cgroups(), "unshare", *_NAMESPACES, "--fork", "--kill-child"]
    command += ["sh", str(_BOOT), str(tree), str(source), target, *init]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
    cgroup = Path(_cgroups()) / f"siteferry-test-{process.pid}"
    for folder, _, _ in os.walk(cgroup, topdown=False):
        wait_for(lambda: not (Path(folder) / "cgroup.procs").read_text("ascii"), "the end of the machine's processes")  # noqa: B023
        os.rmdir(folder)


def _cgroups() -> str:
    """Give where cgroup2 is mounted here; empty if it is not."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    return next((fields[1] for fields in mounts if fields[2] == "cgroup2"), "")


def _child(process: "subprocess.Popen[str]") -> int:
    """Give the init that `unshare` started; 0 if it has not yet."""
    assert process.poll() is None, process.communicate()[0]
    if Path(f"/proc/{process.pid}/comm").read_text("utf-8") != "unshare\n":
        return 0  # still the shell, whose children are others
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
    return int(children[0]) if children else 0


def _state(machine: Machine) -> str:
    if not (machine.tree / "etc").is_dir():
        return ""
    return machine.run("systemctl", "is-system-running", code=None).strip()
