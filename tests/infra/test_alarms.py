"""What holds for the alarms of every site."""

from tests.infra.conftest import Synthesized


def test_every_dead_letter_queue_has_an_alarm_that_tells_someone(stack: Synthesized) -> None:
    """One message in a dead-letter queue is enough."""
    _, dead = stack.queues()
    watched = set()
    for alarm in stack.properties("AWS::CloudWatch::Alarm"):
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible":
            assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
            assert alarm["Statistic"] == "Maximum"
            watched |= {dimension["Value"]["Fn::GetAtt"][0] for dimension in alarm["Dimensions"]}
    assert watched == dead.keys()


def test_every_job_queue_is_watched_for_old_jobs_and_every_function_for_crashes(stack: Synthesized) -> None:
    """A backlog and a crashing handler each raise an alarm."""
    jobs, _ = stack.queues()
    alarms = stack.properties("AWS::CloudWatch::Alarm")
    old = {a["Dimensions"][0]["Value"]["Fn::GetAtt"][0] for a in alarms if a["MetricName"].endswith("OldestMessage")}
    crashed = {a["Dimensions"][0]["Value"]["Ref"] for a in alarms if a["MetricName"] == "Errors"}
    assert old == jobs.keys()
    assert crashed == stack.of_type("AWS::Lambda::Function").keys()


def test_a_budget_that_is_used_up_raises_an_alarm(stack: Synthesized) -> None:
    """By the metric that the invalidate handler writes, with the dimensions that it writes it with."""
    (alarm,) = [a for a in stack.properties("AWS::CloudWatch::Alarm") if a["MetricName"] == "BudgetUsedPercent"]
    assert (alarm["Namespace"], alarm["Threshold"], alarm["Statistic"]) == ("siteferry", 99, "Maximum")
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
    assert dimensions == {"service": "siteferry-invalidate", "site": stack.site}


def test_every_alarm_goes_to_the_topic_and_says_what_to_do(stack: Synthesized) -> None:
    """Alarm and all-clear are both sent, the description fits, and idle is no alarm."""
    (topic,) = stack.of_type("AWS::SNS::Topic")
    for alarm in stack.properties("AWS::CloudWatch::Alarm"):
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
        assert 80 < len(alarm["AlarmDescription"]) <= 1024
        assert stack.site in alarm["AlarmDescription"]
        assert alarm["TreatMissingData"] == "notBreaching"


def test_alarms_of_the_account_may_publish(stack: Synthesized) -> None:
    """A topic policy of our own replaces the default one, so it has to let CloudWatch in."""
    (policy,) = stack.properties("AWS::SNS::TopicPolicy")
    (allow,) = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_an_alarm_address_is_subscribed(stacks: dict[str, Synthesized]) -> None:
    """alarm_email becomes a subscription; without it there is none."""
    (subscription,) = stacks["full"].properties("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")
    kinds = {resource["Type"] for resource in stacks["plain"].template["Resources"].values()}
    assert "AWS::SNS::Subscription" not in kinds
