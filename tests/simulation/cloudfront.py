"""A distribution in memory whose cache really caches, so that a copy that nobody invalidated is seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from siteferry_contract.cache_tags import METADATA
from siteferry_contract.urls import url_paths
from tests.simulation.s3 import Version

ERROR_SECONDS: Final = 10.0
"""For which a 404 is cached."""
MAX_WILDCARDS: Final = 15
"""In progress: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html."""
MAX_PATHS: Final = 3000


class TooManyError(Exception):
    """TooManyInvalidationsInProgress."""


@dataclass(slots=True)
class _Invalidation:
    id: str
    paths: tuple[str, ...]
    created: float
    ends: float


@dataclass(slots=True)
class Cdn:
    """The distribution. `origin` gives what the bucket has now."""

    now: Callable[[], float]
    at: Callable[[float, Callable[[], None]], None]
    seconds: Callable[[], float]
    """Draws how long an invalidation takes."""
    origin: Callable[[str], Version | None]
    prefix: str
    cached: dict[str, tuple[str, Version | None, float]] = field(default_factory=dict)
    """By URL path: key, what was fetched, and when."""
    done: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Paths by reference."""
    running: list[_Invalidation] = field(default_factory=list)
    tell: Callable[[str], None] = lambda _text: None

    def visit(self, key: str) -> None:
        """Let a visitor ask for a key by each of its URLs."""
        now = self.now()
        for path in url_paths(key, self.prefix):
            held = self.cached.get(path)
            if held is None or (held[1] is None and now - held[2] > ERROR_SECONDS):
                self.cached[path] = (key, self.origin(key), now)

    def invalidate(self, paths: Sequence[str], reference: str) -> str:
        """Create an invalidation; it takes a while, and reaches only what was cached before it."""
        chosen = tuple(paths)
        if reference in self.done:
            assert self.done[reference] == chosen, "a reference is used again for other paths: CloudFront refuses"
            return f"I{list(self.done).index(reference)}"
        assert 0 < len(chosen) <= MAX_PATHS
        assert all(path.startswith(("/", "#")) and path.isascii() for path in chosen)
        running = [path for one in self.running for path in one.paths]
        wildcards = sum(path.endswith("*") for path in (*running, *chosen))
        if wildcards > MAX_WILDCARDS or len(running) + len(chosen) > MAX_PATHS:
            raise TooManyError
        self.done[reference] = chosen
        one = _Invalidation(f"I{len(self.done) - 1}", chosen, self.now(), self.now() + self.seconds())
        self.running.append(one)
        self.at(one.ends, lambda: self._end(one))
        return one.id

    def completed(self) -> set[str]:
        """Give the ids of what is over."""
        return {f"I{n}" for n in range(len(self.done))} - {one.id for one in self.running}

    def _end(self, one: _Invalidation) -> None:
        self.running.remove(one)
        exact = {path for path in one.paths if not path.endswith("*")}
        wild = tuple(path[:-1] for path in one.paths if path.endswith("*"))
        for path, (_, held, fetched) in list(self.cached.items()):
            tags = {f"#{tag}" for tag in held.metadata.get(METADATA, "").split(",")} if held else set()
            if fetched <= one.created and (path in exact or (wild and path.startswith(wild)) or tags & exact):
                del self.cached[path]
        self.tell(f"the invalidation of {', '.join(one.paths)} is complete")
