"""The dashboard, which answers one question at a look: whether the site is current."""

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from siteferry_contract.job import JobKind
from siteferry_infra.agent_alarms import heartbeat
from siteferry_infra.cdn_alarm import REGION, cdn_metric
from siteferry_infra.job_pipeline import JobQueue

_WIDTH = 24
_FIVE_MINUTES = cdk.Duration.minutes(5)


class Dashboard(Construct):
    """The state of all alarms, the figures of the last heartbeat, and beneath them what they come from."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        site: str,
        distribution: str,
        queues: Mapping[JobKind, JobQueue],
        functions: Mapping[JobKind, lambda_.IFunction],
        alarms: Sequence[cloudwatch.IAlarm],
        budget: cloudwatch.Metric,
    ) -> None:
        super().__init__(scope, construct_id)
        dead = {
            kind: jobs.dead.metric_approximate_number_of_messages_visible(
                period=cdk.Duration.minutes(1), statistic="Maximum", label=kind
            )
            for kind, jobs in queues.items()
        }
        names = {kind: f"m{number}" for number, kind in enumerate(dead)}
        dead_letters = cloudwatch.MathExpression(
            expression=" + ".join(f"FILL({name}, 0)" for name in names.values()),
            using_metrics={names[kind]: metric for kind, metric in dead.items()},
            label="jobs in dead-letter queues",
            period=cdk.Duration.minutes(1),
        )
        # Without FILL the last heartbeat there was would be shown, however long ago.
        alive = cloudwatch.MathExpression(
            expression="FILL(alive, 0)",
            using_metrics={"alive": heartbeat(site, "Alive", "Sum", _FIVE_MINUTES)},
            label="4 or 5 is well",
            period=_FIVE_MINUTES,
        )
        hour = cdk.Duration.hours(1)

        def graph(title: str, *metrics: cloudwatch.IMetric, region: str | None = None) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(metrics), width=_WIDTH // 2, region=region)

        def number(title: str, metric: cloudwatch.IMetric) -> cloudwatch.SingleValueWidget:
            return cloudwatch.SingleValueWidget(title=title, metrics=[metric], width=_WIDTH // 6, height=4)

        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=f"siteferry-{site}",
            default_interval=cdk.Duration.hours(12),
            widgets=[
                [
                    number("Agent: heartbeats in 5 minutes", alive),
                    number("Oldest unpublished change (s)", heartbeat(site, "OldestUnpublishedSeconds", "Maximum")),
                    number("Deletes held", heartbeat(site, "Held", "Maximum")),
                    number("Files being written", heartbeat(site, "Deferred", "Maximum")),
                    number("Failures in an hour", heartbeat(site, "Failed", "Sum", hour)),
                    number("Dead letters", dead_letters),
                ],
                [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=_WIDTH, height=4)],
                [
                    graph(
                        "Files",
                        heartbeat(site, "Published", "Sum", _FIVE_MINUTES),
                        heartbeat(site, "Failed", "Sum", _FIVE_MINUTES),
                    ),
                    graph("Oldest unpublished change", heartbeat(site, "OldestUnpublishedSeconds", "Maximum")),
                ],
                [
                    graph(
                        "Age of the oldest job",
                        *(
                            jobs.queue.metric_approximate_age_of_oldest_message(
                                period=_FIVE_MINUTES, statistic="Maximum", label=kind
                            )
                            for kind, jobs in queues.items()
                        ),
                    ),
                    graph("Dead letters", *dead.values()),
                ],
                [
                    graph(
                        "Handlers: errors and throttles",
                        *(
                            metric
                            for kind, function in functions.items()
                            for metric in (
                                function.metric_errors(period=_FIVE_MINUTES, statistic="Sum", label=f"{kind} errors"),
                                function.metric_throttles(
                                    period=_FIVE_MINUTES, statistic="Sum", label=f"{kind} throttles"
                                ),
                            )
                        ),
                    ),
                    graph("Invalidation budget used (%)", budget),
                ],
                [
                    graph("Visitors: requests", cdn_metric(distribution, "Requests", "Sum", REGION), region=REGION),
                    graph(
                        "Visitors: errors (%)",
                        cdn_metric(distribution, "5xxErrorRate", "Average", REGION),
                        cdn_metric(distribution, "4xxErrorRate", "Average", REGION),
                        region=REGION,
                    ),
                ],
            ],
        )
