"""The alarm that tells that a site's invalidations have become coarse, because the month's budget is used up."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from siteferry_infra.alarms import Alarms

USED_UP: int = 100
"""Percent."""


def add_budget_alarm(scope: Construct, construct_id: str, *, site: str, budget: int, alarms: Alarms) -> None:
    """Watch what the invalidate handler says of the budget with every invalidation."""
    alarms.add(
        Construct(scope, construct_id),
        "invalidation-budget",
        metric=cloudwatch.Metric(
            namespace="siteferry",
            metric_name="BudgetUsedPercent",
            dimensions_map={"service": "siteferry-invalidate", "site": site},
            statistic="Maximum",
            # Between two invalidations there is no data: a short period would tell the all-clear with each pause.
            period=cdk.Duration.hours(24),
        ),
        over=USED_UP - 1,
        what=f"The {budget} invalidation paths a month of site {site} are used up. Changes still go live as soon as"
        " before, but each window of them is invalidated by one path, often a wildcard, so that visitors fetch"
        " more than what has changed.",
        remedy="Nothing has to be done: it ends with the month (UTC). If it comes often, raise invalidation_budget in"
        " infra/sites.toml and deploy; each path costs $0.005 beyond the account's first 1,000 a month. The metric"
        " PathsInvalidated tells what costs how much.",
    )
