"""What the handlers wrote about jobs that failed is found in their logs, and nothing else is taken for it."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from siteferry.aws import handler_logs
from siteferry.aws.handler_logs import PATTERN_LIMIT, HandlerLogs, filter_pattern, read_failure
from siteferry.errors import AccessError, UnavailableError
from siteferry.redrive import DeadLetter, LastError

IDS = [f"{n:08d}-aaaa-bbbb-cccc-000000000000" for n in range(10)]


class Client:
    """CloudWatch Logs that answers with the given pages, in order."""

    def __init__(self, *pages: dict[str, Any], error: str = "") -> None:
        self.pages = list(pages)
        self.error = error
        self.requests: list[dict[str, Any]] = []

    def filter_log_events(self, **request: Any) -> dict[str, Any]:
        """Give the next page."""
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": "no"}}, "FilterLogEvents")
        self.requests.append(dict(request))
        return self.pages.pop(0)


class OneClient:
    """A session that has only this client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def client(self, service: str, *, tries: int) -> Client:
        """Give it."""
        assert (service, tries) == ("logs", 2)
        return self._client


def logs(client: Client) -> HandlerLogs:
    """Give the logs of site www."""
    session: Any = OneClient(client)
    return HandlerLogs(session, "www")


def letters(*ids: str) -> list[DeadLetter]:
    """Give letters, the later ones sent later."""
    return [DeadLetter("copy", message_id, 5000 + n, "", "") for n, message_id in enumerate(ids)]


def event(timestamp: int, **fields: Any) -> dict[str, Any]:
    """Give the event of a line."""
    return {"timestamp": timestamp, "message": json.dumps({"message": "job failed", "receives": 1, **fields})}


def test_the_newest_failure_of_each_letter_is_found_over_all_pages() -> None:
    """An empty page is not the end; of one moment the later try counts; from the oldest letter on is searched."""
    one, two, three = IDS[:3]
    client = Client(
        {"events": [event(10, message_id=one, reason="first"), event(30, message_id=two, reason="x", receives=4)]},
        {"events": []},
        {
            "events": [
                event(30, message_id=two, reason="y", receives=5),
                event(20, message_id=one, reason="second", receives=2),
                event(99, message_id="another", reason="z"),
            ]
        },
    )
    for page in client.pages[:2]:
        page["nextToken"] = "more"
    found = logs(client).last_errors("copy", letters(one, two, three))
    assert found.found == {one: LastError("second", 2), two: LastError("y", 5)}
    assert found.unread == ""
    assert [request.get("nextToken") for request in client.requests] == [None, "more", "more"]
    assert {(request["logGroupName"], request["startTime"]) for request in client.requests} == {
        ("/siteferry/www/copy", 5000)
    }


def test_a_search_ends_in_time_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found until then is given."""
    monkeypatch.setattr(handler_logs, "SEARCH_SECONDS", -1.0)
    client = Client({"events": [event(1, message_id=IDS[0], reason="r")], "nextToken": "more"})
    found = logs(client).last_errors("copy", letters(IDS[0]))
    assert found.found == {IDS[0]: LastError("r", 1)}
    assert "not enough to read the log group /siteferry/www/copy" in found.unread


@pytest.mark.parametrize(
    ("code", "error"), [("AccessDeniedException", AccessError), ("ResourceNotFoundException", UnavailableError)]
)
def test_a_log_that_cannot_be_read_names_its_group(code: str, error: type[Exception]) -> None:
    """Without the permission, or without the log group."""
    with pytest.raises(error, match="reading the log group /siteferry/www/copy"):
        logs(Client(error=code)).last_errors("copy", letters(IDS[0]))


def test_the_pattern_asks_for_the_failures_of_ten_letters() -> None:
    """Ten ids, as many as one receipt gives, fit in one pattern."""
    assert filter_pattern(["b", "a"]) == (
        '{ ($.message = "job failed") && (($.message_id = "a") || ($.message_id = "b")) }'
    )
    assert len(filter_pattern(IDS)) <= PATTERN_LIMIT


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: a Version: $LATEST",
        "[]",
        "[" * 100_000,
        json.dumps({"message": "job done", "message_id": "a"}),
        json.dumps({"message": "job failed", "message_id": "b", "reason": "r"}),
        json.dumps({"message": "job failed", "message_id": ["a"], "reason": "r"}),
    ],
)
def test_other_lines_are_no_failures(line: str) -> None:
    """The runtime writes to the same log group, and a filter may let anything through."""
    assert read_failure(line, ["a"]) is None


def test_an_unforeseen_error_is_told_with_its_name() -> None:
    """Its text alone may be empty; a line of another shape does not stop anything."""
    fields = {"message": "job failed", "message_id": "a", "receives": 2, "reason": "'x'", "exception_name": "KeyError"}
    assert read_failure(json.dumps(fields), ["a"]) == ("a", 2, "KeyError: 'x'")
    assert read_failure(json.dumps({**fields, "receives": "2", "exception_name": None}), ["a"]) == ("a", 0, "'x'")
