"""All cases at once: they wait most of the time, and one agent publishes the trees of all servers."""

import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from siteferry_local.ftp import logged_to
from tests.ftp.clients import RefusedError, client_of
from tests.ftp.host import Host, publishing
from tests.ftp.packages import TOP
from tests.ftp.servers import KINDS, Kind, MissingError, Server, serving
from tests.ftp.situations import SITUATIONS, Case, Situation, StalledError

AT_ONCE: Final = 48
TRIES: Final = 5
"""Of a case in which this machine stalled."""
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A case to be played."""

    kind: Kind
    situation: Situation
    client: str

    def __str__(self) -> str:
        words = f"{self.kind.name} {self.situation.play.__name__} {self.client}"
        return re.sub(r"[^a-zA-Z0-9]+", "-", words)


CASES: Final = tuple(
    Chosen(kind, situation, client) for kind in KINDS for situation in SITUATIONS for client in situation.clients
)


@dataclass
class Stage:
    """Where the cases are played."""

    folder: Path
    host: Host
    servers: Mapping[str, Server | MissingError]
    pool: ThreadPoolExecutor
    played: dict[Chosen, "Future[str]"] = field(default_factory=dict)
    refusals: dict[Chosen, str] = field(default_factory=dict)
    """What a server or client answered that did not do as it was asked."""

    def begin(self, chosen: Chosen) -> None:
        """Begin to play a case."""
        if chosen not in self.played:
            self.played[chosen] = self.pool.submit(self._play, chosen)

    def story(self, chosen: Chosen) -> str:
        """Give what a reader saw; raises MissingError."""
        self.begin(chosen)
        return self.played[chosen].result()

    def _play(self, chosen: Chosen) -> str:
        server = self.servers[chosen.kind.name]
        if isinstance(server, MissingError):
            raise server
        for attempt in range(TRIES):
            directory = f"{chosen.situation.play.__name__}-{chosen.client}-{attempt}"
            folder = self.folder / f"{chosen}-{attempt}"
            folder.mkdir()
            client = client_of(chosen.client, server, folder)
            if client is None:
                raise MissingError(f"no {chosen.client} on this machine: `make ftp-servers` fetches lftp")
            case = Case(self.host, server, client, directory)
            case.ask(f"MKD {directory}")
            try:
                return chosen.situation.play(case)
            except StalledError:
                continue
            except RefusedError as error:
                self.refusals[chosen] = str(error)
                return REFUSED
        raise AssertionError(f"this machine stalled in each of {TRIES} tries")


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Start every server and the agent, and begin the cases of all tests that were selected."""
    # Not pytest's own: servers enter it as another user.
    folder = Path(tempfile.mkdtemp(prefix="siteferry-ftp-"))
    folder.chmod(0o711)
    root = folder / "www"
    root.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.enter_context(logged_to(folder / "pyftpdlib.log"))
        selected = [item for item in request.session.items if isinstance(item, pytest.Function)]
        wanted: list[Any] = [item.callspec.params["case"] for item in selected if "stage" in item.fixturenames]
        servers: dict[str, Server | MissingError] = {}
        for number, kind in enumerate(KINDS):
            home = root / re.sub(r"[^a-z0-9]+", "-", kind.name.lower())
            try:
                servers[kind.name] = stack.enter_context(serving(kind, home, folder / f"server-{number}"))
            except MissingError as missing:
                servers[kind.name] = missing
        host = stack.enter_context(publishing(root, folder))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE, thread_name_prefix="case"))
        stage = Stage(folder, host, servers, pool)
        for case in wanted:
            stage.begin(case)
        yield stage
        _write_table(stage)


def _write_table(stage: Stage) -> None:
    """Leave what was observed beside the servers, in the form that docs/ftp-servers.md has."""
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for chosen, played in stage.played.items():
        if played.done() and not played.exception():
            cells[chosen.situation.text, chosen.kind.name][chosen.client] = played.result()
    lines = ["| | " + " | ".join(kind.name for kind in KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for situation in SITUATIONS:
        row = [_cell(cells[situation.text, kind.name]) for kind in KINDS]
        lines.append(f"| {situation.text} | " + " | ".join(row) + " |")
    TOP.mkdir(parents=True, exist_ok=True)
    (TOP / f"observed-{os.getuid()}.md").write_text("\n".join(lines) + "\n", "utf-8")


def _cell(stories: Mapping[str, str]) -> str:
    first = next(iter(stories.values()), "")
    return "; ".join([first, *(f"{client}: {story}" for client, story in stories.items() if story != first)])
