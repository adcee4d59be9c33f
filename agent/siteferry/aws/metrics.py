"""Heartbeats in CloudWatch."""

from typing import Any, Final

from siteferry.aws.session import Session, explained
from siteferry.vitals import Figures

NAMESPACE: Final = "siteferry"
TRIES: Final = 2
ALIVE: Final = 1
"""As long as this agent has the site."""


class CloudWatchMetrics:
    """Implements `Metrics`: one request a heartbeat, with the site as the only dimension."""

    def __init__(self, session: Session, site: str) -> None:
        self._client: Any = session.client("cloudwatch", connections=1, tries=TRIES)
        self._dimensions = [{"Name": "site", "Value": site}]

    def put(self, figures: Figures) -> None:
        """Put them; CloudWatch dates them by their arrival."""
        values: tuple[tuple[str, float, str], ...] = (
            ("Alive", ALIVE, "Count"),
            ("Published", figures.published, "Count"),
            ("Failed", figures.failed, "Count"),
            ("Deferred", figures.deferred, "Count"),
            ("Held", figures.held, "Count"),
            ("OldestUnpublishedSeconds", figures.oldest_seconds, "Seconds"),
        )
        data = [
            {"MetricName": name, "Dimensions": self._dimensions, "Value": value, "Unit": unit}
            for name, value, unit in values
        ]
        with explained("delivering a heartbeat"):
            self._client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
