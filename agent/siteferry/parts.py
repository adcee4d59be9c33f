"""What a site's runs work with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from siteferry.cache import Cache
from siteferry.config import INSIDE, Config
from siteferry.diff import Excludes, Naming
from siteferry.headers import Headers
from siteferry.lease import Renewal
from siteferry.ports import Clock, Executor, IndexStore, JobQueues, ObjectStore
from siteferry.report import Reporter
from siteferry.state import StateDirectory
from siteferry.tenancy import MakeRenewal
from siteferry.tree import Tree
from siteferry_contract.descriptor import Descriptor

GIGABYTE: Final = 1_000_000_000


@dataclass(frozen=True)
class Services:
    """What a site's runs need of the world."""

    index: IndexStore
    open_objects: Callable[[], ObjectStore]
    queues: JobQueues
    clock: Clock
    executor: Executor
    renewal: MakeRenewal = Renewal
    progress: Callable[[], None] = lambda: None
    """Called for whatever gets on here, on this host; the rest of the world does it by itself."""

    @cached_property
    def objects(self) -> ObjectStore:
        """The bucket; opened when it is first asked for, because a cycle without a change never does."""
        return self.open_objects()


@dataclass(frozen=True, slots=True)
class Parts:
    """One site on this host: its settings, the world, and what is kept of it here."""

    config: Config
    descriptor: Descriptor
    services: Services
    state: StateDirectory
    cache: Cache
    reporter: Reporter
    stopping: Callable[[], bool]

    @property
    def naming(self) -> Naming:
        """How names become keys."""
        d = self.descriptor
        most = int(self.config.max_file_size * GIGABYTE)
        return Naming(d.prefix, d.encoding, Excludes(self.config.exclude), d.copy_rules, most)

    def open_tree(self) -> Tree:
        """Open the root; raises RootError."""
        follows = self.naming.excludes if self.config.symlinks == INSIDE else None
        return Tree(self.config.root, self.services.progress, follows, self.config.max_directory)

    @property
    def headers(self) -> Headers:
        """What objects are put with."""
        d = self.descriptor
        return Headers(d.prefix, d.header_rules, encoding=d.encoding, tags=d.has_tags)
