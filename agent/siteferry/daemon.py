"""`siteferry run`: a cycle every `interval` seconds, until asked to stop."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from siteferry.app import OpenSite
from siteferry.between import Between
from siteferry.clock import HostClock
from siteferry.config import Config
from siteferry.errors import BusyError, ConfigError, LeaseLostError, SiteferryError
from siteferry.hints import Source, open_sources
from siteferry.notify import Manager
from siteferry.pause import Pause, PauseWatch
from siteferry.report import Reporter
from siteferry.state import StateDirectory
from siteferry.status import record

DESCRIPTOR_SECONDS: Final = 300.0
"""After which the descriptor is read again."""
MOST_BACK_OFF: Final = 300.0
"""Seconds between cycles while they fail."""
MOST_DOUBLINGS: Final = 12
PAUSE_SECONDS: Final = 5.0
"""Between two looks whether a pause is over."""
DAY_SECONDS: Final = 86_400
LEASES_PER_STEP: Final = 2
"""No request takes over a quarter of a lease; several may follow one another before one of them counts as progress."""

Load = Callable[[], Config]
"""Reads the configuration; raises SiteferryError."""
Open = Callable[[Config], AbstractContextManager[OpenSite]]
"""Connects a site; raises SiteferryError."""


def keep_published(
    config: Config, load: Load, open_it: Open, reporter: Reporter, clock: HostClock, manager: Manager
) -> None:
    """Keep a site published until the clock's stop, with what the configuration says by then.

    A reload whose configuration is wrong, or with which the site cannot be connected, leaves the earlier one in force.
    """
    before: Config | None = None
    while True:
        manager.allow(LEASES_PER_STEP * config.lease)
        following: Config | None
        try:
            with open_it(config) as opened:
                if not _acquire(opened, clock):
                    return
                before = None
                with open_sources(config, opened.site.parts.cache, reporter.note) as sources:
                    following = run_daemon(opened, config, reporter, clock, manager, load, sources)
        except SiteferryError as error:
            if before is None:
                raise
            _refuse(error, reporter)
            following, before = before, None
        else:
            if following is None:
                return
            before = config if following != config else None
        config = following


def run_daemon(
    opened: OpenSite,
    config: Config,
    reporter: Reporter,
    clock: HostClock,
    manager: Manager | None = None,
    load: Load | None = None,
    sources: Sequence[Source] = (),
) -> Config | None:
    """Run cycles until the clock's stop; gives the configuration with which the site must be opened again, if any.

    That is the same after the descriptor changed, and another one after a reload.
    """
    manager = manager or Manager()
    site = opened.site
    between = Between(site, config, clock, sources, PauseWatch(lambda: opened.state.pause(clock.now())))
    descriptor, failures = _Descriptor(opened, clock), 0
    if not _acquire(opened, clock):
        return None
    manager.ready()
    reporter.note(f"watching {config.root} for site {config.site}")
    gate = _Gate(opened.state, reporter, clock)
    while not clock.stop.is_set():
        if load and (following := _reload(config, load, reporter, clock, manager)):
            return following
        if gate.holds():
            continue
        begun = clock.elapsed()
        reporter.looking()
        between.begin_cycle()
        try:
            if descriptor.has_changed():
                reporter.note("the site descriptor changed: starting again with it")
                return config
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
            _fail(opened, config, reporter, error)
        else:
            failures = 0 if summary.closed else failures + 1
            record(opened.state, config, summary=summary)
            reporter.finished(summary)
            between.end_cycle(clock.elapsed() - begun)
        if not failures and not _follow_hints(opened, config, reporter, clock, between, begun + config.interval):
            failures = 1
        if failures and not (load and clock.is_called()):
            clock.wait(max(pause(config.interval, failures) - (clock.elapsed() - begun), 0.0))
    reporter.note("stopping")
    return None


def _follow_hints(
    opened: OpenSite, config: Config, reporter: Reporter, clock: HostClock, between: Between, until: float
) -> bool:
    """Publish what hints name until it is time for a full cycle; False: that failed, and full cycles go on alone."""
    while True:
        try:
            summary = between.next_look(until)
        except ConfigError:
            raise
        except SiteferryError as error:
            if not clock.stop.is_set():
                _fail(opened, config, reporter, error)
            return False
        if summary is None:
            return True
        record(opened.state, config, summary=summary)
        reporter.finished(summary)
        if not summary.closed:
            return False


def _fail(opened: OpenSite, config: Config, reporter: Reporter, error: SiteferryError) -> None:
    record(opened.state, config, error=error)
    reporter.note(f"ERROR: {error}" + (f" ({error.remedy})" if error.remedy else ""))
    if isinstance(error, LeaseLostError):
        opened.site.tenancy.drop()


class _Descriptor:
    """Reads the site descriptor again, every now and then."""

    def __init__(self, opened: OpenSite, clock: HostClock) -> None:
        self._opened, self._clock = opened, clock
        self._read_at = clock.elapsed()

    def has_changed(self) -> bool:
        """Tell whether it is another one by now, if it is time to look. Raises SiteferryError."""
        now = self._clock.elapsed()
        if now - self._read_at < DESCRIPTOR_SECONDS:
            return False
        self._read_at = now
        return self._opened.source.read().revision != self._opened.descriptor.revision


class _Gate:
    """Keeps cycles from beginning while the site is paused. The lease is renewed in the background all the same."""

    def __init__(self, state: StateDirectory, reporter: Reporter, clock: HostClock) -> None:
        self._state, self._reporter, self._clock = state, reporter, clock
        self._pause: Pause | None = None

    def holds(self) -> bool:
        """Tell whether there is a pause, after some seconds of it; False at once: there is none."""
        pause, before = self._state.pause(self._clock.now()), self._pause
        self._pause = pause
        if pause and pause != before:
            self._reporter.note(pause.describe())
        if before and not pause:
            self._reporter.note("resumed")
        if pause:
            self._clock.wait(PAUSE_SECONDS)
        return pause is not None


def _acquire(opened: OpenSite, clock: HostClock) -> bool:
    """Take the site; False: a stop was asked for meanwhile."""
    try:
        opened.site.tenancy.acquire()
    except BusyError:
        if clock.stop.is_set():
            return False
        raise
    return True


def _reload(config: Config, load: Load, reporter: Reporter, clock: HostClock, manager: Manager) -> Config | None:
    """Read the configuration again if that was asked for; None: it was not, or what is there is wrong, or the same."""
    if not clock.take_reload():
        return None
    try:
        following = load()
    except SiteferryError as error:
        _refuse(error, reporter)
    else:
        if following != config:
            reporter.note("the configuration changed: starting again with it")
            return following
        reporter.note("the configuration was read again, and is the same")
    manager.ready()
    return None


def _refuse(error: SiteferryError, reporter: Reporter) -> None:
    remedy = f" ({error.remedy})" if error.remedy else ""
    reporter.note(f"ERROR: {error}{remedy}: the configuration stays as it was")


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
