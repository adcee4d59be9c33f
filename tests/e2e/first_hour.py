"""`python -m tests.e2e.first_hour`: record an operator's first hour, as docs/first-hour.cast and docs/first-hour.md.

Commands are typed into a shell of a Debian machine that has just booted; a local stack stands for AWS. What a terminal
would show is what is recorded, with its times.
"""

import fcntl
import json
import os
import pty
import random
import re
import select
import shutil
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from siteferry import __version__
from tests.e2e.conftest import running_local_stack
from tests.e2e.first_hour_script import SECTIONS, Section, Step
from tests.e2e.machine import Machine, booted
from tests.e2e.test_debian import NEXT, both_packages

DOCS: Final = Path(__file__).parents[2] / "docs"
WIDTH, HEIGHT = 120, 36
PROMPT: Final = "root@ftp1:~# "
SHOWN_LINES: Final = 30
"""Of one command, in the transcript."""
_SECONDS: Final = 240
_PER_KEY: Final = 0.03
_SITE: Final = '[sites.www]\nencoding = "auto"\ndirectory_pages = true\n'
_FTP_USER: Final = 1005
_SHELL: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "TERM": "xterm-256color",
    "LANG": "C.UTF-8",
    "PS1": PROMPT,
    "SYSTEMD_PAGER": "cat",
    "INPUTRC": "/root/.inputrc",
}
_APT_DRAWS: Final = re.compile(r"^Progress: .*\] |^(Reading|Building|\(Reading) .*(%|\.\.\.)$")
_CONTROL: Final = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[\]P][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")


@dataclass(slots=True)
class Terminal:
    """A shell on the machine, and all that it showed: seconds since its start, and text."""

    descriptor: int
    began: float
    shown: list[tuple[float, str]]

    def type(self, text: str) -> None:
        """Press keys, one after the other."""
        for key in text:
            os.write(self.descriptor, key.encode())
            self._hear(_PER_KEY)

    def wait(self, mark: str, since: int) -> None:
        """Wait until what was shown since an event ends with a mark."""
        deadline = time.monotonic() + _SECONDS
        while not self.text(since).endswith(mark):
            assert time.monotonic() < deadline, self.text(since)
            self._hear(0.2)

    def text(self, since: int) -> str:
        """Give what was shown since an event."""
        return "".join(text for _, text in self.shown[since:])

    def _hear(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.descriptor], [], [], left)[0]:
                heard = os.read(self.descriptor, 65536).decode("utf-8", "replace")
                self.shown.append((time.monotonic() - self.began, heard))


def main() -> int:
    """Record it."""
    with tempfile.TemporaryDirectory(prefix="siteferry-first-hour-") as name:
        folder = Path(name)
        old, new = both_packages(folder)
        (folder / "sites.toml").write_text(_SITE, "utf-8")
        with running_local_stack(folder / "stack", folder / "sites.toml") as stack:
            site = stack.sites["www"]
            with booted("bookworm", folder, Path(site.root), "/srv/ftp/www") as machine:
                _prepare(machine, site, old, new)
                endpoint = site.agent_environment["AWS_ENDPOINT_URL"]
                sections = list(_session(machine, endpoint))
    return 0 if sections else 1


def _prepare(machine: Machine, site: Any, *packages: Path) -> None:
    """Make what is on the host before siteferry comes: its name, FTP users' files, and what a person brought."""
    (machine.tree / "etc/hostname").write_text("ftp1\n", "utf-8")
    (machine.tree / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 ftp1\n", "utf-8")
    machine.run("hostname", "ftp1")
    machine.run("useradd", f"--uid={_FTP_USER}", "--no-create-home", "ftpusers")
    given, home = site.agent_environment, machine.tree / "root"
    (machine.tree / "etc/siteferry").mkdir()
    shutil.copy(given["AWS_CA_BUNDLE"], machine.tree / "etc/siteferry/ca.pem")
    keys = (f"{name.lower()} = {given[name]}\n" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    (home / "aws-credentials").write_text("[default]\n" + "".join(keys), "utf-8")
    (home / ".inputrc").write_text("set enable-bracketed-paste off\n", "utf-8")
    for package in packages:
        shutil.copy(package, home)
    _fill(os.fsencode(site.root))


def _fill(root: bytes) -> None:
    """Write an FTP tree of some thousand files, as it grows over the years."""
    chance = random.Random(1)
    files = {b"index.html": b"<h1>The harbour</h1>", b".htaccess": b"deny from all", b"docs/caf\xe9.html": b"menu"}
    files |= {b"docs/%04d.html" % n: b"<p>%d" % n for n in range(300)}
    files[b"members/list.html"] = b"closed to others"
    for year in range(2016, 2027):
        for n in range(200):
            files[b"photos/%d/img_%04d.jpg" % (year, n)] = chance.randbytes(chance.randint(2_000, 40_000))
    for path, data in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "wb") as file:
            file.write(data)
    os.symlink(b"index.html", os.path.join(root, b"home.html"))
    for folder, _, names in os.walk(root):
        for name in (b"", *names):
            os.chown(os.path.join(folder, name), _FTP_USER, _FTP_USER, follow_symlinks=False)
    os.chmod(os.path.join(root, b"members"), 0o700)


def _session(machine: Machine, endpoint: str) -> Iterator[Section]:
    """Type everything, then write both files."""
    began, at = time.monotonic(), int(time.time())
    child, descriptor = pty.fork()
    if child == 0:
        os.execvp(
            "nsenter",
            ["nsenter", f"--target={machine.init}", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd",
             "env", "-i", "--chdir=/root", *(f"{name}={value}" for name, value in _SHELL.items()), "bash", "--norc"],
        )  # fmt: skip
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    terminal = Terminal(descriptor, began, [])
    terminal.wait(PROMPT, 0)
    written = [_introduction()]
    for section in SECTIONS:
        written.append(f"\n## {section.title}\n\n{section.text}\n")
        blocks = []
        for step in section.steps:
            command = step.command.format(endpoint=endpoint, version=__version__, next=NEXT)
            blocks.append(_show(command, _do(terminal, machine, step, command), step))
        written.append("\n```console\n" + "\n".join(blocks) + "\n```\n")
        yield section
    os.close(descriptor)
    os.waitpid(child, 0)
    header: dict[str, Any] = {"version": 2, "width": WIDTH, "height": HEIGHT, "timestamp": at, "idle_time_limit": 2}
    header |= {"title": "siteferry: an operator's first hour", "env": {"TERM": _SHELL["TERM"], "SHELL": "/bin/bash"}}
    events = [json.dumps([round(when, 3), "o", text], ensure_ascii=False) for when, text in terminal.shown]
    (DOCS / "first-hour.cast").write_text("\n".join([json.dumps(header), *events]) + "\n", "utf-8")
    (DOCS / "first-hour.md").write_text("".join(written), "utf-8")


def _do(terminal: Terminal, machine: Machine, step: Step, command: str) -> str:
    """Type a command, and give what it showed."""
    sys.stderr.write(f"$ {command}\n")
    since = len(terminal.shown)
    before = _journal(machine)
    terminal.type(command + "\r")
    if step.interrupt:
        _until(terminal, lambda: step.interrupt in terminal.text(since))
        terminal.type("\x03")
    terminal.wait(PROMPT, since)
    told = terminal.text(since).partition("\n")[2].removesuffix(PROMPT)
    if step.journal:
        _until(terminal, lambda: step.journal in _journal(machine).removeprefix(before))
    return told


def _until(terminal: Terminal, condition: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, terminal.text(-20)
        terminal._hear(0.5)


def _journal(machine: Machine) -> str:
    return machine.run("journalctl", "--unit=siteferry", "--output=cat")


def _show(command: str, told: str, step: Step) -> str:
    """Give a command and its output as a page shows them: of what was drawn over the last state, and no middle."""
    if "\x1b[H" in told:  # drawn again and again
        told = told.rpartition("\x1b[H")[2]
    lines: list[str] = []
    for line in told.replace("\r\n", "\n").splitlines():
        parts = [_CONTROL.sub("", part).rstrip() for part in line.split("\r")]
        drawn = [part for part in parts if part]
        keep = min(len(drawn), step.frames)
        lines += (
            [drawn[n * (len(drawn) - 1) // max(1, keep - 1)] for n in range(keep)] if keep > 1 else drawn[-1:] or [""]
        )
    if command.startswith("apt "):
        lines = [line for line in (_APT_DRAWS.sub("", line) for line in lines) if line]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > SHOWN_LINES:
        half = SHOWN_LINES // 2
        lines = [*lines[:half], f"… ({len(lines) - 2 * half} lines)", *lines[-half:]]
    return "\n".join([f"{PROMPT[-2]} {command}", *lines])


def _introduction() -> str:
    return f"""\
# An operator's first hour

A Debian 12 host, an FTP tree of 2,500 files that belong to FTP users, and the package. This is a recording, made by
`python -m tests.e2e.first_hour`: commands were typed into a shell, and below is what the terminal showed. Long output
is cut in the middle (`…`), and of what is drawn over a state or some are shown. All of it, with its times:

    asciinema play docs/first-hour.cast

A [local stack](local-stack.md) stands for AWS here; two settings, `endpoint_url` and `ca_bundle`, are for it alone. The
shell is root's; elsewhere put `sudo` before a command. What is in the cloud was deployed before, as the
[README](../README.md#install) says; the next version, {NEXT}, is this one under another name.
"""


if __name__ == "__main__":
    raise SystemExit(main())
