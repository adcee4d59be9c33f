"""What holds for the way from a job to its handler, for every site."""

import os
import subprocess
import sys

import pytest

from siteferry_contract.job import JOB_KINDS
from tests.infra.conftest import Synthesized, deny_without_tls


def test_every_queue_has_a_dead_letter_queue_or_is_one(stack: Synthesized) -> None:
    """Each job queue redrives to the dead-letter queue of its own name, and only it may."""
    jobs, dead = stack.queues()
    assert len(jobs) == len(dead) == len(JOB_KINDS)
    for queue in jobs.values():
        target = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
        assert dead[target]["QueueName"] == f"{queue['QueueName']}-dead"
        allowed = dead[target]["RedriveAllowPolicy"]
        assert allowed["redrivePermission"] == "byQueue"
        (source,) = allowed["sourceQueueArns"]
        assert stack.resolve(source).endswith(f":{queue['QueueName']}")


def test_queues_keep_jobs_as_long_as_sqs_can(stack: Synthesized) -> None:
    """Jobs and dead jobs wait for 14 days, encrypted."""
    jobs, dead = stack.queues()
    for queue in [*jobs.values(), *dead.values()]:
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert queue["SqsManagedSseEnabled"] is True


def test_queues_and_topic_take_tls_only(stack: Synthesized) -> None:
    """Every queue and the topic refuse plain connections."""
    jobs, dead = stack.queues()
    guarded = set()
    for policy in stack.properties("AWS::SQS::QueuePolicy"):
        assert deny_without_tls(policy["PolicyDocument"], "sqs:*")
        guarded |= {queue["Ref"] for queue in policy["Queues"]}
    assert guarded == jobs.keys() | dead.keys()
    (topic,) = stack.properties("AWS::SNS::TopicPolicy")
    assert deny_without_tls(topic["PolicyDocument"], "sns:Publish")


def test_a_job_stays_hidden_for_six_time_outs_and_the_window(stack: Synthesized) -> None:
    """No job is seen again while its handler may still be at it."""
    jobs, _ = stack.queues()
    functions = stack.of_type("AWS::Lambda::Function")
    mappings = stack.properties("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == len(jobs)
    for mapping in mappings:
        queue = jobs[mapping["EventSourceArn"]["Fn::GetAtt"][0]]
        function = functions[mapping["FunctionName"]["Ref"]]["Properties"]
        window = mapping.get("MaximumBatchingWindowInSeconds", 0)
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + window
        assert queue["QueueName"] == function["FunctionName"]


def test_one_bad_job_does_not_fail_its_batch(stack: Synthesized) -> None:
    """Partial batch responses are on, concurrency is bounded, and a batch over 10 has a window."""
    for mapping in stack.properties("AWS::Lambda::EventSourceMapping"):
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert mapping["BatchSize"] <= 10 or mapping["MaximumBatchingWindowInSeconds"] >= 1


def test_changes_are_gathered_for_the_window_of_the_site(full: Synthesized) -> None:
    """invalidation_window becomes the batching window of invalidate jobs, and of no other."""
    windows = [m.get("MaximumBatchingWindowInSeconds") for m in full.properties("AWS::Lambda::EventSourceMapping")]
    assert sorted(window for window in windows if window) == [5]


def test_functions_run_the_handlers_on_arm_with_json_logs(stack: Synthesized) -> None:
    """One function a kind of job, with a log group of its own that expires."""
    functions = {f["FunctionName"]: f for f in stack.properties("AWS::Lambda::Function")}
    groups = stack.of_type("AWS::Logs::LogGroup")
    assert functions.keys() == {f"siteferry-{stack.site}-{kind}" for kind in JOB_KINDS}
    for kind in JOB_KINDS:
        function = functions[f"siteferry-{stack.site}-{kind}"]
        assert function["Handler"] == f"siteferry_lambdas.{kind}.handler"
        assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        group = groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        assert group["LogGroupName"] == f"/siteferry/{stack.site}/{kind}"
        assert group["RetentionInDays"] == 90
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == f"siteferry-{kind}"


@pytest.mark.parametrize("kind", JOB_KINDS)
def test_the_handlers_named_in_the_template_exist(full: Synthesized, kind: str) -> None:
    """Each handler string leads to something callable, imported as Lambda does: with its environment."""
    (function,) = [f for f in full.properties("AWS::Lambda::Function") if f["FunctionName"].endswith(f"-{kind}")]
    module, _, name = function["Handler"].rpartition(".")
    variables = {key: full.resolve(value) for key, value in function["Environment"]["Variables"].items()}
    code = f"import importlib; assert callable(importlib.import_module({module!r}).{name})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
