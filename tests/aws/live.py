"""A site that is live, on an account or on the local stack: what a test does with it and then waits for."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.agents import Agent, wait_for
from tests.e2e.conftest import Answer, Site

SPREADS: Final = 300.0
"""Seconds in which what was changed is known everywhere at AWS: permissions, invalidations, queues' attributes."""
ALARMS: Final = 1_200.0
"""Seconds in which an alarm follows its metric, with what it waits for itself."""


@dataclass(frozen=True, slots=True)
class Live:
    """A site and where it is."""

    site: Site
    is_aws: bool

    @property
    def agent(self) -> Agent:
        """Its agent, with the deployed policy alone."""
        return Agent(self.site, Path(self.site.config))

    def write(self, files: dict[str, str]) -> None:
        """Write files into the tree."""
        for name, text in files.items():
            path = Path(self.site.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def publish(self, files: dict[str, str]) -> None:
        """Write files, make a run, and wait until the handlers are done with it."""
        self.write(files)
        self.agent.sync()
        self.site.wait_drained(SPREADS)

    def serves(self, target: str, wanted: Callable[[Answer], bool], what: str) -> Answer:
        """Wait until a viewer gets what is wanted."""

        def look() -> Answer | None:
            found = self.site.get(target)
            return found if wanted(found) else None

        answer: Answer = wait_for(look, what, SPREADS)
        return answer

    def serves_body(self, target: str, body: str) -> Answer:
        """Wait until a viewer gets a body."""
        return self.serves(target, lambda answer: answer.body == body.encode(), f"{body!r} at {target}")

    def serves_status(self, target: str, status: int) -> Answer:
        """Wait until a viewer gets a status."""
        return self.serves(target, lambda answer: answer.status == status, f"{status} at {target}")

    def cached(self, target: str) -> None:
        """Have an edge of CloudFront cache a target; the local stack has no cache."""
        if self.is_aws:
            self.serves(target, is_hit, f"{target} from the cache")

    def alarm(self, name: str) -> str:
        """Give the state of one of the site's alarms."""
        name = f"siteferry-{self.site.name}-{name}"
        (found,) = self.site.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(found["StateValue"])

    def alarm_becomes(self, name: str, state: str) -> None:
        """Wait until an alarm has a state by its metric; the local stack measures nothing."""
        if self.is_aws:
            wait_for(lambda: self.alarm(name) == state, f"{state} of the alarm {name}", ALARMS)

    @contextmanager
    def denied(self, kind: str, action: str) -> Iterator[None]:
        """Take a permission away from a handler, as an operator's mistake would."""
        iam, policy = self.site.client("iam"), "denied-by-a-test"
        function = self.site.client("lambda").get_function_configuration(
            FunctionName=f"siteferry-{self.site.name}-{kind}"
        )
        role = function["Role"].rpartition("/")[2]
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=document)
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)

    def dead_letters(self, kind: str) -> int:
        """Count the dead letters of a kind."""
        return self.site.waiting_messages(dead=True)[kind]

    def attributes(self, kind: str, *names: str) -> Any:
        """Give attributes of a queue."""
        answer = self.site.client("sqs").get_queue_attributes(QueueUrl=self.site.queues[kind], AttributeNames=[*names])
        return answer["Attributes"]


def is_hit(answer: Answer) -> bool:
    """Tell whether CloudFront answered from a cache."""
    return answer.headers.get("X-Cache", "").startswith("Hit")
