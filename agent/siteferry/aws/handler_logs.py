"""What the handlers wrote in CloudWatch Logs about jobs that failed."""

import json
import time
from collections.abc import Collection, Sequence
from typing import Any, Final

from siteferry.aws.session import Session, explained
from siteferry.redrive import DeadLetter, LastError, LastErrors
from siteferry_contract.job import JobKind

SEARCH_SECONDS: Final = 10.0
"""For one search: a log of two weeks can be long, and an operator waits."""
PATTERN_LIMIT: Final = 1024
"""Characters of a filter pattern (CloudWatch Logs API reference, FilterLogEvents)."""
_FAILED: Final = "job failed"


class HandlerLogs:
    """The four log groups of a site. A line about a job has its `message_id`, `receives` and `reason`."""

    def __init__(self, session: Session, site: str) -> None:
        self._client: Any = session.client("logs", tries=2)
        self._site = site

    def group(self, kind: JobKind) -> str:
        """Give the name that the stack gave the log group of a handler."""
        return f"/siteferry/{self._site}/{kind}"

    def last_errors(self, kind: JobKind, letters: Sequence[DeadLetter]) -> LastErrors:
        """Find the newest failure of each letter, in one search; raises AccessError, UnavailableError."""
        wanted = {letter.id for letter in letters}
        request: dict[str, Any] = {
            "logGroupName": self.group(kind),
            "filterPattern": filter_pattern(wanted),
            "startTime": min(letter.sent for letter in letters),
        }
        found: dict[str, tuple[int, int, str]] = {}
        ends = time.monotonic() + SEARCH_SECONDS
        while True:
            with explained(f"reading the log group {self.group(kind)}"):
                page = self._client.filter_log_events(**request)
            for event in page.get("events", []):
                if failure := read_failure(event["message"], wanted):
                    message_id, receives, reason = failure
                    newer = (int(event["timestamp"]), receives, reason)
                    found[message_id] = max(found.get(message_id, newer), newer)
            # An empty page is not the end, a missing token is.
            if not page.get("nextToken"):
                unread = ""
                break
            if time.monotonic() > ends:
                unread = f"{SEARCH_SECONDS:.0f} s were not enough to read the log group {self.group(kind)}"
                break
            request["nextToken"] = page["nextToken"]
        return LastErrors({id_: LastError(reason, receives) for id_, (_, receives, reason) in found.items()}, unread)


def filter_pattern(message_ids: Collection[str]) -> str:
    """Give the pattern for the failures of some messages: of ten, at most half as long as it may be.

    Syntax: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    any_of = " || ".join(f'($.message_id = "{message_id}")' for message_id in sorted(message_ids))
    return f'{{ ($.message = "{_FAILED}") && ({any_of}) }}'


def read_failure(line: str, wanted: Collection[str]) -> tuple[str, int, str] | None:
    """Give message id, try and reason of a line, if it is about a failure of a wanted message.

    The pattern is not relied upon: what else is in a log group was written by the runtime, in forms of its own.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or fields.get("message") != _FAILED or fields.get("message_id") not in wanted:
        return None
    receives, reason = fields.get("receives"), str(fields.get("reason", ""))
    # With a traceback, that nobody foresaw, comes the name of the error: its text alone may say nothing.
    name = fields.get("exception_name")
    return str(fields["message_id"]), receives if type(receives) is int else 0, f"{name}: {reason}" if name else reason
