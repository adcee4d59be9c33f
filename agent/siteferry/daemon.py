"""`siteferry run`: a cycle every `interval` seconds, until asked to stop."""

from typing import Final

from siteferry.app import OpenSite
from siteferry.clock import HostClock
from siteferry.config import Config
from siteferry.errors import BusyError, ConfigError, LeaseLostError, SiteferryError
from siteferry.report import Reporter
from siteferry.status import record

DESCRIPTOR_SECONDS: Final = 300.0
"""After which the descriptor is read again."""
MOST_BACK_OFF: Final = 300.0


def run_daemon(opened: OpenSite, config: Config, reporter: Reporter, clock: HostClock) -> None:
    """Run cycles until the clock's stop; raises ConfigError if the settings no longer fit."""
    site, descriptor = opened.site, opened.descriptor
    read_at, failures = clock.elapsed(), 0
    try:
        site.acquire()
    except BusyError:
        if clock.stop.is_set():
            return
        raise
    reporter.note(f"watching {config.root} for site {config.site}")
    while not clock.stop.is_set():
        begun = clock.elapsed()
        try:
            if begun - read_at >= DESCRIPTOR_SECONDS:
                fresh, read_at = opened.source.read(), begun
                if fresh.revision != descriptor.revision:
                    raise ConfigError(
                        f"the site descriptor changed (now {fresh.revision}): ending, to be started again with it",
                        "systemd restarts the agent by itself",
                    )
            site.acquire()
            summary = site.sync()
        except ConfigError:
            raise
        except SiteferryError as error:
            failures += 1
            record(opened.state, config, error=error)
            reporter.note(f"ERROR: {error}" + (f" ({error.remedy})" if error.remedy else ""))
            if clock.stop.is_set():
                break
            if isinstance(error, LeaseLostError):
                site.drop()
            wait = min(config.interval * 2**failures, MOST_BACK_OFF)
        else:
            failures = 0
            record(opened.state, config, summary=summary)
            reporter.finished(summary)
            wait = config.interval - (clock.elapsed() - begun)
        clock.wait(max(wait, 0.0))
    reporter.note("stopping")
