"""Credentials of a `credential_process`, as boto3 and obstore use and renew them; the helper for a keyring."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import Credentials, RefreshableCredentials

from siteferry.aws.credentials import ASKED_BEFORE, EVERY, SOON, ObstoreCredentials
from siteferry.aws.objects import S3Objects
from siteferry.aws.session import Session
from siteferry.config import AwsConfig
from siteferry.errors import AccessError
from tests.unit.agent.endpoint import Endpoint
from tests.unit.agent.fakes import descriptor

HELPER = Path(__file__).parents[3] / "agent/packaging/siteferry-keyring"


def profile(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Leave a profile `helped` with a credential_process as all that boto3's chain can find."""
    (folder / "config").write_text(f"[profile helped]\ncredential_process = {command}\n", "utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def script(path: Path, text: str) -> Path:
    """Write an executable."""
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def put_both_ways(endpoint: Endpoint, times: int = 1) -> None:
    """Put by obstore and by boto3, each as often."""
    session = Session(AwsConfig("us-east-1", "helped", endpoint.url), 10)
    session.check_credentials()
    objects = S3Objects(session, descriptor(), 1, 10)
    for key in ("a.html", "b\n.html"):  # obstore refuses the second
        for _ in range(times):
            objects.put(key, b"body", {"content-type": "text/html"})


def test_both_ways_use_what_a_credential_process_gives(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys without an end are asked for once, and sign the requests of obstore and of boto3."""
    answer = json.dumps({"Version": 1, "AccessKeyId": "AKIAHELPED", "SecretAccessKey": "s"})
    helper = script(tmp_path / "helper", f"echo run >> {tmp_path}/runs\necho '{answer}'")
    profile(tmp_path, monkeypatch, str(helper))
    put_both_ways(endpoint, 2)
    assert endpoint.keys == ["AKIAHELPED"] * 4
    assert (tmp_path / "runs").read_text("utf-8") == "run\n"


def test_both_ways_use_renewed_credentials(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials about to end are renewed by the helper, and what signs afterwards is the new ones."""
    soon = (datetime.now(UTC) + timedelta(seconds=90)).isoformat(timespec="seconds")
    late = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    helper = script(
        tmp_path / "helper",
        f"""echo run >> {tmp_path}/runs
        if [ $(wc -l < {tmp_path}/runs) = 1 ]; then key=ASIAFIRST end={soon}; else key=ASIARENEWED end={late}; fi
        echo '{{"Version": 1, "SecretAccessKey": "s", "SessionToken": "t",'
        echo "\\"AccessKeyId\\": \\"$key\\", \\"Expiration\\": \\"$end\\"}}\"""",
    )
    profile(tmp_path, monkeypatch, str(helper))
    put_both_ways(endpoint)
    assert endpoint.keys == ["ASIARENEWED"] * 2
    assert len((tmp_path / "runs").read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize(("left", "every"), [(timedelta(hours=1), EVERY), (timedelta(minutes=3), SOON)])
def test_obstore_asks_for_short_lived_credentials_more_often(left: timedelta, every: timedelta) -> None:
    """What a helper gives out shortly before its end is asked for again within a minute."""

    def made() -> dict[str, str]:
        end = (datetime.now(UTC) + left).isoformat()
        return {"access_key": "a", "secret_key": "s", "token": "t", "expiry_time": end}

    given = ObstoreCredentials(RefreshableCredentials.create_from_metadata(made(), made, "custom-process"))()
    after = given["expires_at"] - datetime.now(UTC) - ASKED_BEFORE
    assert every - timedelta(seconds=30) < after <= every


def test_obstore_asks_for_lasting_keys_too() -> None:
    """A user's keys have no end, and are read again all the same: they may be others by then."""
    given = ObstoreCredentials(Credentials("a", "s"))()
    assert (given["access_key_id"], given["token"]) == ("a", None)


def test_a_helper_that_fails_is_an_access_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the helper says on standard error is part of the message."""
    profile(tmp_path, monkeypatch, str(script(tmp_path / "helper", "echo the certificate ended >&2; exit 1")))
    with pytest.raises(AccessError, match="the certificate ended"):
        Session(AwsConfig("us-east-1", "helped"), 10).check_credentials()


def test_keys_from_a_keyring_sign_requests(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packaged helper asks the keyring's own command for both keys, by the name it is given."""
    script(tmp_path / "keyring", '[ "$1 $2" = "get siteferry" ] || exit 1\necho "AKIA$3" | tr -d _')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    profile(tmp_path, monkeypatch, f"{HELPER} siteferry")
    put_both_ways(endpoint)
    assert endpoint.keys == ["AKIAawsaccesskeyid"] * 2


@pytest.mark.parametrize(
    ("keyring", "said"),
    [("exit 1", "the keyring has no aws_access_key_id of mine: keyring set mine"), ("echo 'a\"b'", "is no AWS key")],
)
def test_a_keyring_without_keys_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: str, said: str
) -> None:
    """Nothing that is no key is passed on as one."""
    script(tmp_path / "keyring", keyring)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = subprocess.run([HELPER, "mine"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
