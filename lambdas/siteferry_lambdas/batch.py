"""The edge of every handler: a batch of SQS records in, the failed ones out. Logs, metrics, and the retry delay."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from siteferry_contract.errors import ContractError
from siteferry_contract.job import Job, JobKind, decode_job
from siteferry_lambdas.errors import HandlerError, retry_helps
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report

FIRST_RETRY: Final = 15
"""Seconds. Doubled with every receipt: most failures are throttles or races, over long before the visibility ends."""
LAST_RETRY: Final = 300

UNITS: Final[Mapping[str, MetricUnit]] = {"BudgetUsedPercent": MetricUnit.Percent}
"""Of what is not a count."""
JOBS_DONE: Final = "JobsDone"
"""Jobs that were done."""
JOBS_FAILED: Final = "JobsFailed"
"""Tries of a job that failed; it is tried again."""

Handle = Callable[[Job, str], Report]
"""Does a job, given with its SQS message id."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What one handler writes its logs and metrics with."""

    kind: JobKind
    logger: Logger
    metrics: Metrics

    @classmethod
    def of(cls, kind: JobKind) -> "Edge":
        """Make the edge of the handler of a kind."""
        service = f"siteferry-{kind}"
        # Names are hostile, and a log viewer may be a terminal: ASCII only.
        serializer = partial(json.dumps, default=ascii, ensure_ascii=True, separators=(",", ":"))
        logger = Logger(service=service, json_serializer=serializer, log_record_order=["level", "message"])
        return cls(kind, logger, Metrics(namespace="siteferry", service=service))


def retry_delay(receives: int) -> int:
    """Give the seconds after which a record comes again that failed at its n-th receipt."""
    return min(FIRST_RETRY << min(max(receives, 1) - 1, 10), LAST_RETRY)


def process_batch(
    edge: Edge, site: Site, event: dict[str, Any], context: Any, handle: Handle
) -> PartialItemFailureResponse:
    """Do the job of every record; a record that fails, fails alone, and is given back to SQS."""
    own, logger, metrics = site.descriptor, edge.logger, edge.metrics
    metrics.set_default_dimensions(site=own.site)

    def do(record: SQSRecord) -> None:
        job = decode_job(record.body, kind=edge.kind, site=own.site, prefix=own.prefix)
        logger.append_keys(run=job.run, job=job.id)
        report = handle(job, record.message_id)
        metrics.add_metric(name=JOBS_DONE, unit=MetricUnit.Count, value=1)
        for name, value in report.counts.items():
            metrics.add_metric(name=name, unit=UNITS.get(name, MetricUnit.Count), value=value)
        logger.info("job done", extra={"names": len(job.names), **report.counts})

    def record_handler(record: SQSRecord) -> None:
        receives = int(record.attributes.approximate_receive_count)
        logger.append_keys(site=own.site, message_id=record.message_id, receives=receives)
        try:
            do(record)
        except Exception as error:
            metrics.add_metric(name=JOBS_FAILED, unit=MetricUnit.Count, value=1)
            foreseen = isinstance(error, HandlerError | ContractError)
            delay = retry_delay(receives)
            fields = {"reason": str(error), "retry_helps": retry_helps(error), "retry_in": delay}
            # To what is foreseen, a traceback adds nothing.
            logger.error("job failed", exc_info=not foreseen, extra=fields)  # noqa: TRY400
            _retry_in(edge, site, record, delay)
            raise
        finally:
            logger.remove_keys(["run", "job", "message_id", "receives"])

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    try:
        return process_partial_response(
            event=event, record_handler=record_handler, processor=processor, context=context
        )
    finally:
        metrics.flush_metrics()


def _retry_in(edge: Edge, site: Site, record: SQSRecord, delay: int) -> None:
    try:
        site.queues.retry_in(edge.kind, record.receipt_handle, delay=delay)
    except HandlerError as error:
        # Then it comes again when its visibility ends: later, but as surely.
        edge.logger.warning("the retry could not be brought forward", reason=str(error))
