"""The Lambda for invalidate jobs. A batch becomes one invalidation: its jobs are done together, then reported."""

from typing import Any, Final

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

from siteferry_contract.job import Job
from siteferry_lambdas.batch import Edge, process_batch
from siteferry_lambdas.compose import site_of_this_lambda, warm
from siteferry_lambdas.invalidations import settle_invalidations
from siteferry_lambdas.ports import Site
from siteferry_lambdas.report import Report

_EDGE: Final = Edge.of("invalidate")
warm()


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    """Take a batch of SQS records; give those that failed."""
    return handle_batch(_EDGE, site_of_this_lambda(), event, context)


def handle_batch(edge: Edge, site: Site, event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    """Do the same for any site."""
    messages = {record["messageId"]: record["body"] for record in event["Records"]}
    outcomes = settle_invalidations(site, messages, edge.logger.warning)

    def outcome(_: Job, message_id: str) -> Report:
        result = outcomes[message_id]
        if isinstance(result, Exception):
            raise result
        return result

    return process_batch(edge, site, event, context, outcome)
