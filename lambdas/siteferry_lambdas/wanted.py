"""What a window of jobs wants invalidated, by URL paths or by cache tags, and how few paths it can be. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from siteferry_contract.cache_tags import DEEPEST, directory_tag, file_tag
from siteferry_contract.copy_rules import original_of
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import EVERYTHING, Job
from siteferry_contract.shape import Shape
from siteferry_contract.urls import url_paths
from siteferry_lambdas.cover import WHOLE_SITE, Limits, cover


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is sent to CloudFront."""

    paths: tuple[str, ...]
    """Sorted."""
    wildcards: int
    over: int
    """Objects thrown out that did not change, estimated."""


EVERYTHING_CHOSEN: Final = Chosen((WHOLE_SITE,), 1, 0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be reached."""

    keys: Mapping[str, str]
    """By URL path; the key of what has changed there. `/*`: everything."""
    tagged: bool
    """By tags. The path stands for its object then, and for all its duplicates."""
    shape: Shape | None

    def fits(self, limits: Limits) -> bool:
        """Tell whether the limits allow it all as precisely as it can be said."""
        return len(self.keys) <= limits.paths and (WHOLE_SITE not in self.keys or limits.wildcards > 0)

    def within(self, limits: Limits) -> Chosen | None:
        """Choose the best that the limits allow; None: nothing is."""
        if WHOLE_SITE in self.keys:
            return EVERYTHING_CHOSEN if limits.wildcards else None
        if not self.tagged:
            covering = cover(self.keys, limits, self._objects)
            if covering is None:
                return None
            return Chosen(covering.paths, len(covering.directories), covering.over)
        # A directory's tag is a path like any other.
        covering = cover(self.keys, Limits(limits.paths, limits.paths), self._objects, deepest=DEEPEST)
        if covering is None:
            return None
        files = [f"#{self.keys[path]}" for path in covering.exact]
        directories = [f"#{directory_tag(_name(directory))}" for directory in covering.directories]
        return Chosen(tuple(sorted({*files, *directories})), 0, covering.over)

    def _objects(self, directory: str) -> int | None:
        return self.shape.objects(_name(directory)) if self.shape else None


def wanted_by(jobs: Iterable[Job], own: Descriptor, shape: Shape | None) -> Wanted:
    """Give what jobs want.

    Tags reach only what is cached with tags. While it is not known that all objects have them, and for the jobs of runs
    before that, it is done by paths; so is the whole window if that holds for one of its jobs.
    """
    jobs = tuple(jobs)
    names = {name for job in jobs for name in job.names}
    since = shape.tagged_run if shape else None
    tagged = own.has_tags and since is not None and all(job.run > since for job in jobs if job.names)
    if EVERYTHING in names:
        return Wanted({WHOLE_SITE: ""}, tagged=False, shape=shape)
    if not tagged:
        return Wanted({path: name for name in names for path in url_paths(name, own.prefix)}, tagged=False, shape=shape)
    keys = {original_of(name, own.prefix, own.copy_rules) or name for name in names}
    return Wanted({url_paths(key, own.prefix)[-1]: file_tag(key, own.prefix) for key in keys}, tagged=True, shape=shape)


def _name(directory: str) -> str:
    """Give a directory as the shape names it."""
    return unquote(directory[1:-1])
