"""What fails is seen, told by an alarm, repaired, and over."""

import json
import uuid
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.aws.live import ALARMS, SPREADS, Live
from tests.e2e.agents import wait_for
from tests.e2e.poison import few_tries


def test_a_failed_delete_is_told_repaired_and_redriven(live: Live) -> None:
    """Without a permission a job becomes a dead letter and an alarm; with it again it is redriven, and that is over."""
    name = f"docs/{uuid.uuid4().hex}"
    root = Path(live.site.root)
    live.publish({f"{name}/stays.txt": "stays"})
    lost: list[str] = []

    def fails() -> bool:
        # Neither the lost permission nor the fewer tries are known everywhere at once: until then a delete succeeds.
        lost.append(f"{name}/lost-{len(lost)}.txt")
        live.write({lost[-1]: "lost"})
        live.agent.sync()
        (root / lost[-1]).unlink()
        live.agent.sync()
        wait_for(lambda: not any(live.site.waiting_messages().values()), "the handlers' end", SPREADS)
        return live.dead_letters("delete") > 0

    with few_tries(live.site):
        with live.denied("delete", "dynamodb:Query"):
            wait_for(fails, "a dead letter", SPREADS * 2)
            live.serves_body(lost[-1], "lost")
            live.alarm_becomes("delete-dead-letters", "ALARM")
        shown = json.loads(live.agent.run("redrive", "--dry-run", "--json", "delete").stdout)["letters"]
        assert any("AccessDenied" in letter["reason"] for letter in shown)

        def redriven() -> bool:
            live.agent.run("redrive", code=None)
            wait_for(lambda: not any(live.site.waiting_messages().values()), "the redriven jobs", SPREADS)
            return live.dead_letters("delete") == 0

        wait_for(redriven, "no dead letter", SPREADS)
    live.serves_status(lost[-1], 404)
    live.alarm_becomes("delete-dead-letters", "OK")


def test_check_has_nothing_to_complain_of(live: Live) -> None:
    """`siteferry check` finds each permission of the deployed policy, and on AWS it tries each of them, too."""
    findings = json.loads(live.agent.run("check", "--json", code=None).stdout)["checks"]
    wrong = [found for found in findings if found["verdict"] == "fail"]
    assert not wrong
    if live.is_aws:
        assert not [found for found in findings if found["verdict"] == "untried"]


def test_the_agent_does_no_more_than_its_policy_says(live: Live) -> None:
    """AWS refuses the agent's key what the policy does not name: it deletes no object and reads no other site."""
    site = live.site
    live.publish({"kept.html": "<p>kept"})
    s3, ssm = (site.client(service, site.agent_env) for service in ("s3", "ssm"))
    for refused in (
        partial(s3.delete_object, Bucket=site.bucket, Key="kept.html"),
        partial(ssm.get_parameter, Name="/siteferry/another-site"),
    ):
        with pytest.raises(ClientError) as caught:
            refused()
        assert caught.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    assert live.site.get("kept.html").status == 200


@pytest.mark.aws
@pytest.mark.usefixtures("where")
def test_a_silent_agent_is_told(live: Live) -> None:
    """The alarm on the agent is over once heartbeats come, and back when they stop."""
    with live.agent.daemon():
        live.alarm_becomes("agent-silent", "OK")
    live.alarm_becomes("agent-silent", "ALARM")


@pytest.mark.aws
@pytest.mark.usefixtures("where")
def test_held_deletes_are_told(live: Live) -> None:
    """When suspiciously much is gone, the alarm says so until a person approves."""
    names = [f"held/{n}.txt" for n in range(40)]
    live.publish(dict.fromkeys(names, "much"))
    for name in names:
        (Path(live.site.root) / name).unlink()
    with live.agent.daemon():
        live.alarm_becomes("deletes-held", "ALARM")
        assert live.site.get(names[0]).status == 200
        live.agent.run("approve")
        live.serves_status(names[0], 404)
        wait_for(lambda: live.alarm("deletes-held") == "OK", "OK of the alarm deletes-held", ALARMS)
