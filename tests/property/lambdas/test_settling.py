"""Whatever happens in between, in whatever order: when all is quiet, S3 has what the index says.

At every request of a handler something may happen first: the agent takes its next step, or another handler does a
whole job, which may be delivered again later. The agent is reduced to what the protocol asks of it.
"""

from collections.abc import Iterator
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.job import Job, make_jobs
from siteferry_contract.leaf import FileEntry
from siteferry_lambdas.errors import JobError, UnsettledError
from siteferry_lambdas.ports import Object
from siteferry_lambdas.rendering import render
from siteferry_lambdas.settle_copy import handle_copy
from siteferry_lambdas.settle_delete import handle_delete
from siteferry_lambdas.settle_page import handle_page
from tests.unit.lambdas.fakes import file, memory_site

NAMES = ("a", "index.html")
HANDLERS = {"copy": handle_copy, "delete": handle_delete, "page": handle_page}
MOST_EVENTS = 40
QUIET_ROUNDS = 20
DEPTH = 3
"""Handlers at work at once."""
MORE = 0.6
"""How likely something (more) happens before a request."""


class World:
    """A site, its agent, and chance."""

    def __init__(self, changes: list[tuple[str, bool]], chance: Random) -> None:
        self.memory = memory_site(CopyRule("d/", "m/"))
        self.memory.index.has("d")
        self.entries: dict[str, FileEntry] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: list[Job] = []
        self._chance = chance
        self._depth = 0
        self._agent = self._run_agent(changes)
        self.memory.bucket.before = self._before

    def run(self) -> None:
        """Let everything happen, and then come to rest."""
        for _ in range(MOST_EVENTS):
            self._event()
        self.memory.bucket.before = lambda operation, key: None
        for _ in self._agent:
            pass
        for _ in range(QUIET_ROUNDS):
            self._collect()
            jobs, self.jobs = self.jobs, []
            for job in jobs:
                self._do(job)
        assert not self.jobs

    def _before(self, _operation: str, _key: str) -> None:
        while self._depth < DEPTH and self._chance.random() < MORE:
            self._event()

    def _event(self) -> None:
        self._depth += 1
        match self._chance.randrange(5):
            case 1:
                next(self._agent, None)
            case 2 | 3 as event:
                self._collect()
                if self.jobs:
                    job = self._chance.choice(self.jobs)
                    if event == 2:
                        self.jobs.remove(job)
                    self._do(job)
        self._depth -= 1

    def _do(self, job: Job) -> None:
        try:
            HANDLERS[job.kind](self.memory.site, job)
        except JobError as error:
            if not all(isinstance(failure, UnsettledError) for failure in error.failures):
                raise
            self.jobs.append(job)

    def _collect(self) -> None:
        sent = self.memory.queues.jobs
        self.jobs += [job for job in sent if job.kind in HANDLERS]
        sent.clear()

    def _run_agent(self, changes: list[tuple[str, bool]]) -> Iterator[None]:
        for number, (name, there) in enumerate(changes):
            key = f"d/{name}"
            if there:
                content = f"{name} {number}".encode()
                while True:
                    self.memory.bucket.user_puts(key, content)
                    yield
                    self.entries[name] = file(name, size=number)
                    self.contents[name] = content
                    self._commit()
                    yield
                    if self.memory.bucket.current(key) == content:  # rule 5
                        break
            elif self.entries.pop(name, None):
                self._commit()
                self._send("delete", key)
                yield
            self._send("copy", key)
            self._send("page", "d")
            yield

    def _commit(self) -> None:
        self.memory.index.has_leaf("d", "", self.entries.values())

    def _send(self, kind: str, *names: str) -> None:
        self.jobs += make_jobs(kind, names, site="www", run=1)  # type: ignore[arg-type]


@settings(max_examples=1000)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
def test_s3_ends_as_the_index_says(changes: list[tuple[str, bool]], chance: int) -> None:
    """Live keys show the agent's object, dead ones nothing, an index otherwise the page; duplicates their sources."""
    world = World(changes, Random(chance))
    world.run()
    bucket = world.memory.bucket
    page = render("d", world.entries.values())
    for name in NAMES:
        published = any(changed == name for changed, _ in changes)
        wanted = world.contents[name] if name in world.entries else page if name == "index.html" else None
        if published or name == "index.html":
            assert bucket.current(f"d/{name}") == wanted
            assert bucket.current(f"m/{name}") == wanted
    for key in ("d/index.html", "m/index.html"):
        seen = bucket.head(key)
        assert isinstance(seen, Object)
        assert seen.generated is ("index.html" not in world.entries)
