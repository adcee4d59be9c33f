"""The agent's world in memory, as strict as the real one, and able to let the agent die at any request.

`Faults` stands before and after every request that the agent makes. Once the agent is dead, nothing that it still
tries (its `finally` clauses, say) has an effect, as with a process that was killed.
"""
# ruff: noqa: D102 - the ports say what each method does

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from siteferry.checksum import crc64nvme
from siteferry.config import Brake, Config
from siteferry.errors import RefusedError, UnavailableError
from siteferry.head import Head, head_to_item, item_to_head
from siteferry.parts import Services
from siteferry.ports import ListedObject, ObjectInfo
from siteferry.report import PlainReporter, Reporter, Summary
from siteferry.state import StateDirectory
from siteferry.sync import Site
from siteferry_contract.copy_rules import CopyRule, duplicates
from siteferry_contract.descriptor import Descriptor, HeaderRule
from siteferry_contract.index import item_to_leaf, leaf_to_item
from siteferry_contract.job import EVERYTHING, JOB_KINDS, Job, decode_job, encode_job
from siteferry_contract.keys import index_key, path_to_key, split
from siteferry_contract.leaf import FileEntry, Leaf
from siteferry_contract.shape import Shape, item_to_shape, shape_to_item

T = TypeVar("T")

DAY = 86_400.0


class Crash(BaseException):
    """The agent is killed here."""


class Faults:
    """Counts the agent's requests, and lets it die at one of them, or answers one with an error."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.dead = False
        self.die_at: int | None = None
        self.die_after_effect = False
        self.errors: dict[tuple[str, bool], list[Exception]] = {}
        """By request and whether it has its effect first: raised once each, in order."""
        self.before: Callable[[str], None] = lambda _: None
        """Called before every request, to let something happen."""

    @contextmanager
    def request(self, name: str) -> Iterator[None]:
        if self.dead:
            raise Crash(name)
        number = len(self.log)
        self.log.append(name)
        self.before(name)
        self._fail(name, number, effect=False)
        yield
        self._fail(name, number, effect=True)

    def revive(self) -> None:
        """A new agent starts."""
        self.dead, self.die_at, self.log = False, None, []

    def answer(self, name: str, error: Exception, *, effect: bool = False) -> None:
        """Answer the next request of this name with an error, which may come after its effect."""
        self.errors.setdefault((name, effect), []).append(error)

    def _fail(self, name: str, number: int, *, effect: bool) -> None:
        if number == self.die_at and effect == self.die_after_effect:
            self.dead = True
            raise Crash(name)
        waiting = self.errors.get((name, effect))
        if waiting:
            raise waiting.pop(0)


class ManualClock:
    """Time that passes only when someone waits."""

    def __init__(self, now: float) -> None:
        self.time = now
        self.on_wait: Callable[[], None] = lambda: None
        self.stopped = False

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        if self.stopped:
            return True
        self.time += seconds
        self.on_wait()
        return False


class MemoryIndex:
    """The table. Everything goes through the items that DynamoDB would have."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._head: dict[str, Any] | None = None
        self._items: dict[tuple[str, str], dict[str, Any]] = {}
        self.shape: Shape | None = None

    @property
    def head(self) -> Head | None:
        """The head, without a request."""
        return item_to_head(self._head) if self._head else None

    @head.setter
    def head(self, head: Head) -> None:
        self._head = head_to_item(head)

    def read_head(self) -> Head | None:
        with self._faults.request("read_head"):
            return self.head

    def create_head(self, head: Head) -> None:
        with self._faults.request("create_head"):
            assert not self._items
            if self._head is None:
                self.head = head

    def replace_head(self, old: Head, new: Head) -> bool:
        with self._faults.request("replace_head"):
            if self.head != old:
                return False
            self.head = new
        return True

    def commit(self, leaves: Sequence[Leaf], lease_token: str) -> bool:
        with self._faults.request("commit"):
            assert 0 < len(leaves) <= 99, "DynamoDB takes 100 items in a transaction, one of which is the check"
            head = self.head
            if head is None or head.lease is None or head.lease.token != lease_token:
                return False
            items = [leaf_to_item(leaf) for leaf in leaves]
            keys = [(item["pk"]["S"], item["sk"]["S"]) for item in items]
            assert len(set(keys)) == len(keys), "DynamoDB refuses two operations on one item"
            assert all(len(item["blob"]["B"]) < 390_000 for item in items)
            self._items.update(zip(keys, items, strict=True))
        return True

    def write_shape(self, shape: Shape) -> None:
        with self._faults.request("write_shape"):
            self.shape = item_to_shape(shape_to_item(shape))

    def leaves(self, after: int | None = None) -> Iterator[Leaf]:
        with self._faults.request("leaves"):
            found = [item_to_leaf(item) for item in self._items.values()]
        yield from (leaf for leaf in found if after is None or leaf.run >= after)

    def all(self) -> dict[tuple[str, str], Leaf]:
        """Every leaf by directory and bound, without a request."""
        return {(key[0][1:], key[1][1:]): item_to_leaf(item) for key, item in sorted(self._items.items())}

    def files(self) -> dict[str, FileEntry]:
        """Every live key with its entry."""
        found: dict[str, FileEntry] = {}
        leaves = list(self.all().values())
        for leaf, following in zip_longest(leaves, leaves[1:]):
            end = following.bound if following and following.directory == leaf.directory else None
            for name, entry in leaf.files.items():
                if end is None or name < end:
                    found[f"{leaf.directory}/{name}" if leaf.directory else name] = entry
        return found

    def has_leaf_for(self, key: str) -> bool:
        """Whether the index can tell a key live or dead."""
        return (split(key)[0], "") in self.all()


@dataclass(frozen=True)
class StoredObject:
    body: bytes
    headers: Mapping[str, str]
    modified: float
    generated: bool = False

    @property
    def etag(self) -> str:
        return f'"{crc64nvme(self.body):x}"'


class Current(dict[str, StoredObject]):
    """The current objects, which remembers all that ever were."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.history: dict[str, list[tuple[float, StoredObject | None]]] = {}
        """By key, the oldest first; None: a delete marker."""

    def __setitem__(self, key: str, found: StoredObject) -> None:
        super().__setitem__(key, found)
        self.history.setdefault(key, []).append((self._clock.now(), found))

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.history.setdefault(key, []).append((self._clock.now(), None))

    def pop(self, key: str, default: Any = None) -> Any:
        found = self.get(key, default)
        if key in self:
            del self[key]
        return found


class MemoryObjects:
    """The bucket."""

    def __init__(self, faults: Faults, clock: ManualClock) -> None:
        self._faults, self._clock = faults, clock
        self.current = Current(clock)

    def published(self) -> dict[str, StoredObject]:
        """What is no directory page."""
        return {key: found for key, found in self.current.items() if not found.generated}

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        with self._faults.request("put"):
            self._store(key, body, headers)

    def put_chunks(self, key: str, chunks: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        with self._faults.request("put_chunks"):
            body = b"".join(chunks)
            assert len(body) == size
            self._store(key, body, headers)

    def replace_headers(self, key: str, seen: ObjectInfo, headers: Mapping[str, str]) -> None:
        with self._faults.request("replace_headers"):
            found = self.current.get(key)
            if found is None or found.etag != seen.etag:
                raise RefusedError(f"{key} is not what was seen")
            self._store(key, found.body, headers)

    def head(self, key: str) -> ObjectInfo | None:
        with self._faults.request("head"):
            found = self.current.get(key)
            if found is None:
                return None
            metadata = {n.removeprefix("x-amz-meta-"): v for n, v in found.headers.items() if n.startswith("x-amz-")}
            if found.generated:
                metadata["siteferry-generated"] = "directory-page"
            headers = {n: v for n, v in found.headers.items() if not n.startswith("x-amz-")}
            return ObjectInfo(len(found.body), crc64nvme(found.body), metadata, headers, found.etag)

    def list(self, prefix: str) -> Iterator[ListedObject]:
        with self._faults.request("list"):
            keys = sorted((key for key in self.current if key.startswith(prefix)), key=str.encode)
        for key in keys:
            found = self.current[key]
            yield ListedObject(key, len(found.body), datetime.fromtimestamp(found.modified, UTC))

    def _store(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        assert all(name == name.lower() for name in headers)
        self.current[key] = StoredObject(body, dict(headers), self._clock.now())


class MemoryQueues:
    """The queues. Every message is encoded and decoded as on its way through SQS."""

    def __init__(self, faults: Faults, descriptor: Descriptor) -> None:
        self._faults, self._descriptor = faults, descriptor
        self.jobs: list[Job] = []

    def send(self, jobs: Sequence[Job]) -> None:
        with self._faults.request("send"):
            for job in jobs:
                body = encode_job(job)
                assert body.isascii()
                assert len(body) < 256_000
                d = self._descriptor
                self.jobs.append(decode_job(body, kind=job.kind, site=d.site, prefix=d.prefix))


class InlineExecutor:
    """Does work at once."""

    def submit(self, work: Callable[[], T], /) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  as an executor does
            future.set_exception(error)
        return future


def descriptor(**changes: Any) -> Descriptor:
    """Give a site's descriptor."""
    base = Descriptor(
        site="www",
        region="us-east-1",
        bucket="bucket",
        prefix="",
        table="table",
        encoding="latin-1",
        queues={kind: f"https://sqs.example/{kind}" for kind in JOB_KINDS},
        distribution="E123",
        domain="d123.cloudfront.net",
        directory_pages=True,
        page_layout="0a1b2c3d4e5f",
        copy_rules=(CopyRule("docs/", "mirror/docs/"),),
        header_rules=(HeaderRule("*.html", {"cache-control": "max-age=60"}),),
    )
    return replace(base, **changes)


@dataclass
class World:
    """A tree, its site in the cloud, what visitors' caches hold, and whoever publishes it."""

    base: Path
    descriptor: Descriptor = field(default_factory=descriptor)

    def __post_init__(self) -> None:
        self.root = self.base / "root"
        self.root.mkdir(parents=True)
        self.faults = Faults()
        # Every ctime of the test is long ago by this clock.
        self.clock = ManualClock(os.stat(self.root).st_mtime + DAY)
        self.index = MemoryIndex(self.faults)
        self.objects = MemoryObjects(self.faults, self.clock)
        self.queues = MemoryQueues(self.faults, self.descriptor)
        self.cached: dict[str, bytes] = {}
        """What the distribution has cached, by key."""
        self.out = io.StringIO()
        self.stopping: Callable[[], bool] = lambda: False
        self.progress: Callable[[], None] = lambda: None
        self.config = Config("www", self.root, self.base / "state", settle=1, lease=60, brake=Brake(files=10_000))

    # ---- the tree

    def write(self, path: str, body: bytes = b"x") -> None:
        """Write a file, and its directories; never in place, as no mtime may stay the same by chance."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)

    def tree(self) -> dict[str, bytes]:
        """Every file by its key."""
        top = os.fsencode(self.root)
        found = {}
        for at, _, names in os.walk(top):
            for name in names:
                path = os.path.join(at, name)
                key = path_to_key(
                    os.path.relpath(path, top), prefix=self.descriptor.prefix, encoding=self.descriptor.encoding
                )
                found[key] = Path(os.fsdecode(path)).read_bytes()
        return found

    # ---- the agent

    @contextmanager
    def agent(self, reporter: Reporter | None = None) -> Iterator[Site]:
        """Run an agent. If it dies, it leaves everything as it is."""
        services = Services(
            self.index,
            lambda: self.objects,
            self.queues,
            self.clock,
            InlineExecutor(),
            lambda *_: nullcontext(),
            self.progress,
        )
        self.queues._descriptor = self.descriptor
        state = StateDirectory(self.config.state_dir)
        site = Site(self.config, self.descriptor, services, state, reporter or PlainReporter(self.out), self.stopping)
        try:
            yield site
        finally:
            try:
                site.close()
            except Crash:
                site.parts.cache.close()

    def sync(self) -> Summary:
        """Make one run with an agent of its own."""
        with self.agent() as site:
            return site.sync()

    def sync_and_die(self, at: int, *, after_effect: bool) -> bool:
        """Make one run in which the agent dies at a request; False: the run had fewer requests."""
        self.faults.revive()
        self.faults.die_at, self.faults.die_after_effect = at, after_effect
        try:
            self.sync()
        except Crash:
            return True
        finally:
            self.faults.revive()
        return False

    def settle(self, *, runs: int = 5) -> None:
        """Sync until there is nothing left to do, and handle every job."""
        for _ in range(runs):
            summary = self.sync()
            if summary.run is None:
                break
            assert not summary.failed, summary.failures
        else:
            raise AssertionError(f"still not settled after {runs} runs: {summary.line()}")
        self.handle()

    # ---- the cloud

    def jobs(self, kind: str) -> list[str]:
        """Give the names in all jobs of a kind that wait, in order."""
        return [name for job in self.queues.jobs if job.kind == kind for name in job.names]

    def handle(self) -> None:
        """Do what the Lambdas would do about every job that waits."""
        while self.queues.jobs:
            job = self.queues.jobs.pop(0)
            for name in job.names:
                self._handle(job.kind, name)

    def visit_everything(self) -> None:
        """Have the distribution cache every object."""
        self.cached |= {key: found.body for key, found in self.objects.current.items()}

    def check(self) -> None:
        """Assert that tree, index, bucket, duplicates and caches are equal."""
        tree = self.tree()
        files = self.index.files()
        current = {key: found.body for key, found in self.objects.published().items()}
        rules, prefix = self.descriptor.copy_rules, self.descriptor.prefix
        wanted = dict(tree) | {copy: body for key, body in tree.items() for copy in duplicates(key, prefix, rules)}
        _assert_equal(sorted(files), sorted(tree), "index and tree")
        recorded = {key: (entry.size, entry.crc64nvme) for key, entry in files.items()}
        _assert_equal(recorded, {key: (len(body), crc64nvme(body)) for key, body in tree.items()}, "index and tree")
        _assert_equal(current, wanted, "bucket and tree")
        served = {key: found.body for key, found in self.objects.current.items()}
        stale = {key for key, body in self.cached.items() if served.get(key) != body}
        assert not stale, f"cached for good, but no longer what the bucket has: {stale}"
        head = self.index.head
        assert head is not None
        assert head.open is None

    def _handle(self, kind: str, name: str) -> None:
        d = self.descriptor
        if kind == "invalidate":
            if name == EVERYTHING:
                self.cached.clear()
            self.cached.pop(name, None)
            return
        key = index_key(name) if kind == "page" else name
        assert self.index.has_leaf_for(key), f"a {kind} job about a key of which the index knows nothing: {key}"
        if kind == "delete" and key not in self.index.files():
            self.objects.current.pop(key, None)
        if key == index_key(split(key)[0]):
            self._make_page(split(key)[0])
        self.cached.pop(key, None)
        for copy in duplicates(key, d.prefix, d.copy_rules):
            if key in self.objects.current:
                self.objects.current[copy] = replace(self.objects.current[key], modified=self.clock.now())
            else:
                self.objects.current.pop(copy, None)
            self.cached.pop(copy, None)

    def _make_page(self, directory: str) -> None:
        key, there = index_key(directory), self.objects.current.get(index_key(directory))
        exists = any(not leaf.gone for (at, _), leaf in self.index.all().items() if at == directory)
        if key not in self.index.files() and exists and self.descriptor.directory_pages:
            if there is None or there.generated:
                self.objects.current[key] = StoredObject(b"page", {}, self.clock.now(), generated=True)
        elif there is not None and there.generated:
            del self.objects.current[key]


def _assert_equal(one: object, other: object, what: str) -> None:
    assert one == other, f"{what} differ:\n{one}\n{other}"


def unavailable(text: str = "no answer") -> UnavailableError:
    """Give the error of a request that may have worked."""
    return UnavailableError(text)


def sent_jobs(world: World) -> dict[str, list[str]]:
    """Give the names of the jobs that were sent, sorted, by kind; without the kinds that have none."""
    kinds = {job.kind for job in world.queues.jobs}
    found: dict[str, list[str]] = {kind: sorted(set(world.jobs(kind))) for kind in sorted(kinds)}
    world.handle()
    return found
