"""docs/reference/telling.md: what a site tells of itself: metrics, alarms and lines of the log."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, Self, cast

from siteferry import lines, vitals
from siteferry.aws import metrics
from siteferry_contract.job import JOB_KINDS
from siteferry_lambdas import batch, report
from tests.docs import attributes, markdown

_WHAT_TO_DO: Final = re.compile(r" What to do: docs/runbooks/(.*)\.md")
_COMPARISONS: Final = {"GreaterThanThreshold": "over", "LessThanThreshold": "under"}
_MISSING: Final = {
    "notBreaching": "all is well",
    "breaching": "it rings",
    "ignore": "it stays as it was",
}


class _Sent:
    """A session whose only client keeps what it was given."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def client(self, *_: Any, **__: Any) -> Self:
        """Give the client."""
        return self

    def put_metric_data(self, **request: Any) -> None:
        """Keep it."""
        self.data = request["MetricData"]


def document(template: Mapping[str, Any], site: str) -> str:
    """Give the page, from the template of a site with few settings."""
    return f"""# Metrics, alarms and the log

[Is the site current?](../operate.md#is-the-site-current) tells how they belong together.

## Metrics of the agent

`siteferry run` sends them once a minute, in the namespace `siteferry` with the dimension `site`.

{markdown.table(("metric", "unit", "meaning"), _of_the_agent())}
## Metrics of the handlers

Written with their logs (embedded metric format), in the namespace `siteferry` with the dimensions `service`
(`siteferry-copy`, `-delete`, `-page`, `-invalidate`) and `site`.

{markdown.table(("metric", "unit", "meaning"), _of_the_handlers())}
## Alarms

Their names begin with `siteferry-SITE-`; alarm and all-clear go to the topic `siteferry-SITE-alarms`. KIND
is each of {", ".join(f"`{kind}`" for kind in JOB_KINDS)}.

{markdown.table(("alarm", "when", "without data", "what it says"), _alarms(template, site))}
## Events of the log

With [`log = "json"`](../operate.md#the-log-as-json) each line has one of them as `event`.

{markdown.table(("event", "level", "meaning"), _events())}"""


def _of_the_agent() -> Iterator[tuple[str, ...]]:
    names = [one.name for one in fields(vitals.Figures)]
    # Each figure is its own number, by which it is known in what is sent.
    values = dict(zip(names, range(101, 101 + len(names)), strict=True))
    sent = _Sent()
    metrics.CloudWatchMetrics(cast("Any", sent), "site").put(vitals.Figures(**values))
    said = attributes.of_class(vitals.Figures)
    of_value = {value: said[name] for name, value in values.items()}
    of_value[metrics.ALIVE] = attributes.of_module(metrics)["ALIVE"]
    for datum in sent.data:
        yield f"`{datum['MetricName']}`", datum["Unit"], of_value[datum["Value"]]


def _of_the_handlers() -> Iterator[tuple[str, ...]]:
    said = attributes.of_module(batch)
    yield f"`{batch.JOBS_DONE}`", "Count", said["JOBS_DONE"]
    yield f"`{batch.JOBS_FAILED}`", "Count", said["JOBS_FAILED"]
    for name, text in report.COUNTS.items():
        yield f"`{name}`", str(batch.UNITS[name].value) if name in batch.UNITS else "Count", text


def _alarms(template: Mapping[str, Any], site: str) -> Iterator[tuple[str, ...]]:
    found = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    # What is told of every kind of job is told once.
    yield from sorted({_alarm(alarm, site) for alarm in found})


def _alarm(alarm: Mapping[str, Any], site: str) -> tuple[str, ...]:
    name = alarm["AlarmName"].removeprefix(f"siteferry-{site}-")
    text, runbook, _ = _WHAT_TO_DO.split(alarm["AlarmDescription"])
    of, periods, seconds = _COMPARISONS[alarm["ComparisonOperator"]], alarm["EvaluationPeriods"], alarm["Period"]
    when = f"{alarm['MetricName']} ({alarm['Statistic']}) {of} {alarm['Threshold']}"
    kind = name.partition("-")[0]
    if kind in JOB_KINDS:
        name, text = (re.sub(rf"\b{kind}\b", "KIND", part) for part in (name, text))
    return (
        f"[`{name}`](../runbooks/{runbook}.md)",
        f"{when}, {periods} times {seconds // 60} min",
        _MISSING[alarm["TreatMissingData"]],
        re.sub(rf"\b{site}\b", "SITE", text),
    )


def _events() -> Iterator[tuple[str, ...]]:
    for event, meaning in lines.EVENTS.items():
        yield f"`{event}`", lines.Line(event, "").level, meaning
