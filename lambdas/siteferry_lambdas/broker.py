"""The invalidation broker: reserves, invalidates, and keeps the ledger.

The ledger saves money and refusals, nothing else depends on it: if it cannot be read or written, what has changed is
invalidated all the same.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from siteferry_contract.errors import ContractError
from siteferry_lambdas.cover import Limits
from siteferry_lambdas.errors import BusyError, HandlerError, RefusedPathsError
from siteferry_lambdas.ledger import Ledger
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report
from siteferry_lambdas.wanted import EVERYTHING_CHOSEN, Chosen, Wanted

ATTEMPTS: Final = 8
"""At writing the ledger, while others write it too."""
WITHOUT_LEDGER: Final = Limits(200, 7)
"""What a window may use if the ledger is out of reach: two handlers may be at work, so less than half the wildcards."""
REFERENCE_CHARACTERS: Final = 32
"""Of a CallerReference, that the ledger keeps: enough to tell it from all others."""

Warn = Callable[[str], None]


def invalidate(site: Site, wanted: Wanted, message_ids: Iterable[str], run: int, warn: Warn) -> Report:
    """Invalidate what is wanted; raises BusyError if it has to wait, and HandlerError."""
    message_ids = tuple(message_ids)
    chosen, ledger = _reserve(site, wanted, message_ids, run, warn)
    try:
        _create(site, chosen, message_ids, run, ledger, warn)
    except RefusedPathsError:
        # One path that CloudFront does not take would hold back all the others for good.
        chosen = EVERYTHING_CHOSEN
        name = _name(message_ids, chosen)
        if ledger:
            ledger = _enter(site, lambda now: now.reserve(name, 1, 1, run, site.now()), warn) or ledger
        _create(site, chosen, message_ids, run, ledger, warn)
    counts = {
        "PathsInvalidated": len(chosen.paths),
        "WildcardsInvalidated": chosen.wildcards,
        "ObjectsOverInvalidated": chosen.over,
    }
    if ledger:
        counts["BudgetUsedPercent"] = ledger.budget_used(site.descriptor.invalidation_budget)
    return Report(counts)


def _reserve(
    site: Site, wanted: Wanted, message_ids: tuple[str, ...], run: int, warn: Warn
) -> tuple[Chosen, Ledger | None]:
    """Choose what to send, and enter it in the ledger if that is within reach."""
    budget, listed = site.descriptor.invalidation_budget, False
    completed: frozenset[str] = frozenset()
    try:
        for _ in range(ATTEMPTS):
            before = site.broker.ledger()
            ledger = before.at(site.now()).without(completed)
            limits = ledger.allowance(run, budget)
            if not listed and ledger.active and not (limits and wanted.fits(limits)):
                listed, completed = True, _completed(site)
                ledger = ledger.without(completed)
                limits = ledger.allowance(run, budget)
            chosen = wanted.within(limits) if limits else None
            if chosen is None:
                raise BusyError("as many invalidations are in progress as CloudFront takes", retry_helps=True)
            name = _name(message_ids, chosen)
            after = ledger.reserve(name, len(chosen.paths), chosen.wildcards, run, site.now())
            if site.broker.replace(before, after):
                return chosen, after
        warn(f"the broker's ledger was written by others {ATTEMPTS} times in a row: invalidating without it")
    except BusyError:
        raise
    except (HandlerError, ContractError) as error:
        warn(f"the broker's ledger is out of reach, invalidating without it: {error}")
    chosen = wanted.within(WITHOUT_LEDGER)
    assert chosen is not None, "a wildcard is allowed"
    return chosen, None


def _create(
    site: Site, chosen: Chosen, message_ids: tuple[str, ...], run: int, ledger: Ledger | None, warn: Warn
) -> None:
    """Create the invalidation; what is known of it afterwards goes into the ledger."""
    name = _name(message_ids, chosen)
    try:
        created = site.cdn.invalidate(chosen.paths, reference(message_ids, chosen.paths))
    except (BusyError, RefusedPathsError):
        if ledger:
            _enter(site, lambda now: now.refused(name, run), warn)
        raise
    if ledger:
        _enter(site, lambda now: now.created(name, created), warn)


def _enter(site: Site, change: Callable[[Ledger], Ledger], warn: Warn) -> Ledger | None:
    """Change the ledger. If that fails, the entry as it is will go by its age."""
    try:
        for _ in range(ATTEMPTS):
            before = site.broker.ledger()
            after = change(before)
            if site.broker.replace(before, after):
                return after
    except (HandlerError, ContractError) as error:
        warn(f"the broker's ledger could not be brought up to date: {error}")
    return None


def _completed(site: Site) -> frozenset[str]:
    with suppress(HandlerError):
        return frozenset(site.cdn.completed())
    return frozenset()


def _name(message_ids: tuple[str, ...], chosen: Chosen) -> str:
    return reference(message_ids, chosen.paths)[-REFERENCE_CHARACTERS:]


def reference(message_ids: Iterable[str], paths: Iterable[str]) -> str:
    """Give the CallerReference: the same messages received again make the same invalidation.

    From the paths alone, a second genuine change of them would be swallowed; from the message ids alone, an attempt
    that chooses other paths, because more or less is free by then, would be refused for those of the one before.
    """
    digest = hashlib.sha256()
    for part in (*sorted(message_ids), "", *paths):
        digest.update(part.encode() + b"\0")
    return f"siteferry-{digest.hexdigest()}"
