"""The alarm on what visitors get. CloudFront's metrics are in us-east-1, and an alarm has to be where its metric is."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from siteferry_infra.alarms import RUNBOOKS, Alarms
from siteferry_infra.settings import SiteSettings

REGION: Final = "us-east-1"
MOST_ERRORS: Final = 5
"""Percent of the requests."""


def cdn_metric(distribution: str, name: str, statistic: str, region: str | None = None) -> cloudwatch.Metric:
    """Give a metric of a distribution."""
    return cloudwatch.Metric(
        namespace="AWS/CloudFront",
        metric_name=name,
        dimensions_map={"DistributionId": distribution, "Region": "Global"},
        statistic=statistic,
        period=cdk.Duration.minutes(5),
        region=region,
    )


def add_cdn_alarm(
    scope: Construct,
    construct_id: str,
    *,
    site: str,
    distribution: str,
    alarms: Alarms,
    condition: cdk.CfnCondition | None = None,
) -> None:
    """Watch the answers of the distribution."""
    alarms.add(
        Construct(scope, construct_id),
        "cdn-errors",
        metric=cdn_metric(distribution, "5xxErrorRate", "Average"),
        limit=MOST_ERRORS,
        periods=3,
        runbook="cdn-errors",
        what=f"CloudFront has answered over {MOST_ERRORS} % of the requests to site {site} with an error of its own or"
        " of S3 (5xx) for a quarter of an hour.",
        condition=condition,
    )


class CdnAlarmStack(cdk.Stack):
    """The same alarm for a site whose stack is in another region, with a topic of its own, since those are regional."""

    def __init__(self, scope: Construct, construct_id: str, *, site: SiteSettings, distribution: str) -> None:
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(region=REGION),
            description=f"siteferry: the alarm on CloudFront's errors of the site {site.name}",
        )
        cdk.Tags.of(self).add("siteferry:site", site.name)
        alarms = Alarms(self, "Alarms", site=site.name, email=site.alarm_email, runbooks=site.runbook_url or RUNBOOKS)
        add_cdn_alarm(self, "Cdn", site=site.name, distribution=distribution, alarms=alarms)
