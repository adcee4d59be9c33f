"""The Lambda for delete jobs."""

from typing import Any, Final

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

from siteferry_lambdas.batch import Edge, process_batch
from siteferry_lambdas.compose import site_of_this_lambda, warm
from siteferry_lambdas.settle_delete import handle_delete

_EDGE: Final = Edge.of("delete")
warm()


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    """Take a batch of SQS records; give those that failed."""
    site = site_of_this_lambda()
    return process_batch(_EDGE, site, event, context, lambda job, _: handle_delete(site, job))
