"""The goals, and whether a result meets them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from siteferry_contract.job import JobKind
from siteferry_infra.sizes import SIZES
from tests.bench.daemon import CYCLES, INTERVAL_SECONDS
from tests.bench.handlers import HANDLERS
from tests.bench.results import Result
from tests.bench.site import SETTLE_SECONDS
from tests.bench.workbench import LIMIT

SITE: Final = "siteferry"
HEARTBEATS: Final = frozenset({"dynamodb.PutItem", "dynamodb.UpdateItem", "cloudwatch.PutMetricData"})
"""What a daemon does without a change: it renews its lease, and says that it lives."""
LEASE_SECONDS: Final = 180
RENEWALS: Final = 4
"""In the time of one lease."""
MEGABYTES_OF_A_CPU: Final = 1769
"""At which a Lambda has one CPU: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html."""
FLAT: Final = (100_000, 4_000_000)
"""Files between which memory may grow by a fifth at most."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal, judged."""

    text: str
    value: float
    most: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value <= self.most

    def line(self) -> str:
        """Say it in a line."""
        word = "met" if self.met else "MISSED"
        return f"{word}: {self.text}: {self.value:.3g}{self.unit}, at most {self.most:.3g}{self.unit}"


_OF_THE_INDEX: Final = frozenset({"ssm.GetParameter", "dynamodb.GetItem", "dynamodb.Scan"})


def judge(result: Result) -> list[Goal]:
    """Judge the goals that a result can tell about; one that needs a peer that did not run is left out."""
    return list(_JUDGES[result.case](result))


def judge_growth(results: Sequence[Result]) -> list[Goal]:
    """Judge what only several sizes together can tell."""
    memory = {result.files: result.median(SITE, "rss") for result in results if result.case == "nochange"}
    if not all(files in memory for files in FLAT):
        return []
    small, large = (memory[files] for files in FLAT)
    return [Goal(f"memory at {FLAT[1]:,} files, of that at {FLAT[0]:,}", large / small, 1.2, " times")]


def _ratio(result: Result, measure: str, other: str) -> float:
    return result.median(SITE, measure) / result.median(other, measure)


def _no_change(result: Result) -> Iterator[Goal]:
    if LIMIT in result.rows:
        yield Goal("no change: CPU, of the scan in C", _ratio(result, "cpu", LIMIT), 2.0, " times")
        yield Goal("no change: wall time, of the scan in C", _ratio(result, "wall", LIMIT), 1.1, " times")
    if "rclone" in result.rows:
        yield Goal("no change: CPU, of rclone's", _ratio(result, "cpu", "rclone"), 1 / 5, " times")
    yield Goal("no change: RSS of the largest process", result.median(SITE, "largest") / 2**20, 60, " MiB")
    reads = {"ssm.GetParameter", "dynamodb.GetItem"}
    yield Goal("no change: requests beyond descriptor and head", _others(result, reads), 0)


def _changed(result: Result) -> Iterator[Goal]:
    if "rclone" in result.rows:
        yield Goal("1 % changed: CPU, of rclone's", _ratio(result, "cpu", "rclone"), 1 / 3, " times")


def _first(result: Result) -> Iterator[Goal]:
    peers = [name for name in result.rows if name not in (SITE, LIMIT)]
    if peers:
        best = min(peers, key=lambda name: result.median(name, "cpu"))
        yield Goal(f"first sync: CPU, of the best peer's ({best})", _ratio(result, "cpu", best), 1 / 2, " times")
    puts = result.requests(SITE)
    yield Goal("first sync: PUTs a file", puts.get("s3.PutObject", 0) / result.files, 1)
    beside = sum(count for name, count in puts.items() if name.startswith("s3.") and name != "s3.PutObject")
    yield Goal("first sync: other requests to S3", beside, 0)


def _daemon(result: Result) -> Iterator[Goal]:
    seconds = result.median(SITE, "wall") * CYCLES
    yield Goal("daemon, no change: requests beyond renewal and heartbeat", _others(result, HEARTBEATS), 0)
    most = 2 + 2 * seconds * RENEWALS / LEASE_SECONDS
    beats = sum(count for name, count in result.requests(SITE).items() if name in HEARTBEATS)
    yield Goal(f"daemon, no change: renewals and heartbeats in {seconds:.0f} s", beats, most)


def _one(result: Result) -> Iterator[Goal]:
    requests = result.requests(SITE)
    yield Goal("one change: live after", result.median(SITE, "wall"), INTERVAL_SECONDS + 2, " s")
    for operation, text, most in (
        ("s3.PutObject", "PUTs", 1),
        ("dynamodb.TransactWriteItems", "leaf commits", 1),
        ("dynamodb.PutItem", "writes of the head: open, close, at most one renewal", 3),
        ("sqs.SendMessageBatch", "requests that send jobs", 3),
    ):
        yield Goal(f"one change: {text}", requests.pop(operation, 0), most)
    yield Goal("one change: other requests", sum(requests.values()), 0)


def _hinted(result: Result) -> Iterator[Goal]:
    yield Goal("one hinted change: live after", result.median(SITE, "wall"), SETTLE_SECONDS + 2, " s")
    yield Goal("one hinted change: CPU", result.median(SITE, "cpu"), 0.5, " s")


def in_lambda(kind: JobKind, cpu: float) -> float:
    """Give the seconds that so many of CPU take in the handler's Lambda."""
    return cpu * MEGABYTES_OF_A_CPU / SIZES[kind].memory_mb


def _renamed(result: Result) -> Iterator[Goal]:
    requests = result.requests(HANDLERS)
    looks = requests.get("s3.HeadObject", 0) / result.files
    yield Goal("renamed: HEADs of the handlers a deleted key", looks, 2.1)
    paths = [row["units"].get("cloudfront.Paths", 0) for row in result.rows[HANDLERS]]
    yield Goal("renamed: paths invalidated", max(paths), 3_000)
    longest = max(
        in_lambda(kind, batch["longest_cpu"]) / SIZES[kind].timeout_seconds
        for row in result.rows[HANDLERS]
        for kind, batch in row["batches"].items()
    )
    yield Goal("renamed: the longest batch, of its Lambda's time-out", longest, 0.5)


def _restore(result: Result) -> Iterator[Goal]:
    peers = [name for name in result.rows if not name.startswith(SITE)]
    if peers:
        best = min(peers, key=lambda name: result.median(name, "cpu"))
        yield Goal(f"restore: CPU, of the best peer's ({best})", _ratio(result, "cpu", best), 1 / 2, " times")
    gets = result.requests(SITE).get("s3.GetObject", 0) / result.files
    yield Goal("restore: GETs a file", gets, 1.01)  # earlier cases add a few files
    yield Goal("restore: other requests to S3", _others(result, {"s3.GetObject", *_OF_THE_INDEX}), 0)


def _again(result: Result) -> Iterator[Goal]:
    yield Goal("restore, nothing differs: requests beyond those for the index", _others(result, _OF_THE_INDEX), 0)


def _rebuilt(result: Result) -> Iterator[Goal]:
    requests = result.requests(SITE)
    yield Goal("rebuilt: HEADs a file", requests.get("s3.HeadObject", 0) / result.files, 1)
    yield Goal("rebuilt: PUTs", requests.get("s3.PutObject", 0), 0)


def _others(result: Result, known: "set[str] | frozenset[str]") -> float:
    return sum(count for operation, count in result.requests(SITE).items() if operation not in known)


_JUDGES: Final[Mapping[str, Callable[[Result], Iterator[Goal]]]] = {
    "nochange": _no_change,
    "changed": _changed,
    "first": _first,
    "daemon": _daemon,
    "one": _one,
    "hinted": _hinted,
    "restore": _restore,
    "again": _again,
    "renamed": _renamed,
    "rebuilt": _rebuilt,
}
