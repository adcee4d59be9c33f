"""The alarms on what the agent tells of itself: its heartbeats."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from siteferry_infra.alarms import SILENCE_IS_BAD, SILENCE_SAYS_NOTHING, UNDER, Alarms

NAMESPACE: Final = "siteferry"


def heartbeat(site: str, name: str, statistic: str, period: cdk.Duration | None = None) -> cloudwatch.Metric:
    """Give a figure of the heartbeats, with the dimension that the agent sends it with."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"site": site},
        statistic=statistic,
        period=period or cdk.Duration.minutes(1),
    )


def add_agent_alarms(
    scope: Construct, construct_id: str, *, site: str, silent_minutes: int, oldest_minutes: int, alarms: Alarms
) -> None:
    """Watch the daemon; without minutes there is no such alarm."""
    within = Construct(scope, construct_id)
    if silent_minutes:
        alarms.add(
            within,
            "agent-silent",
            metric=heartbeat(site, "Alive", "Sum"),
            limit=1,
            comparison=UNDER,
            periods=silent_minutes,
            missing=SILENCE_IS_BAD,
            runbook="agent-silent",
            what=f"No heartbeat of the agent that publishes site {site} came for {silent_minutes} minutes: it does not"
            " run, does not have the site, or cannot reach AWS. What FTP users change is not published meanwhile."
            " Right after the first deployment: it is not installed yet.",
        )
    if oldest_minutes:
        alarms.add(
            within,
            "oldest-change",
            metric=heartbeat(site, "OldestUnpublishedSeconds", "Maximum"),
            limit=60 * oldest_minutes,
            periods=3,
            missing=SILENCE_SAYS_NOTHING,
            runbook="oldest-change",
            what=f"A change in the tree of site {site} has been unpublished for over {oldest_minutes} minutes."
            " `siteferry status` on the FTP host tells what fails, and `siteferry explain PATH` why a file is not"
            " live. During a first run, or a very large change, it is normal.",
        )
    alarms.add(
        within,
        "deletes-held",
        metric=heartbeat(site, "Held", "Maximum"),
        limit=0,
        periods=2,
        missing=SILENCE_SAYS_NOTHING,
        runbook="deletes-held",
        what=f"So much is gone from the tree of site {site} that its deletes are held until a person has looked:"
        " `siteferry status` on the FTP host tells why, and `siteferry approve` lets them go. All else is"
        " published.",
    )
