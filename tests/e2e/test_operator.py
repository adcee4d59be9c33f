"""What an operator asks of a deployed site: check, status, pause and resume."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from siteferry.errors import Exit
from tests.e2e.agents import Agent, agent_with, live_keys, wait_for, wait_settled

pytestmark = pytest.mark.e2e

PERMISSIONS = {
    ("Descriptor", "ssm:GetParameter"): "descriptor",
    ("Index", "dynamodb:ConditionCheckItem"): "dynamodb:ConditionCheckItem",
    ("Index", "dynamodb:GetItem"): "dynamodb:GetItem",
    ("Index", "dynamodb:PutItem"): "dynamodb:PutItem",
    ("Index", "dynamodb:Scan"): "dynamodb:Scan",
    ("Objects", "s3:AbortMultipartUpload"): "s3:AbortMultipartUpload",
    ("Objects", "s3:GetObject"): "s3:GetObject",
    ("Objects", "s3:PutObject"): "s3:PutObject",
    ("Listing", "s3:ListBucket"): "s3:ListBucket",
    ("Earlier", "s3:GetObjectVersion"): "s3:GetObjectVersion",
    ("EarlierListing", "s3:ListBucketVersions"): "s3:ListBucketVersions",
    ("Versioning", "s3:GetBucketVersioning"): "bucket",
    ("Jobs", "sqs:GetQueueAttributes"): "sqs:GetQueueAttributes",
    ("Jobs", "sqs:SendMessage"): "sqs:SendMessage",
    ("Redrive", "sqs:ChangeMessageVisibility"): "sqs:ChangeMessageVisibility",
    ("Redrive", "sqs:DeleteMessage"): "sqs:DeleteMessage",
    ("Redrive", "sqs:GetQueueAttributes"): "sqs:GetQueueAttributes (dead)",
    ("Redrive", "sqs:ReceiveMessage"): "sqs:ReceiveMessage",
    ("LastErrors", "logs:FilterLogEvents"): "logs:FilterLogEvents",
    ("Alarms", "cloudwatch:DescribeAlarms"): "cloudwatch:DescribeAlarms",
    ("Heartbeat", "cloudwatch:PutMetricData"): "cloudwatch:PutMetricData",
}
"""Statement and action of the agent's policy, and the line that fails without it."""
UNKNOWN_HERE = "cloudwatch:PutMetricData"
_USER, _POLICY = "siteferry-check-test", "restricted"


@dataclass(frozen=True, slots=True)
class Subject:
    """A user of its own with the agent's policy, to take permissions from."""

    site: Any
    keys: dict[str, str]
    policy: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    """What the emulator asks for beside it."""

    def check(self, lacking: tuple[str, str] | None, agent: Agent) -> tuple[int, dict[str, Any]]:
        """Run `siteferry check` without a permission; gives its exit code, and its lines by name."""
        statements = [
            _without(found, lacking[1]) if lacking and found["Sid"] == lacking[0] else found for found in self.policy
        ]
        if lacking:
            statements += [_without(found, lacking[1]) for found in self.gaps if lacking[0] in _of(found, self.policy)]
            statements += [found for found in self.gaps if lacking[0] not in _of(found, self.policy)]
        else:
            statements += self.gaps
        document = {"Version": "2012-10-17", "Statement": [found for found in statements if found["Action"]]}
        self.site.client("iam").put_user_policy(UserName=_USER, PolicyName=_POLICY, PolicyDocument=json.dumps(document))
        done = replace(agent, environment=self.keys).run("check", "--json", code=None)
        found = json.loads(done.stdout)
        assert found["exit"] == done.returncode
        names = [line["name"] for line in found["checks"]]
        assert len(names) == len(set(names))
        return done.returncode, {line["name"]: line for line in found["checks"]}


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return actions if isinstance(actions, list) else [actions]


def _without(statement: dict[str, Any], action: str) -> dict[str, Any]:
    return {**statement, "Action": [found for found in _actions(statement) if found not in (action, f"{action}Batch")]}


def _of(gap: dict[str, Any], policy: list[dict[str, Any]]) -> set[str]:
    """Name the statements that a gap belongs to."""
    wanted = {action.removesuffix("Batch") for action in _actions(gap)}
    return {found["Sid"] for found in policy if wanted & set(_actions(found))}


@pytest.fixture(scope="module")
def subject(subjects: Any) -> Iterator[Subject]:
    """Make the user, and take it away."""
    site = subjects.sites["www"]
    iam = site.client("iam")
    model = "siteferry-www-agent"
    (attached,) = iam.list_attached_user_policies(UserName=model)["AttachedPolicies"]
    arn = attached["PolicyArn"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]["Statement"]
    (name,) = iam.list_user_policies(UserName=model)["PolicyNames"]
    gaps = iam.get_user_policy(UserName=model, PolicyName=name)["PolicyDocument"]["Statement"]
    iam.create_user(UserName=_USER)
    key = iam.create_access_key(UserName=_USER)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    yield Subject(site, keys, policy, gaps)
    iam.delete_access_key(UserName=_USER, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=_USER, PolicyName=_POLICY)
    iam.delete_user(UserName=_USER)


def traces(site: Any) -> tuple[Any, ...]:
    """Give all that a check could leave: versions and uploads of the key that it names, items, messages."""
    s3 = site.client("s3")
    versions = s3.list_object_versions(Bucket=site.bucket, Prefix=f"{site.prefix}.siteferry-check")
    named = [
        (found["Key"], found["VersionId"]) for kind in ("Versions", "DeleteMarkers") for found in versions.get(kind, [])
    ]
    uploads = s3.list_multipart_uploads(Bucket=site.bucket).get("Uploads", [])
    items = site.client("dynamodb").scan(TableName=site.table)["Items"]
    own = [item for item in items if item["pk"]["S"] != "head"]
    return named, uploads, own, site.waiting_messages(), site.waiting_messages(dead=True)


def test_a_check_passes_beside_a_daemon_and_leaves_nothing(site: Any, agent: Agent) -> None:
    """With the deployed policy every line is ok, while a daemon works; bucket, index and queues stay as they are.

    But for one: the emulator knows no namespaces of metrics, so that the heartbeat's permission cannot be told.
    """
    agent.sync()
    site.wait_drained()
    before = traces(site)
    with agent.daemon():
        done = agent.run("check")
        assert "runs on this host now" in done.stdout
        verdicts = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[:-1]}
        assert {name for name, verdict in verdicts.items() if verdict != "ok"} == {UNKNOWN_HERE}, done.stdout
        assert verdicts[UNKNOWN_HERE] == "-"
    assert traces(site) == before


def test_every_permission_has_a_line(subject: Subject) -> None:
    """What the deployed policy allows is what `siteferry check` tries, no more and no less."""
    deployed = {(found["Sid"], action) for found in subject.policy for action in _actions(found)}
    assert deployed == PERMISSIONS.keys()


@pytest.mark.parametrize("lacking", PERMISSIONS, ids=" ".join)
def test_a_missing_permission_fails_its_line(subject: Subject, agent: Agent, lacking: tuple[str, str]) -> None:
    """Without one permission exactly its line fails, says what to do, and gives the exit code."""
    code, lines = subject.check(lacking, agent)
    assert {name for name, line in lines.items() if line["verdict"] == "fail"} == {PERMISSIONS[lacking]}
    assert "AgentPolicyArn" in lines[PERMISSIONS[lacking]]["remedy"]
    assert code == Exit.NO_PERMISSION


def test_more_permissions_than_needed_are_not_taken_for_a_proof(site: Any, agent: Agent) -> None:
    """Under a key that may do all, what only a refusal elsewhere can prove is said not to be tried."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    done = replace(agent, environment={name: site.environment[name] for name in names}).run("check", "--json")
    untried = {line["name"] for line in json.loads(done.stdout)["checks"] if line["verdict"] == "untried"}
    assert untried == {"sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", UNKNOWN_HERE}


def test_a_check_goes_on_after_a_failure(site: Any, agent: Agent, tmp_path: Path) -> None:
    """A root that is missing is reported with its code, and AWS is looked at all the same; wrong keys end that."""
    lost = agent_with(site, tmp_path, root=json.dumps(str(tmp_path / "nowhere")))
    done = lost.run("check", code=Exit.NO_INPUT)
    assert f"FAIL  root                          root {tmp_path}/nowhere: No such file" in done.stdout
    assert "ok    s3:PutObject" in done.stdout
    refused = replace(agent, environment={"AWS_SECRET_ACCESS_KEY": "wrong"}).run("check", code=Exit.NO_PERMISSION)
    assert "FAIL  credentials" in refused.stdout
    assert "s3:PutObject" not in refused.stdout
    unreached = replace(agent, environment={}, config=_elsewhere(agent, tmp_path))
    assert "FAIL  descriptor" in unreached.run("check", code=Exit.UNAVAILABLE).stdout


def test_a_credential_process_is_enough(site: Any, tmp_path: Path) -> None:
    """With a profile that runs a command, and no key in the environment, a check is well and a run publishes."""
    given = site.agent_environment
    answer = {
        "Version": 1,
        "AccessKeyId": given["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": given["AWS_SECRET_ACCESS_KEY"],
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer), "utf-8")
    (tmp_path / ".aws").mkdir()
    profile = f"[profile helped]\ncredential_process = cat {tmp_path}/answer.json\n"
    (tmp_path / ".aws/config").write_text(profile, "utf-8")
    environment = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    agent = replace(agent_with(site, tmp_path, 'profile = "helped"'), environment=environment)
    (Path(site.root) / "helped.txt").write_text("helped", "utf-8")
    agent.sync()
    assert "helped.txt" in live_keys(site)
    assert "from credential_process of a profile" in agent.run("check").stdout
    (Path(site.root) / "helped.txt").unlink()
    agent.sync()
    site.wait_drained()


def test_a_bucket_without_versions_fails(site: Any, agent: Agent) -> None:
    """Suspended versioning is found, with what to do; on again, it is well."""
    s3 = site.client("s3")
    try:
        s3.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration={"Status": "Suspended"})
        assert "keeps no versions (Suspended)" in agent.run("check", code=Exit.CONFIG).stdout
    finally:
        s3.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration={"Status": "Enabled"})
    assert "keeps versions" in agent.run("check").stdout


def test_status_shows_queues_and_alarms_and_works_without_aws(site: Any, agent: Agent, tmp_path: Path) -> None:
    """An alarm that rings is shown with what it says; where AWS is not reached, the rest is shown all the same."""
    agent.sync()
    site.wait_drained()
    cloudwatch = site.client("cloudwatch")
    name = "siteferry-www-page-dead-letters"
    quiet = json.loads(agent.run("status", "--json").stdout)["aws"]
    assert quiet["errors"] == []
    assert {counts["waiting"] for counts in quiet["queues"].values()} == {0}
    assert name in {alarm["name"] for alarm in quiet["alarms"]}
    try:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
        said = agent.run("status").stdout
        assert f"ALARM       {name}: page jobs of site www failed" in said
    finally:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    assert "jobs        none waits" in said
    away = replace(agent, config=_elsewhere(agent, tmp_path))
    said = away.run("status").stdout
    assert "AWS         not reached: " in said
    assert "last change" in said
    assert "AWS" not in agent.run("status", "--local").stdout


def test_a_paused_daemon_publishes_nothing_until_it_is_resumed(site: Any, agent: Agent) -> None:
    """It keeps the site, status says who paused it and why, a sync is refused; resumed, it publishes what came in."""
    file = Path(site.root) / "while paused.txt"
    with agent.daemon() as daemon:
        assert "PAUSED since" in agent.run("pause", "--for", "1h", "moving", "the disks").stdout
        daemon.wait_for_line("PAUSED since")
        file.write_text("it waits", "utf-8")
        wait_settled(Path(site.root))
        assert agent.status()["pause"]["reason"] == "moving the disks"
        assert agent.status()["running"]
        refused = agent.run("sync", code=Exit.BUSY)
        assert "moving the disks" in refused.stderr
        assert "siteferry resume" in refused.stderr
        assert agent.plan()["changes"]
        assert "-> PAUSED since" in agent.run("explain", "while paused.txt", code=1).stdout
        assert site.get("while%20paused.txt").status == 404
        agent.run("resume")
        daemon.wait_for_line("resumed")
        wait_for(lambda: site.get("while%20paused.txt").status == 200, "what was held back by the pause")
    assert agent.status()["pause"] is None
    file.unlink()
    agent.sync()
    site.wait_drained()


def test_a_pause_ends_a_run_between_two_files(subjects: Any, tmp_path: Path) -> None:
    """In the middle of a slow run status says how far it is; the pause ends it, and the rest follows the resume."""
    site = subjects.sites["pause"]
    # A directory each: of one directory, many files are begun at once, and what was begun is finished.
    wanted = {f"slow/{n}/file.bin" for n in range(120)}
    for key in wanted:
        (Path(site.root) / key).parent.mkdir(parents=True)
        (Path(site.root) / key).write_bytes(key.encode() * 2_000)
    wait_settled(Path(site.root))
    slow = agent_with(site, tmp_path, max_bandwidth="0.1", workers="1")
    with slow.daemon() as daemon:
        progress = wait_for(lambda: _files_of(slow.status()["progress"]), "the first files of a slow run")
        slow.run("pause")
        assert 0 < progress["files"] < progress["of_files"]
        daemon.wait_for_line("stopped before its end")
        daemon.wait_for_line("PAUSED since")
        assert 0 < len(wanted & live_keys(site)) < len(wanted)
        status = slow.status()
        assert (status["last_run"]["stopped"], status["progress"]) == (True, None)
    with slow.daemon() as daemon:
        daemon.wait_for_line("PAUSED since")  # after a restart, too
    slow.run("resume")
    agent_with(site, tmp_path).sync()
    assert wanted <= live_keys(site)


def _files_of(progress: dict[str, Any] | None) -> dict[str, Any] | None:
    return progress if progress and progress["files"] else None


def _elsewhere(agent: Agent, folder: Path) -> Path:
    """Make a configuration whose endpoint nobody listens at."""
    text = agent.config.read_text("utf-8")
    endpoint = next(line for line in text.splitlines() if line.startswith("endpoint_url"))
    path = folder / "elsewhere.toml"
    path.write_text(text.replace(endpoint, 'endpoint_url = "https://127.0.0.1:9"'), "utf-8")
    return path
