"""The site's alarms in CloudWatch."""

from collections.abc import Sequence
from typing import Any

from siteferry.aws.session import Session, explained
from siteferry.cloud_status import AlarmState


class CloudWatchAlarms:
    """Implements `AlarmLook`."""

    def __init__(self, session: Session, site: str) -> None:
        self._client: Any = session.client("cloudwatch")
        self._prefix = f"siteferry-{site}-"
        self._topic = f":siteferry-{site}-alarms"

    def alarms(self) -> Sequence[AlarmState]:
        """Read those that tell this site's topic: by their names, www-2's would be among those of www."""
        found = []
        with explained("reading the alarms"):
            pages = self._client.get_paginator("describe_alarms").paginate(
                AlarmNamePrefix=self._prefix, AlarmTypes=["MetricAlarm"]
            )
            for page in pages:
                found += page["MetricAlarms"]
        return [
            AlarmState(
                name=alarm["AlarmName"],
                state=alarm["StateValue"],
                since=alarm["StateUpdatedTimestamp"].timestamp(),
                what=alarm.get("AlarmDescription", ""),
            )
            for alarm in found
            if any(action.endswith(self._topic) for action in alarm["AlarmActions"])
        ]
