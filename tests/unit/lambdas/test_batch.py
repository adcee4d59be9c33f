"""The edge of the handlers: partial batches, logs, retry delays."""

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from siteferry_contract.job import JobKind, encode_job
from siteferry_lambdas import copy, delete, invalidate, page
from siteferry_lambdas.batch import Edge, process_batch, retry_delay
from siteferry_lambdas.compose import site_of_this_lambda, threads
from siteferry_lambdas.errors import StoreError
from siteferry_lambdas.invalidate import handle_batch
from siteferry_lambdas.settle_delete import handle_delete
from tests.unit.lambdas.fakes import Memory, job, memory_site


def _event(**bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message_id,
                "receiptHandle": f"handle-{message_id}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "3"},
                "eventSource": "aws:sqs",
            }
            for message_id, body in bodies.items()
        ]
    }


def _edge(kind: JobKind) -> Edge:
    edge = Edge.of(kind)
    for handler in logging.getLogger(f"siteferry-{kind}").handlers:
        # Loggers are made once a process, with the standard output of that moment.
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = sys.stdout
    return edge


def _delete(memory: Memory, event: dict[str, Any]) -> list[str]:
    edge = _edge("delete")
    response = process_batch(edge, memory.site, event, None, lambda job, _: handle_delete(memory.site, job))
    return [str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]]


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_poison_message_fails_alone_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """Its neighbour is done; the log names the reason, with hostile names in ASCII, and no key of another record."""
    memory = memory_site()
    memory.index.has("docs")
    memory.bucket.user_puts("docs/a", b"a")
    event = _event(bad='{"\u202e\x1b', good=encode_job(job("delete", "docs/a")))
    assert _delete(memory, event) == ["bad"]
    assert memory.bucket.current("docs/a") is None
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    lines = [json.loads(line) for line in out.splitlines()]
    failed, done = (line for line in lines if "level" in line)
    assert (failed["message"], failed["message_id"], failed["retry_helps"]) == ("job failed", "bad", False)
    assert "not JSON" in failed["reason"]
    assert (done["message"], done["site"], done["run"], done["job"]) == ("job done", "www", 7, "job-1")
    assert "reason" not in done


def test_a_batch_that_fails_as_a_whole_is_no_crash() -> None:
    """Every record is reported, and none raises out of the handler."""
    assert _delete(memory_site(), _event(a="{", b="[]")) == ["a", "b"]


def test_an_error_that_nobody_foresaw_fails_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    """With its traceback in the log."""
    memory = memory_site()
    memory.index.damaged["docs"] = RuntimeError("a bug")
    assert _delete(memory, _event(a=encode_job(job("delete", "docs/a")))) == ["a"]
    (failed,) = [line for line in _lines(capsys) if line.get("message") == "job failed"]
    assert "a bug" in failed["exception"]


def test_a_failed_record_comes_again_soon() -> None:
    """Its visibility is shortened, the more often it failed the less."""
    memory = memory_site()
    _delete(memory, _event(a="{"))
    assert memory.queues.retries == [("delete", "handle-a", 60)]
    assert [retry_delay(n) for n in (0, 1, 2, 5, 6, 10**6)] == [15, 15, 30, 240, 300, 300]


def test_a_retry_that_cannot_be_brought_forward_is_no_failure() -> None:
    """It comes when its visibility ends."""
    memory = memory_site()
    memory.queues.failure = StoreError("refused", retry_helps=False)
    assert _delete(memory, _event(a="{")) == ["a"]


def test_metrics_are_written_for_the_site(capsys: pytest.CaptureFixture[str]) -> None:
    """As EMF, with what was done counted."""
    memory = memory_site()
    memory.index.has("docs")
    memory.bucket.user_puts("docs/a", b"a")
    _delete(memory, _event(a=encode_job(job("delete", "docs/a"))))
    (metrics,) = [line for line in _lines(capsys) if "_aws" in line]
    assert (metrics["site"], metrics["service"]) == ("www", "siteferry-delete")
    assert (metrics["JobsDone"], metrics["KeysDeleted"]) == ([1.0], [1.0])


def test_invalidate_reports_each_record_of_the_one_invalidation() -> None:
    """The undecodable one fails, the others are done."""
    memory = memory_site()
    event = _event(bad="{", good=encode_job(job("invalidate", "a")))
    response = handle_batch(_edge("invalidate"), memory.site, event, None)
    assert response == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert len(memory.cdn.invalidations) == 1


def test_what_an_invalidation_costs_is_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    """For the whole batch, with the part of the budget that is used, by which the alarm goes."""
    memory = memory_site(invalidation_budget=4)
    handle_batch(_edge("invalidate"), memory.site, _event(a=encode_job(job("invalidate", "a")), b=_job_b()), None)
    (metrics,) = [line for line in _lines(capsys) if "_aws" in line]
    assert (metrics["site"], metrics["service"]) == ("www", "siteferry-invalidate")
    assert (metrics["JobsDone"], metrics["PathsInvalidated"], metrics["WildcardsInvalidated"]) == (
        [1.0, 1.0],
        [1.0],
        [1.0],
    )
    assert (metrics["ObjectsOverInvalidated"], metrics["BudgetUsedPercent"]) == ([998.0], [25.0])
    units = {metric["Name"]: metric["Unit"] for metric in metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert (units["PathsInvalidated"], units["BudgetUsedPercent"]) == ("Count", "Percent")


def _job_b() -> str:
    return encode_job(job("invalidate", "b"))


@pytest.mark.parametrize("module", [copy, delete, page, invalidate])
def test_every_handler_works_from_its_environment_alone(module: Any) -> None:
    """An event that asks for nothing needs no AWS, and the descriptor is all that is read."""
    descriptor = memory_site().site.descriptor.to_json()
    script = (
        f"from {module.__name__} import handler\n"
        "event = {'Records': [{'messageId': 'm', 'receiptHandle': 'h', 'body': '{', 'eventSource': 'aws:sqs',"
        " 'attributes': {'ApproximateReceiveCount': '1'}}]}\n"
        "import siteferry_lambdas.aws as aws\n"
        "aws.SqsQueues.retry_in = lambda *a, **k: None\n"
        "print(handler(event, None))\n"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "SITEFERRY_DESCRIPTOR": descriptor,
    }
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "{'batchItemFailures': [{'itemIdentifier': 'm'}]}"


def test_a_missing_environment_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing a handler needs no environment; handling does."""
    monkeypatch.delenv("SITEFERRY_DESCRIPTOR", raising=False)
    site_of_this_lambda.cache_clear()
    with pytest.raises(ValueError, match=r"SITEFERRY_DESCRIPTOR is missing: deploy"):
        site_of_this_lambda()


def test_threads_keep_the_order() -> None:
    """Results come in the order of the items."""
    assert threads(4)(lambda n: n * n, range(50)) == [n * n for n in range(50)]
