"""What holds for the alarms of every site."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self, cast

from siteferry.aws.metrics import NAMESPACE, CloudWatchMetrics
from siteferry.vitals import Figures
from siteferry_contract.job import JOB_KINDS
from tests.bench.cost import ALARMS
from tests.infra.conftest import INFRA, SITES, Synthesized, synthesize

AGENT = {"agent-silent": "Alive", "oldest-change": "OldestUnpublishedSeconds", "deletes-held": "Held"}


class Sent:
    """A session whose only client keeps what it was given."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def client(self, *_: Any, **__: Any) -> Self:
        """Give the client."""
        return self

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        """Keep it."""
        assert Namespace == NAMESPACE
        self.data = MetricData


def named(stack: Synthesized) -> dict[str, dict[str, Any]]:
    """Give every alarm's properties by its name within the site."""
    alarms = stack.properties("AWS::CloudWatch::Alarm")
    found = {alarm["AlarmName"].removeprefix(f"siteferry-{stack.site}-"): alarm for alarm in alarms}
    assert len(found) == len(alarms)
    return found


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


def test_every_alarm_goes_to_the_topic_and_says_what_it_means(stack: Synthesized) -> None:
    """Alarm and all-clear are both sent, the description fits and names the site, and the name is the site's own."""
    (topic,) = stack.of_type("AWS::SNS::Topic")
    for alarm in stack.properties("AWS::CloudWatch::Alarm"):
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
        assert 80 < len(alarm["AlarmDescription"]) <= 1024
        assert stack.site in alarm["AlarmDescription"]
        assert alarm["AlarmName"].startswith(f"siteferry-{stack.site}-")


def test_what_can_go_wrong_has_an_alarm(stack: Synthesized) -> None:
    """The list of alarms is complete: jobs, handlers, index, agent, budget and CDN."""
    of_jobs = {f"{kind}-{what}" for kind in JOB_KINDS for what in ("dead-letters", "old-jobs", "errors", "throttles")}
    others = {"agent-silent", "oldest-change", "deletes-held", "invalidation-budget", "cdn-errors"}
    assert named(stack).keys() == of_jobs | others | {"index-read-throttles", "index-write-throttles"}


def test_idle_is_no_alarm_but_a_silent_agent_is(stack: Synthesized) -> None:
    """Without data nothing is wrong, except with the agent; what it said last of itself stays until it says more."""
    missing = {name: alarm["TreatMissingData"] for name, alarm in named(stack).items()}
    assert missing.pop("agent-silent") == "breaching"
    assert missing.pop("oldest-change") == missing.pop("deletes-held") == "ignore"
    assert set(missing.values()) == {"notBreaching"}


def test_the_agent_is_watched_by_what_it_sends(stacks: dict[str, Synthesized]) -> None:
    """By namespace, name and dimension of its heartbeats, with the limits of the settings."""
    plain, full = named(stacks["plain"]), named(stacks["full"])
    for site, alarms in (("plain", plain), ("full", full)):
        for name, metric in AGENT.items():
            alarm = alarms[name]
            assert (alarm["Namespace"], alarm["MetricName"], alarm["Period"]) == (NAMESPACE, metric, 60)
            assert alarm["Dimensions"] == [{"Name": "site", "Value": site}]
    sent = Sent()
    CloudWatchMetrics(cast("Any", sent), "plain").put(Figures(0, 0, 0, 0, 0.0))
    assert set(AGENT.values()) <= {datum["MetricName"] for datum in sent.data}
    assert all(datum["Dimensions"] == plain["agent-silent"]["Dimensions"] for datum in sent.data)
    assert (plain["agent-silent"]["EvaluationPeriods"], full["agent-silent"]["EvaluationPeriods"]) == (5, 12)
    assert (plain["oldest-change"]["Threshold"], full["oldest-change"]["Threshold"]) == (1800, 7200)
    assert plain["agent-silent"]["ComparisonOperator"] == "LessThanThreshold"


def test_a_site_that_no_daemon_publishes_has_no_alarm_on_its_silence(tmp_path: Path) -> None:
    """With 0 minutes the alarms that need a daemon's heartbeats are left out."""
    text = "[sites.cron]\nagent_silent_minutes = 0\noldest_change_minutes = 0\n"
    alarms = named(synthesize(tmp_path, text)["cron"])
    assert not {"agent-silent", "oldest-change"} & alarms.keys()


def test_a_throttled_index_raises_an_alarm(stack: Synthesized) -> None:
    """Reads and writes that DynamoDB refuses are both watched, on the site's own table."""
    if stack.site == "found":
        table: Any = "siteferry-www-Index-1A2B3C"
    else:
        ((name, _),) = stack.of_type("AWS::DynamoDB::Table").items()
        table = {"Ref": name}
    for word in ("read", "write"):
        alarm = named(stack)[f"index-{word}-throttles"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/DynamoDB", f"{word.title()}ThrottleEvents")
        assert alarm["Dimensions"] == [{"Name": "TableName", "Value": table}]


def test_every_function_is_watched_for_throttles(stack: Synthesized) -> None:
    """What Lambda refuses to run is seen for each handler."""
    watched = {a["Dimensions"][0]["Value"]["Ref"] for a in named(stack).values() if a["MetricName"] == "Throttles"}
    assert watched == stack.of_type("AWS::Lambda::Function").keys()


def test_cloudfront_is_watched_where_its_metrics_are(stack: Synthesized) -> None:
    """The alarm on CloudFront's errors is made in us-east-1 only: elsewhere its metric does not exist."""
    (alarm,) = [
        resource
        for resource in stack.of_type("AWS::CloudWatch::Alarm").values()
        if resource["Properties"]["MetricName"] == "5xxErrorRate"
    ]
    expression = stack.template["Conditions"][alarm["Condition"]]
    assert expression == {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}
    if stack.site == "found":
        distribution: Any = "E2EXAMPLE1234"
    else:
        ((name, _),) = stack.of_type("AWS::CloudFront::Distribution").items()
        distribution = {"Ref": name}
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Properties"]["Dimensions"]}
    assert dimensions == {"DistributionId": distribution, "Region": "Global"}
    conditional = [r for r in stack.template["Resources"].values() if "Condition" in r]
    assert conditional == [alarm]


def test_a_site_elsewhere_has_the_same_alarm_in_a_stack_of_its_own(
    stacks: dict[str, Synthesized], tmp_path: Path
) -> None:
    """It is in us-east-1, with a topic and an address of its own, and differs in nothing but where it leads.

    The app makes it without an AWS account at hand.
    """
    sites, out = tmp_path / "sites.toml", tmp_path / "out"
    sites.write_text(f'{SITES[SITES.index("[sites.full]") :]}\ncdn_alarm_for = "E2EXAMPLE1234"\n', "utf-8")
    context = {"sites": str(sites), "aws:cdk:bundling-stacks": []}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    subprocess.run(
        [sys.executable, "app.py"],
        cwd=INFRA,
        env={**environment, "CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(out)},
        check=True,
    )
    artifacts = json.loads((out / "manifest.json").read_text("utf-8"))["artifacts"]
    places = {name: found["environment"] for name, found in artifacts.items() if found["type"].endswith(":stack")}
    assert places == {
        "siteferry-full": "aws://unknown-account/unknown-region",
        "siteferry-full-cdn-alarm": "aws://unknown-account/us-east-1",
    }
    file = out / "siteferry-full-cdn-alarm.template.json"
    own = Synthesized("full", file, json.loads(file.read_text("utf-8")))
    (topic,) = own.of_type("AWS::SNS::Topic")
    (subscription,) = own.properties("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")
    (alarm,) = own.properties("AWS::CloudWatch::Alarm")
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
    (distribution,) = [d["Value"] for d in alarm["Dimensions"] if d["Name"] == "DistributionId"]
    assert distribution == "E2EXAMPLE1234"
    beside = named(stacks["full"])["cdn-errors"]
    for name in ("AlarmName", "AlarmDescription", "Namespace", "MetricName", "Statistic", "Period", "Threshold"):
        assert alarm[name] == beside[name]


def test_as_many_alarms_as_the_bill_has(stacks: dict[str, Synthesized]) -> None:
    """docs/cost.md counts them."""
    assert len(stacks["plain"].of_type("AWS::CloudWatch::Alarm")) == ALARMS


def test_the_dashboard_answers_first_whether_the_site_is_current(stack: Synthesized) -> None:
    """Its first row has the six figures, its second every alarm of the region, and no metric is of another site."""
    (dashboard,) = stack.properties("AWS::CloudWatch::Dashboard")
    assert dashboard["DashboardName"] == f"siteferry-{stack.site}"
    parts = dashboard["DashboardBody"]["Fn::Join"][1]
    body = json.loads("".join(part if isinstance(part, str) else _place(part) for part in parts))
    rows: dict[int, list[dict[str, Any]]] = {}
    for widget in body["widgets"]:
        rows.setdefault(widget["y"], []).append(widget)
    first, second, *graphs = (rows[y] for y in sorted(rows))
    assert [widget["properties"]["view"] for widget in first] == 6 * ["singleValue"]
    shown = json.dumps(first)
    for metric in ("Alive", "OldestUnpublishedSeconds", "Held", "Deferred", "Failed"):
        assert f'["siteferry", "{metric}", "site", "{stack.site}"' in shown
    (status,) = second
    here = {n for n, r in stack.of_type("AWS::CloudWatch::Alarm").items() if "Condition" not in r}
    assert {arn.removeprefix("<").removesuffix(".Arn>") for arn in status["properties"]["alarms"]} == here
    for widget in [widget for row in graphs for widget in row]:
        of_cdn = "AWS/CloudFront" in json.dumps(widget)
        assert widget["properties"]["region"] == ("us-east-1" if of_cdn else "<AWS::Region>")


def _place(value: dict[str, Any]) -> str:
    """Put something readable in for what CloudFormation resolves at deployment."""
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case _:
            raise AssertionError(value)


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
