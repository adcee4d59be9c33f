"""Where alarms go, and how every alarm is made: with a description that says what to do."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct


class Alarms(Construct):
    """The site's alarm topic."""

    def __init__(self, scope: Construct, construct_id: str, *, site: str, email: str | None) -> None:
        super().__init__(scope, construct_id)
        self._site = site
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
        over: float,
        periods: int = 1,
        what: str,
        remedy: str,
    ) -> None:
        """Alarm while `metric` is over a limit for a number of its periods. No data is no alarm: idle is well."""
        alarm = cloudwatch.Alarm(
            scope,
            construct_id,
            alarm_name=f"siteferry-{self._site}-{construct_id}",
            alarm_description=f"{what} {remedy}",
            metric=metric,
            threshold=over,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
