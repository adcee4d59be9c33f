"""`siteferry run`: a cycle every `interval` seconds, until asked to stop."""

from typing import Final

from siteferry.app import OpenSite
from siteferry.clock import HostClock
from siteferry.config import Config
from siteferry.errors import BusyError, ConfigError, LeaseLostError, SiteferryError
from siteferry.report import Reporter
from siteferry.state import StateDirectory
from siteferry.status import record

DESCRIPTOR_SECONDS: Final = 300.0
"""After which the descriptor is read again."""
MOST_BACK_OFF: Final = 300.0
"""Seconds between cycles while they fail."""
MOST_DOUBLINGS: Final = 12
DAY_SECONDS: Final = 86_400


def run_daemon(opened: OpenSite, config: Config, reporter: Reporter, clock: HostClock) -> bool:
    """Run cycles until the clock's stop; True: the descriptor changed, and the site must be opened again with it."""
    site = opened.site
    read_at, failures = clock.elapsed(), 0
    try:
        site.tenancy.acquire()
    except BusyError:
        if clock.stop.is_set():
            return False
        raise
    reporter.note(f"watching {config.root} for site {config.site}")
    while not clock.stop.is_set():
        begun = clock.elapsed()
        try:
            if begun - read_at >= DESCRIPTOR_SECONDS:
                read_at = begun
                if opened.source.read().revision != opened.descriptor.revision:
                    reporter.note("the site descriptor changed: starting again with it")
                    return True
            site.tenancy.acquire()
            # An audit that fails must not keep the site from being published.
            deep = audit_due(opened.state, config, clock.now()) if not failures else None
            summary = site.sync() if deep is None else site.repair(deep=deep)
        except ConfigError:
            raise
        except SiteferryError as error:
            if clock.stop.is_set():
                break
            failures += 1
            record(opened.state, config, error=error)
            reporter.note(f"ERROR: {error}" + (f" ({error.remedy})" if error.remedy else ""))
            if isinstance(error, LeaseLostError):
                site.tenancy.drop()
        else:
            failures = 0 if summary.closed else failures + 1
            record(opened.state, config, summary=summary)
            reporter.finished(summary)
        clock.wait(max(pause(config.interval, failures) - (clock.elapsed() - begun), 0.0))
    reporter.note("stopping")
    return False


def audit_due(state: StateDirectory, config: Config, now: float) -> bool | None:
    """Tell whether the audit that is due is to be deep; None: none is due."""
    requested = state.requested_audit()
    if requested is not None or not config.audit_days:
        return requested
    return False if now - state.audits_counted_from(now) >= config.audit_days * DAY_SECONDS else None


def pause(interval: float, failures: int) -> float:
    """Give the seconds from the start of a cycle to the next after a number of failures in a row."""
    longest = max(interval, MOST_BACK_OFF)
    return min(interval * (1 << min(failures, MOST_DOUBLINGS)), longest)
