"""`python -m tests.bench cover`: what invalidations cost and throw out, by other rules and by siteferry's.

All of it is computed: a made-up site, changes of it, and the paths that each rule would send. Nothing is measured, so
the table is the same wherever it is made; it is written into docs/invalidation.md.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JOB_KINDS, make_jobs
from siteferry_contract.keys import INDEX_NAME, split
from siteferry_contract.shape import Shape, shape_of
from siteferry_contract.urls import url_paths
from siteferry_lambdas.ledger import MAX_PATHS, Ledger
from siteferry_lambdas.wanted import wanted_by

DOCUMENT: Final = Path("docs/invalidation.md")
BEGIN: Final = "<!-- written by `uv run python -m tests.bench cover` -->\n"
END: Final = "<!-- end -->\n"
BUDGET: Final = 10_000
WINDOW_JOBS: Final = 5
"""Of 1,000 names, that are gathered before they become one invalidation."""
GROUPED_FROM: Final = 8
"""Paths that s3deploy sends at most, before it invalidates everything."""
RULES: Final = (CopyRule("docs/", "mirror/docs/"),)

Paths = list[str]


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Some keys of the site that have changed."""

    name: str
    keys: Collection[str]


def site() -> list[str]:
    """Give the keys of a town's web site: a blog, documents in versions, a large archive, small folders."""
    keys = ["index.html", "feed.xml", "sitemap.xml", "favicon.ico"]
    for year in range(2010, 2026):
        keys.append(f"blog/{year}/index.html")
        for month in range(1, 13):
            keys.append(f"blog/{year}/{month:02}/index.html")
            for post in range(12):
                folder = f"blog/{year}/{month:02}/post-{post}"
                keys += [f"{folder}/index.html", *(f"{folder}/photo-{n}.jpg" for n in range(3))]
    keys += ["blog/index.html", *(f"blog/tags/tag-{n}/index.html" for n in range(60))]
    for version in range(1, 13):
        for section in range(30):
            keys += [f"docs/v{version}/section-{section}/page-{n}.html" for n in range(25)]
    for kind, number in (("css", 20), ("js", 60), ("fonts", 24), ("img", 2_400)):
        keys += [f"assets/{kind}/{n}" for n in range(number)]
    for year in range(1996, 2026):
        for quarter in range(1, 5):
            keys += [f"archive/{year}/q{quarter}/record-{n}.pdf" for n in range(900)]
    for person in range(400):
        keys += [f"people/{person}/{name}" for name in (INDEX_NAME, "vita.html", "photo.jpg", "list.pdf")]
    return keys


def change_sets(keys: Sequence[str]) -> list[ChangeSet]:
    """Give changes as they happen."""
    folder = "blog/2025/05"
    docs = [key for key in keys if key.startswith("docs/v7/")]
    archive = [key for key in keys if key.startswith("archive/")]
    return [
        ChangeSet("one file", ["people/7/vita.html"]),
        ChangeSet(
            "a blog post: its listings, tags, feed",
            ["index.html", "feed.xml", "sitemap.xml", "blog/index.html", "blog/2025/index.html", f"{folder}/index.html"]
            + [f"blog/tags/tag-{n}/index.html" for n in (3, 14, 15, 26, 53)],
        ),
        ChangeSet(
            "300 files in 3 directories",
            [f"archive/{year}/q1/record-{n}.pdf" for year in (1999, 2010, 2020) for n in range(100)],
        ),
        ChangeSet("a version of the documents anew, and its mirror", docs + [f"mirror/{key}" for key in docs]),
        ChangeSet("every 100th file", keys[::100]),
        ChangeSet(
            "10 deep files and a shallow one",
            ["favicon.ico", *(f"blog/{2012 + n}/0{n % 9 + 1}/post-{n}/photo-0.jpg" for n in range(10))],
        ),
        ChangeSet("100,000 files of the archive, in 20 windows", archive[:100_000]),
    ]


@dataclass(frozen=True, slots=True)
class Price:
    """What a rule costs."""

    paths: int
    over: int
    """Objects thrown out that did not change in this run, each time that they are."""


def exact(changed: Collection[str]) -> Paths:
    """Name every path."""
    return sorted({path for key in changed for path in url_paths(key, "")})


def everything(_: Collection[str]) -> Paths:
    """Throw out the site."""
    return ["/*"]


def grouped(changed: Collection[str]) -> Paths:
    """Do as s3deploy 2.x: up to eight paths as they are; of more, the deepest are cut to the directory above theirs.

    https://github.com/bep/s3deploy/blob/master/lib/cloudfront.go
    """
    paths = {path.removesuffix(INDEX_NAME) if path.endswith(f"/{INDEX_NAME}") else path for path in exact(changed)}
    if len(paths) <= GROUPED_FROM:
        return sorted(paths)
    for depth in range(max(path.count("/") for path in paths), 0, -1):
        paths = {_cut(path) if path.count("/") > depth else path for path in paths}
        if len(paths) <= GROUPED_FROM:
            return ["/*"] if "/*" in paths else sorted(paths)
    return ["/*"]


def _cut(path: str) -> str:
    parts = path.split("/")[1:-1]
    return "/" + "/".join(parts[:-1] if len(parts) > 1 else parts) + "/*"


def by_siteferry(changed: Collection[str], shape: Shape, objects: Collection[str]) -> Price:
    """Let the broker choose, window by window, with nothing in progress before."""
    own = _descriptor()
    jobs = list(make_jobs("invalidate", changed, site="www", run=1))
    ledger, paths, over = Ledger(), 0, 0
    for n in range(0, len(jobs), WINDOW_JOBS):
        window = jobs[n : n + WINDOW_JOBS]
        limits = ledger.allowance(1, BUDGET)
        chosen = wanted_by(window, own, shape).within(limits) if limits else None
        if chosen is None:  # all wildcards are in progress: they are waited for
            ledger = ledger.without({entry.id for entry in ledger.active if entry.id})
            limits = ledger.allowance(1, BUDGET)
            assert limits
            chosen = wanted_by(window, own, shape).within(limits)
            assert chosen
        ledger = ledger.reserve(f"{n}", len(chosen.paths), chosen.wildcards, 1, 0.0).created(f"{n}", f"I{n}")
        paths += len(chosen.paths)
        over += thrown_out(chosen.paths, changed, objects)
    return Price(paths, over)


def thrown_out(paths: Sequence[str], changed: Collection[str], objects: Collection[str]) -> int:
    """Count the objects beneath wildcards that did not change."""
    wild = tuple(path[1:-1] for path in paths if path.endswith("*"))
    return sum(key.startswith(wild) and key not in changed for key in objects) if wild else 0


OTHERS: Final[Mapping[str, Callable[[Collection[str]], Paths]]] = {
    "every path": exact,
    "`/*`": everything,
    "s3deploy": grouped,
}


def compare() -> list[tuple[ChangeSet, dict[str, Price]]]:
    """Price every change set by every rule."""
    keys = site()
    mirrored = [f"mirror/{key}" for key in keys if key.startswith("docs/")]
    objects = {*keys, *mirrored}
    shape = shape_of(Counter(split(key)[0] for key in keys).items(), rules=RULES)
    found = []
    for one in change_sets(keys):
        changed = set(one.keys)
        prices = {}
        for name, rule in OTHERS.items():
            paths = rule(changed)
            prices[name] = Price(len(paths), thrown_out(paths, changed, objects))
        prices["siteferry"] = by_siteferry(dict.fromkeys(sorted(changed)), shape, objects)
        found.append((one, prices))
    return found


def render(found: Sequence[tuple[ChangeSet, Mapping[str, Price]]]) -> str:
    """Give the table in Markdown."""
    names = [*OTHERS, "siteferry"]
    lines = [
        f"| changed | objects | {' | '.join(names)} |",
        f"|---|---:|{'---:|' * len(names)}",
    ]
    for one, prices in found:
        cells = []
        for name in names:
            price = prices[name]
            refused = " (refused)" if name == "every path" and price.paths > MAX_PATHS else ""
            cells.append(f"{price.paths:,} + {price.over:,}{refused}")
        lines.append(f"| {one.name} | {len(set(one.keys)):,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def written(document: str, table: str) -> str:
    """Put a table into the document, in the place of the one that is there."""
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> str:
    """Compare, and write the table; gives it."""
    table = render(compare())
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), table), encoding="utf-8")
    return table


def _descriptor() -> Descriptor:
    return Descriptor(
        site="www",
        region="us-east-1",
        bucket="bucket",
        prefix="",
        table="table",
        encoding="utf-8",
        queues=dict.fromkeys(JOB_KINDS, ""),
        distribution="E1",
        domain="d1.test",
        page_layout="",
        directory_pages=True,
        copy_rules=RULES,
    )
