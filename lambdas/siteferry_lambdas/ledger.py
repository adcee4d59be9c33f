"""The broker's ledger: what is in progress at CloudFront, and what was spent this month. No I/O.

CloudFront takes 3,000 paths and 15 wildcards in progress a distribution, together for all invocations. So each window
of changes reserves what it is going to use, in one item that all share, before it invalidates; it is let go when
CloudFront has completed it, or by age.

A window's allowance is a part of what is left, at least 1: of a long run of windows the first ones are invalidated
exactly, later ones by fewer and coarser paths, and there is always something left for the next one. There are three
such parts:

- a quarter of the paths and wildcards that are not in progress;
- a quarter of what the run that sent the jobs has left of `RUN_PATHS`: what is delayed until others are completed would
  otherwise be allowed as much again, so that a run could cost any amount;
- a tenth of what is left of the month's budget. A tenth is more than small changes ever need, until the last percent of
  the budget; and no single large change can take so much that the rest of the month is coarse. Once the budget is used
  up, every window gets the coarsest right choice: one path.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from siteferry_contract.errors import ContractError
from siteferry_contract.index import LEDGER_KEY
from siteferry_contract.job import UNTAGGED
from siteferry_lambdas.cover import Limits

MAX_PATHS: Final = 3_000
"""In progress: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html. Wildcards do
not count towards it there; here they do, which leaves a little unused."""
MAX_WILDCARDS: Final = 15
RUN_PATHS: Final = 2_800
"""That a run may cost before each of its windows gets one path. With the windows after that it stays below 3,000."""
RUNS: Final = 8
"""Of which it is known what they cost: the latest."""
COMPLETED_AFTER: Final = 900.0
"""Seconds after which an invalidation is taken for completed; most take one or two minutes. If it is not, CloudFront
refuses, and the job waits."""
CRASHED_AFTER: Final = 180.0
"""Seconds after which a reservation is dropped that nothing was heard of: three times what a handler may take."""

_VERSION: Final = 1


class Entry(NamedTuple):
    """A reservation, and from its creation on an invalidation in progress."""

    reference: str
    """Begin of its CallerReference."""
    paths: int
    """Wildcards among them."""
    wildcards: int
    since: float
    """Seconds since 1970."""
    id: str | None = None
    """CloudFront's, once it is created."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The item. `beat` changes with every write, so that a write over what somebody else wrote is refused."""

    beat: int = 0
    month: str = ""
    """Such as 2026-11, in UTC."""
    spent: int = 0
    """Paths in that month."""
    active: tuple[Entry, ...] = ()
    runs: tuple[tuple[int, int], ...] = ()
    """Run and paths that it cost, the oldest first."""

    def at(self, now: float) -> "Ledger":
        """Leave out what is over by now."""
        month = datetime.fromtimestamp(now, UTC).strftime("%Y-%m")
        active = tuple(
            entry
            for entry in self.active
            if now - entry.since < (CRASHED_AFTER if entry.id is None else COMPLETED_AFTER)
        )
        return replace(self, month=month, spent=self.spent if month == self.month else 0, active=active)

    def without(self, ids: Collection[str]) -> "Ledger":
        """Leave out invalidations that are completed."""
        return replace(self, active=tuple(entry for entry in self.active if entry.id not in ids))

    def allowance(self, run: int, budget: int) -> Limits | None:
        """Give what a window may use whose jobs a run sent; None: nothing is free."""
        free = MAX_PATHS - sum(entry.paths for entry in self.active)
        wildcards = MAX_WILDCARDS - sum(entry.wildcards for entry in self.active)
        if free < 1:
            return None
        left = free if run == UNTAGGED else min(free, RUN_PATHS - dict(self.runs).get(run, 0))
        # Without a wildcard only exact paths can be right, so that they may be all that are left.
        paths = max(min(left // 4 if wildcards > 0 else left, (budget - self.spent) // 10), 1)
        return Limits(paths, max(min(wildcards, 1), wildcards // 4, 0))

    def budget_used(self, budget: int) -> int:
        """Give the percentage of the month's budget that is used."""
        return self.spent * 100 // budget

    def reserve(self, reference: str, paths: int, wildcards: int, run: int, now: float) -> "Ledger":
        """Enter an invalidation before it is created. One that is entered already is not counted twice."""
        known = any(entry.reference == reference for entry in self.active)
        entry = Entry(reference, paths, wildcards, now)
        cost = 0 if known else paths
        runs = dict(self.runs)
        if run != UNTAGGED:  # which is no run, and never over
            runs = {**{other: paths for other, paths in runs.items() if other != run}, run: runs.get(run, 0) + cost}
        return replace(
            self,
            beat=self.beat + 1,
            spent=self.spent + cost,
            active=(*(other for other in self.active if other.reference != reference), entry),
            runs=tuple(runs.items())[-RUNS:],
        )

    def created(self, reference: str, invalidation: str) -> "Ledger":
        """Enter that CloudFront has it."""
        entries = tuple(e._replace(id=invalidation) if e.reference == reference else e for e in self.active)
        return replace(self, beat=self.beat + 1, active=entries)

    def refused(self, reference: str, run: int) -> "Ledger":
        """Take a reservation back: there is no such invalidation."""
        cost = sum(entry.paths for entry in self.active if entry.reference == reference)
        return replace(
            self,
            beat=self.beat + 1,
            spent=max(self.spent - cost, 0),
            active=tuple(entry for entry in self.active if entry.reference != reference),
            runs=tuple((other, max(paths - cost * (other == run), 0)) for other, paths in self.runs),
        )


def ledger_to_item(ledger: Ledger) -> dict[str, Any]:
    """Encode the ledger."""
    return {
        **LEDGER_KEY,
        "version": {"N": str(_VERSION)},
        "beat": {"N": str(ledger.beat)},
        "month": {"S": ledger.month},
        "spent": {"N": str(ledger.spent)},
        "active": {"S": json.dumps(ledger.active, separators=(",", ":"))},
        "runs": {"S": json.dumps(ledger.runs, separators=(",", ":"))},
    }


def item_to_ledger(item: Mapping[str, Any]) -> Ledger:
    """Decode the ledger; raises ContractError if this release cannot read it."""
    try:
        if (version := int(item["version"]["N"])) != _VERSION:
            raise ContractError(f"it has version {version}, expected {_VERSION}")
        return Ledger(
            beat=int(item["beat"]["N"]),
            month=str(item["month"]["S"]),
            spent=int(item["spent"]["N"]),
            active=tuple(
                Entry(str(reference), int(paths), int(wildcards), float(since), None if known is None else str(known))
                for reference, paths, wildcards, since, known in json.loads(item["active"]["S"])
            ),
            runs=tuple((int(run), int(paths)) for run, paths in json.loads(item["runs"]["S"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f"the broker's item cannot be read: {error!r}") from error
