"""The alarm that tells that a site's invalidations have become coarse, because the month's budget is used up."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from siteferry_infra.alarms import Alarms

USED_UP: int = 100
"""Percent."""


def budget_metric(site: str) -> cloudwatch.Metric:
    """Give what the invalidate handler says of the budget with every invalidation."""
    return cloudwatch.Metric(
        namespace="siteferry",
        metric_name="BudgetUsedPercent",
        dimensions_map={"service": "siteferry-invalidate", "site": site},
        statistic="Maximum",
        # Between two invalidations there is no data: a short period would tell the all-clear with each pause.
        period=cdk.Duration.hours(24),
    )


def add_budget_alarm(scope: Construct, construct_id: str, *, site: str, budget: int, alarms: Alarms) -> None:
    """Watch it."""
    alarms.add(
        Construct(scope, construct_id),
        "invalidation-budget",
        metric=budget_metric(site),
        limit=USED_UP - 1,
        runbook="invalidation-budget",
        what=f"The {budget} invalidation paths a month of site {site} are used up. Changes still go live as soon as"
        " before, but each window of them is invalidated by one path, often a wildcard, so that visitors fetch"
        " more than what has changed. It ends with the month (UTC).",
    )
