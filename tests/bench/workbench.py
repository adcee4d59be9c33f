"""One tree, one server, and the tools that are compared on them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol, TypeVar

from tests.bench.limit import compile_limit
from tests.bench.measure import Cost, measure
from tests.bench.peers import KINDS, Peer, install, install_siteferry
from tests.bench.server import Server, running_server
from tests.bench.site import SETTLE_SECONDS, Siteferry, quiet_environment
from tests.bench.tree import Edits, link_copies, make_tree, manifest, walk

LIMIT: Final = "C, one thread"
LIMIT_TWO: Final = "C, two threads"
T = TypeVar("T")
Rows = dict[str, list[dict[str, Any]]]
"""What each tool took, round by round."""


class Tool(Protocol):
    """What brings a bucket to the state of the tree."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def bucket(self) -> str:
        """Its own."""
        ...

    @property
    def deletes_by_jobs(self) -> bool:
        """Whether deletes are made by others, later."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """All of it."""
        ...

    def command(self) -> list[str]:
        """Give the command line."""
        ...

    def forget(self) -> None:
        """Be as before the first run."""
        ...


class WrongError(Exception):
    """A tool failed, or left the bucket in another state than the tree's."""


@dataclass(slots=True)
class Workbench:
    """What the cases work with."""

    files: int
    root: Path
    folder: Path
    server: Server
    site: Siteferry
    peers: Sequence[Peer]
    limit: Path | None
    versions: dict[str, str]
    copies: int = 0
    at_par: set[str] = field(default_factory=set)
    """Tools whose bucket is in the state of the tree."""
    edits: int = 0
    """Made so far."""

    @property
    def tools(self) -> list[Tool]:
        """Siteferry and its peers."""
        return [self.site, *self.peers]

    def run(self, tool: Tool, *command: str, codes: Sequence[int] = (0,)) -> dict[str, Any]:
        """Run a tool once; gives its costs and the requests that it made. Raises WrongError if it failed.

        `command`: another one of siteferry's than `sync`; `codes`: the exit codes that are no failure.
        """
        line = self.site.command(*command) if command else tool.command()
        return self.run_line(tool.name, line, tool.environment, codes)

    def run_line(
        self, name: str, line: Sequence[str], environment: Mapping[str, str], codes: Sequence[int] = (0,)
    ) -> dict[str, Any]:
        """Run a command line once, as `run` does."""
        log = self.folder / f"{name.partition(' ')[0].rstrip(',')}.log"
        log.unlink(missing_ok=True)
        self.server.reset()
        cost = measure(line, environment=environment, log=log)
        counts = self.server.counts()
        if cost.code not in codes or counts.requests["stub.Error"]:
            raise WrongError(
                f"{name} ended with {cost.code}:\n{log.read_text()[-2000:]}\n{self.server.log.read_text()[-2000:]}"
            )
        return _row(cost) | {
            "requests": dict(counts.requests),
            "units": counts.units,
            "server_cpu": counts.cpu_seconds,
        }

    def run_limit(self, threads: int) -> dict[str, Any]:
        """Run the scan in C."""
        assert self.limit
        command = [str(self.limit), str(self.root), str(threads)]
        return _row(measure(command, environment=quiet_environment(self.folder), log=self.folder / "limit.log"))

    def wait_settled(self) -> None:
        """Wait until nothing that was written counts as still being written."""
        time.sleep(SETTLE_SECONDS + 0.1)

    def bring_to_par(self) -> None:
        """Have every tool's bucket in the state of the tree: siteferry by a run, peers as their own runs would."""
        seed = self.folder / "seed"
        for tool in self.tools:
            if tool.name in self.at_par:
                continue
            tool.forget()
            if tool is self.site:
                self.wait_settled()
                self.run(tool)
            else:
                if not seed.exists():
                    seed.write_text("".join(f"{line}\n" for line in manifest(self.root)))
                self.server.seed(tool.bucket, seed)
            self.at_par.add(tool.name)
        seed.unlink(missing_ok=True)

    def verify(self, tool: Tool, edits: Edits | None = None) -> None:
        """Check the bucket against the tree: names, sizes, and the MD5 of what was edited; raises WrongError."""
        objects = self.server.objects(tool.bucket)
        wrong = [f"{name} is not there" for name, size in walk(self.root) if objects.pop(name, (-1,))[0] != size]
        if not tool.deletes_by_jobs:
            wrong += [f"{key} is left over" for key in objects]
        if edits:
            objects = self.server.objects(tool.bucket)
            wrong += [f"{name} is old" for name, md5 in edits.written.items() if objects[name][1] != md5]
        if wrong:
            raise WrongError(f"{tool.name}: {len(wrong)} objects are wrong: {', '.join(wrong[:3])}")


def _row(cost: Cost) -> dict[str, Any]:
    return {name: value for name, value in asdict(cost).items() if name != "code"}


def in_turn(tools: Sequence[T], turn: int) -> list[T]:
    """Let another tool begin each round: what the one before leaves in caches is not always the same one's gain."""
    begin = turn % len(tools)
    return [*tools[begin:], *tools[:begin]]


@contextmanager
def open_workbench(
    files: int, peers: Sequence[str], cache: Path, *, copies: int = 0, python: str | None = None
) -> Iterator[Workbench]:
    """Make a tree and start a server until the block ends; peers are installed below the cache.

    The tree has `files` files, and so has each of its hard-linked `copies`.

    `python` is the interpreter that has the siteferry to measure; None: one is made, with this checkout's agent alone.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="siteferry-bench-")))
        root = folder / "tree"
        make_tree(root, files)
        link_copies(root, copies)
        server = stack.enter_context(running_server(folder))
        versions, made = {}, []
        for name in peers:
            if name not in KINDS:
                raise WrongError(f"{name} is no peer: {', '.join(KINDS)}")
            program, versions[name] = install(name, cache)
            made.append(Peer(name, program, server, root, folder / name))
        (folder / "wheel").mkdir()
        python = python or install_siteferry(folder / "wheel")
        site = Siteferry(server, root, folder / "siteferry", python)
        site.forget()
        versions[site.name] = site.version()
        whole = files * (1 + copies)
        yield Workbench(whole, root, folder, server, site, made, compile_limit(folder), versions, copies)
