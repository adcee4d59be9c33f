"""The emulator's application, with a record of who asked for which action on what, and whether a policy let them.

Runs in the emulator's own environment, so it imports nothing of siteferry. Each different verdict is one line of JSON
in the file that SITEFERRY_LOCAL_VERDICTS names. The root key is not judged, and so not recorded.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any, Final

from ministack.app import app
from ministack.core import iam_evaluator

__all__ = ["app"]

FILE: Final = Path(os.environ["SITEFERRY_LOCAL_VERDICTS"])
_judge: Final = iam_evaluator.evaluate
_judge_by_resource: Final = iam_evaluator.evaluate_resource_policy
_elsewhere: Final = threading.local()
"""Whether a resource's own policy is being asked, which may not speak of the principal at all."""
_written: Final[set[tuple[str, str, str, str]]] = set()


def _recorded(context: Any, policies: Any, *limits: Any) -> Any:
    result = _judge(context, policies, *limits)
    if getattr(_elsewhere, "asked", False):
        return result
    verdict = (context.principal_arn, context.action, context.resource_arn, result.decision)
    if verdict not in _written:
        _written.add(verdict)
        principal, action, resource, decision = verdict
        line = {"principal": principal, "action": action, "resource": resource, "decision": decision}
        with FILE.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return result


def _by_resource(*arguments: Any, **options: Any) -> Any:
    _elsewhere.asked = True
    try:
        return _judge_by_resource(*arguments, **options)
    finally:
        _elsewhere.asked = False


iam_evaluator.evaluate = _recorded
iam_evaluator.evaluate_resource_policy = _by_resource
