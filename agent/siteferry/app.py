"""The composition root: settings in, a working site out. Here, and only here, the parts meet."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from siteferry.cache import Cache
from siteferry.carry import request_seconds
from siteferry.check import Finding
from siteferry.clock import HostClock
from siteferry.cloud_status import look
from siteferry.config import Config
from siteferry.errors import SiteferryError
from siteferry.heartbeat import REQUEST_SECONDS, Heartbeat, Metrics
from siteferry.parts import Services
from siteferry.pause import PauseWatch
from siteferry.ports import DescriptorSource, ObjectStore, QueueLook
from siteferry.progress import ProgressReporter
from siteferry.redrive import DeadLetters
from siteferry.report import Reporter
from siteferry.restore.restore import Restorer
from siteferry.runs import RunRecorder
from siteferry.state import StateDirectory
from siteferry.sync import Site
from siteferry.vitals import Vitals
from siteferry.watched import WatchedIndex, WatchedObjects, WatchedQueues
from siteferry_contract.descriptor import Descriptor

LOOK_SECONDS: Final = 6.0
"""For a request, all its tries included, that a person waits for."""


@dataclass(frozen=True, slots=True)
class OpenSite:
    """A site ready to work, and where its descriptor comes from."""

    site: Site
    descriptor: Descriptor
    source: DescriptorSource
    state: StateDirectory


def open_dead_letters(config: Config) -> tuple[DeadLetters, Descriptor]:
    """Connect to a site's dead-letter queues; works beside a running daemon. Raises SiteferryError."""
    from siteferry.aws.dead_letters import SqsDeadLetters  # noqa: PLC0415
    from siteferry.aws.descriptor import SsmDescriptor  # noqa: PLC0415
    from siteferry.aws.session import Session  # noqa: PLC0415

    session = Session(config.aws, request_seconds(config.lease))
    session.check_credentials()
    descriptor = SsmDescriptor(session, config.site).read()
    return SqsDeadLetters(session, descriptor), descriptor


def open_queue_look(config: Config, descriptor: Descriptor) -> QueueLook:
    """Connect to a site's queues to count what is in them. Raises SiteferryError."""
    from siteferry.aws.queues import SqsQueueLook  # noqa: PLC0415
    from siteferry.aws.session import Session  # noqa: PLC0415

    return SqsQueueLook(Session(config.aws, request_seconds(config.lease)), descriptor)


def look_at_cloud(config: Config) -> dict[str, Any]:
    """Count the site's jobs, read its alarms and look for its index, in a few seconds; says why if that cannot be."""
    from siteferry.aws.alarms import CloudWatchAlarms  # noqa: PLC0415
    from siteferry.aws.descriptor import SsmDescriptor  # noqa: PLC0415
    from siteferry.aws.index import DynamoIndex  # noqa: PLC0415
    from siteferry.aws.queues import SqsQueueLook  # noqa: PLC0415
    from siteferry.aws.session import Session  # noqa: PLC0415

    try:
        session = Session(config.aws, LOOK_SECONDS)
        session.check_credentials()
        descriptor = SsmDescriptor(session, config.site).read()
        index = DynamoIndex(session, descriptor.table)
        return look(SqsQueueLook(session, descriptor), CloudWatchAlarms(session, config.site), index)
    except SiteferryError as error:
        return {"unreached": str(error)}


def check_cloud(config: Config) -> Iterator[Finding]:
    """Try what the agent needs of AWS, so that nothing comes of it."""
    from siteferry.aws.check import check_aws  # noqa: PLC0415

    return check_aws(config)


@contextmanager
def open_site(config: Config, reporter: Reporter, clock: HostClock, *, to_look: bool = False) -> Iterator[OpenSite]:
    """Lock the site on this host and connect it; raises SiteferryError.

    `to_look`: only for what changes nothing. It may be done beside a daemon: without the lock, on a copy of the cache.
    """
    state = StateDirectory(config.state_dir)
    with ExitStack() as stack:
        cache = state.cache
        if to_look:
            cache = Path(stack.enter_context(TemporaryDirectory(prefix="siteferry-"))) / cache.name
            if Cache.is_readable(state.cache):
                with closing(Cache(state.cache, read_only=True)) as original:
                    original.copy(cache)
        else:
            state.lock()
            stack.callback(state.unlock)
        # After the lock, which may refuse: boto3 takes a third of a second to import.
        from siteferry.aws.descriptor import SsmDescriptor  # noqa: PLC0415
        from siteferry.aws.index import DynamoIndex  # noqa: PLC0415
        from siteferry.aws.queues import SqsQueues  # noqa: PLC0415
        from siteferry.aws.session import Session  # noqa: PLC0415

        seconds = request_seconds(config.lease)
        session = Session(config.aws, seconds)
        session.check_credentials()
        source = SsmDescriptor(session, config.site)
        descriptor = source.read()

        def open_objects() -> ObjectStore:
            from siteferry.aws.objects import S3Objects  # noqa: PLC0415

            return WatchedObjects(S3Objects(session, descriptor, config.workers, seconds), clock.progress)

        with ThreadPoolExecutor(config.workers, thread_name_prefix="upload") as executor:
            services = Services(
                index=WatchedIndex(DynamoIndex(session, descriptor.table), clock.progress),
                open_objects=open_objects,
                queues=WatchedQueues(SqsQueues(session, descriptor), clock.progress),
                clock=clock,
                executor=executor,
                progress=clock.progress,
            )
            paused = PauseWatch(lambda: state.pause(clock.now()))
            stopping = clock.is_called if to_look else lambda: clock.is_called() or paused()
            heard = reporter
            if not to_look:
                recorder = RunRecorder(reporter, state.path, clock, descriptor.retention_days)
                heard = ProgressReporter(stack.enter_context(recorder), state, clock)
            site = Site(config, descriptor, services, state, heard, stopping, cache)
            try:
                yield OpenSite(site, descriptor, source, state)
            finally:
                site.close()


@contextmanager
def open_to_restore(config: Config, reporter: Reporter, clock: HostClock) -> Iterator[Restorer]:
    """Connect to a site to restore from it; works beside a daemon. Raises SiteferryError."""
    from siteferry.aws.archive import S3Archive  # noqa: PLC0415
    from siteferry.aws.session import Session  # noqa: PLC0415

    seconds = request_seconds(config.lease)
    with open_site(config, reporter, clock, to_look=True) as opened:
        archive = S3Archive(Session(config.aws, seconds), opened.descriptor, config.workers, seconds)
        yield Restorer(opened.site.parts, archive)


@contextmanager
def open_to_keep(config: Config, reporter: Reporter, clock: HostClock, vitals: Vitals) -> Iterator[OpenSite]:
    """Open a site for a daemon: with a heartbeat, if that is wanted. Raises SiteferryError."""

    def open_metrics() -> Metrics:
        from siteferry.aws.metrics import CloudWatchMetrics  # noqa: PLC0415
        from siteferry.aws.session import Session  # noqa: PLC0415

        return CloudWatchMetrics(Session(config.aws, REQUEST_SECONDS), config.site)

    with ExitStack() as stack:
        opened = stack.enter_context(open_site(config, reporter, clock))
        if config.heartbeat:
            tenancy = opened.site.tenancy
            stack.enter_context(Heartbeat(open_metrics, vitals, lambda: tenancy.held))
        yield opened
