"""The alarms on the index's table."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from siteferry_infra.alarms import Alarms


def add_index_alarms(scope: Construct, construct_id: str, *, site: str, table: dynamodb.ITable, alarms: Alarms) -> None:
    """Watch for requests that DynamoDB refuses because there are too many of them."""
    within = Construct(scope, construct_id)
    for word in ("read", "write"):
        alarms.add(
            within,
            f"index-{word}-throttles",
            metric=table.metric(f"{word.title()}ThrottleEvents", period=cdk.Duration.minutes(5), statistic="Sum"),
            limit=0,
            periods=3,
            runbook="index-throttles",
            what=f"DynamoDB has refused {word}s of the index of site {site} for a quarter of an hour, because there"
            " are too many of them. They are tried again: publishing is slower, and nothing is lost.",
        )
