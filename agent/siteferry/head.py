"""The head: the site's single control item. Pure data and its form in DynamoDB."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from siteferry.errors import IndexDamagedError
from siteferry.header_sets import rules_to_json
from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.index import HEAD_KEY, Item

_VERSION = 1
_HOUR = 3600
_DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """Who may write. `beat` grows with every write of the head by its holder, so a living holder is seen to live."""

    owner: str
    """For people and for taking one's own lease back: host and state directory."""
    token: str
    beat: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Applied:
    """What of the descriptor the published objects were made with."""

    prefix: str
    encoding: str
    header_rules: tuple[str, ...]
    """Every set of rules, as canonical JSON, under which an object may have been put."""
    derived: str = ""
    """Copy rules, pages and redirects, as canonical JSON, that what the Lambdas make was last gone through with."""
    layout: str = ""
    """Of what the page handler makes, when page jobs of all directories were last sent."""
    tagged: int | None = None
    """The run since whose close every object carries its cache tags; None: some may not, or the site has no tags."""

    @classmethod
    def of(cls, descriptor: Descriptor) -> "Applied":
        """Take it from a descriptor."""
        rules = rules_to_json(descriptor.header_rules, tags=descriptor.has_tags)
        copies = [[rule.source, rule.destination] for rule in descriptor.copy_rules]
        derived = [copies, descriptor.directory_pages, descriptor.directory_redirects]
        layout = descriptor.page_layout if descriptor.directory_pages else ""
        layout += " with tags" if descriptor.has_tags else ""
        return cls(descriptor.prefix, descriptor.encoding, (rules,), json.dumps(derived), layout)

    def new_copy_rules(self, descriptor: Descriptor) -> tuple[CopyRule, ...]:
        """Give the copy rules that were not gone through yet."""
        known = json.loads(self.derived)[0] if self.derived else []
        return tuple(rule for rule in descriptor.copy_rules if [rule.source, rule.destination] not in known)

    def is_of(self, descriptor: Descriptor) -> bool:
        """Tell whether all that is published is as the descriptor wants it."""
        now = Applied.of(descriptor)
        return (self.header_rules, self.derived, self.layout) == (now.header_rules, now.derived, now.layout)

    def with_tagged(self, before: "Applied | None", descriptor: Descriptor, run: int) -> "Applied":
        """Say since which run all objects are tagged; `run` is the present one."""
        if not (descriptor.has_tags and self.is_of(descriptor)):
            return replace(self, tagged=None)
        since = before.tagged if before and before.is_of(descriptor) else None
        return replace(self, tagged=since if since is not None else run)

    def with_rules_of(self, before: "Applied | None") -> "Applied":
        """Add the rules under which objects may still be published."""
        earlier = before.header_rules if before else ()
        return replace(self, header_rules=tuple(dict.fromkeys((*earlier, *self.header_rules))))

    def with_derived_of(self, before: "Applied | None") -> "Applied":
        """Keep what the Lambdas' work was last gone through with; nothing is published before the first time."""
        return replace(self, derived=before.derived) if before else self

    def with_layout_of(self, before: "Applied | None") -> "Applied":
        """Keep the layout that pages may still have."""
        return replace(self, layout=before.layout) if before else self


@dataclass(frozen=True, slots=True)
class Head:
    """The control item."""

    epoch: str
    """Random, made with the table's first head."""
    run: int
    """The last run that was opened."""
    open: int | None
    """The lowest run that was not closed."""
    opened: float | None
    """When that one was opened, by its agent's clock: seconds since 1970."""
    lease: LeaseRecord | None
    applied: Applied | None
    deletes: tuple[tuple[int, int], ...] = ()
    """What runs of the last day deleted: (hour since 1970, number of files), for the brake."""
    rebuilt: bool = False
    """The index takes the place of one that was lost, whose jobs may still come: every leaf counts as one that had a
    delete (rule 5)."""

    def recent_deletes(self, now: float) -> int:
        """Give how many files were deleted within a day before `now` (seconds since 1970)."""
        return sum(count for hour, count in self.deletes if hour > now / _HOUR - _DAY_HOURS)

    def with_deletes(self, count: int, now: float) -> "Head":
        """Add deletes that a run is about to make, and forget those of more than a day ago."""
        hours = {hour: old for hour, old in self.deletes if hour > now / _HOUR - _DAY_HOURS}
        this = int(now // _HOUR)
        hours[this] = hours.get(this, 0) + count
        return replace(self, deletes=tuple(sorted(item for item in hours.items() if item[1])))

    @classmethod
    def first(cls) -> "Head":
        """Make the head of a new table."""
        return cls(epoch=secrets.token_hex(8), run=0, open=None, opened=None, lease=None, applied=None)


def head_to_item(head: Head) -> Item:
    """Encode the head."""
    item: Item = {
        **HEAD_KEY,
        "version": {"N": str(_VERSION)},
        "epoch": {"S": head.epoch},
        "run": {"N": str(head.run)},
    }
    if head.open is not None:
        item["open"] = {"N": str(head.open)}
        item["opened"] = {"N": f"{head.opened or 0:.3f}"}
    if head.lease:
        item["lease_owner"] = {"S": head.lease.owner}
        item["lease_token"] = {"S": head.lease.token}
        item["lease_beat"] = {"N": str(head.lease.beat)}
        item["lease_seconds"] = {"N": f"{head.lease.seconds:g}"}
    if head.deletes:
        item["deletes"] = {"M": {str(hour): {"N": str(count)} for hour, count in head.deletes}}
    if head.rebuilt:
        item["rebuilt"] = {"BOOL": True}
    if head.applied:
        item["applied_prefix"] = {"S": head.applied.prefix}
        item["applied_encoding"] = {"S": head.applied.encoding}
        item["applied_derived"] = {"S": head.applied.derived}
        item["applied_layout"] = {"S": head.applied.layout}
        if head.applied.tagged is not None:
            item["applied_tagged"] = {"N": str(head.applied.tagged)}
        item["applied_header_rules"] = {"L": [{"S": rules} for rules in head.applied.header_rules]}
    return item


def item_to_head(item: Mapping[str, Any]) -> Head:
    """Decode the head; raises IndexDamagedError."""
    try:
        if item["version"]["N"] != str(_VERSION):
            raise IndexDamagedError(
                f"the index's head has version {item['version']['N']}, expected {_VERSION}",
                "install the agent's release that wrote it, or a newer one",
            )
        lease = None
        if "lease_token" in item:
            lease = LeaseRecord(
                item["lease_owner"]["S"],
                item["lease_token"]["S"],
                int(item["lease_beat"]["N"]),
                float(item["lease_seconds"]["N"]),
            )
        applied = None
        if "applied_prefix" in item:
            rules = tuple(found["S"] for found in item["applied_header_rules"]["L"])
            applied = Applied(
                item["applied_prefix"]["S"],
                item["applied_encoding"]["S"],
                rules,
                item["applied_derived"]["S"],
                item["applied_layout"]["S"],
                int(item["applied_tagged"]["N"]) if "applied_tagged" in item else None,
            )
        return Head(
            epoch=item["epoch"]["S"],
            run=int(item["run"]["N"]),
            open=int(item["open"]["N"]) if "open" in item else None,
            opened=float(item["opened"]["N"]) if "open" in item else None,
            lease=lease,
            applied=applied,
            deletes=tuple(sorted((int(h), int(n["N"])) for h, n in item.get("deletes", {"M": {}})["M"].items())),
            rebuilt=item.get("rebuilt", {"BOOL": False})["BOOL"] is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IndexDamagedError(f"the index's head cannot be read: {error!r}") from error


def condition(head: Head) -> tuple[str, dict[str, str], Item]:
    """Give the condition, its names and its values under which an item is still exactly this head."""
    item = head_to_item(head)
    names: dict[str, str] = {}
    values: Item = {}
    terms = []
    for n, field in enumerate(("version", "epoch", "run", "open", "lease_token", "lease_beat")):
        names[f"#f{n}"] = field
        if field in item:
            values[f":v{n}"] = item[field]
            terms.append(f"#f{n} = :v{n}")
        else:
            terms.append(f"attribute_not_exists(#f{n})")
    return " AND ".join(terms), names, values
