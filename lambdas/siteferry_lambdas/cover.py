"""The invalidation cover: which paths to invalidate so that everything changed is reached. No I/O.

Every path costs the same, exact or wildcard, so many changes are covered by wildcards. A wildcard also throws out
what did not change, so as few and as deep ones as the limits allow.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

WHOLE_SITE: Final = "/*"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one invalidation may have. Two handlers may be at work, and CloudFront's limits are for both together."""

    paths: int = 200
    """Exact and wildcard paths together, at least 1. CloudFront: 3,000 in progress; 1,000 a month are free.
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"""
    wildcards: int = 7
    """At least 1. CloudFront: 15 in progress (the same page)."""


def cover(paths: Collection[str], limits: Limits) -> tuple[str, ...]:
    """Give paths, sorted, that cover every one of `paths` within the limits.

    If they are too many, the whole site is taken apart from the top: as long as the limits allow, the wildcard of
    the shallowest directory makes room for what is in it.
    """
    exact = set(paths)
    if WHOLE_SITE in exact:
        return (WHOLE_SITE,)
    if len(exact) <= limits.paths:
        return tuple(sorted(exact))
    chosen = {"/": _tree(exact)}
    done: set[str] = set()
    refused: set[str] = set()
    while candidates := [path for path in chosen if path not in refused]:
        path = min(candidates, key=lambda candidate: (candidate.count("/"), candidate))
        node = chosen[path]
        wildcards = {f"{path}{name}/": child for name, child in node.children.items() if child.count > 1}
        singles = {child.only_path() for child in node.children.values() if child.count == 1}
        new_done = done | node.paths | singles
        new_wildcards = len(chosen) - 1 + len(wildcards)
        if new_wildcards > limits.wildcards or len(new_done) + new_wildcards > limits.paths:
            refused.add(path)
            continue
        del chosen[path]
        chosen |= wildcards
        done = new_done
    return tuple(sorted(done | {f"{path}*" for path in chosen}))


@dataclass(slots=True)
class _Directory:
    paths: set[str] = field(default_factory=set)
    """Those in the directory itself, and its own."""
    children: dict[str, "_Directory"] = field(default_factory=dict)
    count: int = 0
    """Of the paths here and beneath."""

    def only_path(self) -> str:
        node = self
        while not node.paths:
            (node,) = node.children.values()
        (path,) = node.paths
        return path


def _tree(paths: Iterable[str]) -> _Directory:
    root = _Directory()
    for path in paths:
        node = root
        node.count += 1
        for part in path.split("/")[1:-1]:
            node = node.children.setdefault(part, _Directory())
            node.count += 1
        node.paths.add(path)
    return root
