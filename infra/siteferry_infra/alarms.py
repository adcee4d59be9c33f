"""Where alarms go, and how every alarm is made: with a description that says what it means and names its runbook."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

RUNBOOKS: Final = "docs/runbooks/"
"""Where they are in a checkout; a site may name the address under which its people read them."""
OVER: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
UNDER: Final = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
IDLE_IS_WELL: Final = cloudwatch.TreatMissingData.NOT_BREACHING
SILENCE_IS_BAD: Final = cloudwatch.TreatMissingData.BREACHING
SILENCE_SAYS_NOTHING: Final = cloudwatch.TreatMissingData.IGNORE
"""The alarm stays as it was: that a fault is no longer reported does not mean that it is gone."""


class Alarms(Construct):
    """The site's alarm topic, and the alarms that lead to it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, site: str, email: str | None, runbooks: str = RUNBOOKS
    ) -> None:
        super().__init__(scope, construct_id)
        self._site, self._runbooks = site, runbooks
        self.all: list[cloudwatch.Alarm] = []
        """In the order in which they were added."""
        self.topic = sns.Topic(
            self, "Topic", topic_name=f"siteferry-{site}-alarms", display_name=f"siteferry {site}", enforce_ssl=True
        )
        # A topic policy replaces the default one, by which the account's alarms may publish.
        stack = cdk.Stack.of(self)
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
            )
        )
        if email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))

    def add(
        self,
        scope: Construct,
        construct_id: str,
        *,
        metric: cloudwatch.Metric,
        limit: float,
        runbook: str,
        what: str,
        comparison: cloudwatch.ComparisonOperator = OVER,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = IDLE_IS_WELL,
        condition: cdk.CfnCondition | None = None,
    ) -> None:
        """Alarm while `metric` is over (or under) a limit for a number of its periods."""
        alarm = cloudwatch.Alarm(
            scope,
            construct_id,
            alarm_name=f"siteferry-{self._site}-{construct_id}",
            alarm_description=f"{what} What to do: {self._runbooks}{runbook}.md",
            metric=metric,
            threshold=limit,
            comparison_operator=comparison,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
        if condition is None:
            self.all.append(alarm)
            return
        resource = alarm.node.default_child
        assert isinstance(resource, cdk.CfnResource)
        resource.cfn_options.condition = condition
