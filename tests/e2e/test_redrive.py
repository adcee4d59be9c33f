"""A job that fails for real, from its dead letter, its alarm and the reason for it to the all-clear.

The local stack measures no queue, so the alarms' states are set here by what their metric is on AWS; whom an alarm
tells, of what and in which words, is the deployed template's.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import Agent, assert_published, wait_for

pytestmark = pytest.mark.e2e

COPIES = {"docs/": "mirror/docs/"}


@pytest.fixture
def site(run_local_stack: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Give the site of a stack of its own: permissions are taken away in it, and the whole bucket is compared."""
    with run_local_stack(None) as stack:
        www = stack.sites["www"]
        (Path(www.root) / "anchor.txt").write_text("an empty root would hold deletes", "utf-8")
        yield www


def test_a_failed_job_is_told_explained_and_redriven(site: Any) -> None:
    """An alarm leads to the reason; once the cause is gone, the job goes back; poison stays until it is removed."""
    agent, root, sqs = Agent(site, Path(site.config)), Path(site.root), site.client("sqs")
    mailbox = sqs, _subscribe(site)
    (root / "docs").mkdir()
    (root / "docs" / "lost it's \u202e.txt").write_text("lost", "utf-8")
    agent.sync()
    site.wait_drained()
    _give_up_after_one_try(site, "delete")
    with _without_permission(site, "delete", "dynamodb:Query"):
        poison = sqs.send_message(QueueUrl=site.queues["delete"], MessageBody="poison\t\u202e")["MessageId"]
        (root / "docs" / "lost it's \u202e.txt").unlink()
        agent.sync()
        wait_for(lambda: site.waiting_messages(dead=True)["delete"] == 2, "two dead letters", 120)
    assert site.get("docs/lost%20it%27s%20%E2%80%AE.txt").status == 200
    _evaluate_alarm(site, "delete")
    told = _told(mailbox)
    assert (told["AlarmName"], told["NewStateValue"]) == ("siteferry-www-delete-dead-letters", "ALARM")
    assert "`siteferry redrive --dry-run`" in told["AlarmDescription"]
    assert told["AlarmDescription"].endswith("docs/runbooks/dead-letters.md")

    shown = agent.run("redrive", "--dry-run").stdout
    assert "waits  delete: job " in shown
    assert "docs/lost it's \\u202e.txt" in shown
    assert "is not authorized to perform: dynamodb:Query" in shown
    assert f"message {poison}, 10 bytes: poison\\t\\u202e" in shown
    assert "delete     2 waiting, 0 moved, 2 left" in shown
    document = json.loads(agent.run("redrive", "--dry-run", "--json", "delete").stdout)
    letters = {letter["id"]: letter for letter in document["letters"]}
    # SQS kept the id when it moved the message, so that the log could be searched for it.
    assert letters[poison]["reason"].startswith("no job: message is not JSON")
    (job,) = [letter for letter in letters.values() if letter["job"]]
    assert job["names"] == ["docs/lost it's \u202e.txt"]
    assert "AccessDeniedException" in job["reason"]

    done = agent.run("redrive", code=1).stdout
    assert f"moved  delete: job {job['job']}" in done
    assert "delete     2 waiting, 1 moved, 1 left" in done
    wait_for(lambda: not any(site.waiting_messages().values()), "the redriven job", 120)
    assert site.waiting_messages(dead=True) == {"copy": 0, "delete": 1, "page": 0, "invalidate": 0}
    sqs.purge_queue(QueueUrl=site.dead_letter_queues["delete"])
    _evaluate_alarm(site, "delete")
    told = _told(mailbox)
    assert (told["AlarmName"], told["NewStateValue"]) == ("siteferry-www-delete-dead-letters", "OK")
    site.wait_drained()
    assert_published(site, COPIES)


def _subscribe(site: Any) -> str:
    """Subscribe to the site's alarms as an operator does, but with a queue; gives its URL."""
    sqs, sns = site.client("sqs"), site.client("sns")
    url = str(sqs.create_queue(QueueName="mailbox")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    (topic,) = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def _told(mailbox: Any) -> dict[str, Any]:
    """Take the one notification that came."""
    client, url = mailbox
    found = wait_for(lambda: client.receive_message(QueueUrl=url).get("Messages"), "a notification")
    assert len(found) == 1
    client.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
    told: dict[str, Any] = json.loads(json.loads(found[0]["Body"])["Message"])
    return told


def _evaluate_alarm(site: Any, kind: str) -> None:
    """Set the state of the alarm on dead letters to what it is by their number and the alarm's own limit."""
    cloudwatch, name = site.client("cloudwatch"), f"siteferry-www-{kind}-dead-letters"
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    state = "ALARM" if site.waiting_messages(dead=True)[kind] > alarm["Threshold"] else "OK"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"dead letters of {kind} were counted")


def _give_up_after_one_try(site: Any, kind: str) -> None:
    """Let a job's first failure be its last: the retries of five take eight minutes."""
    sqs, url = site.client("sqs"), site.queues[kind]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = json.dumps({**json.loads(answer["Attributes"]["RedrivePolicy"]), "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})


@contextmanager
def _without_permission(site: Any, kind: str, action: str) -> Iterator[None]:
    """Take a permission away from a handler, as an operator's mistake would."""
    iam = site.client("iam")
    function = site.client("lambda").get_function_configuration(FunctionName=f"siteferry-www-{kind}")
    role = function["Role"].rpartition("/")[2]
    before = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    }
    for name, policy in before.items():
        kept = [statement for statement in policy["Statement"] if statement["Action"] != action]
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps({**policy, "Statement": kept}))
    yield
    for name, policy in before.items():
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
