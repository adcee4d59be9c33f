"""Whose credentials these are, where they come from, and how far this host's clock is off AWS's."""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from siteferry.aws.session import Session, explain
from siteferry.check import Finding, Verdict, failed, untried, well
from siteferry.errors import AccessError, Exit, SiteferryError

REFUSED_SECONDS: Final = 300.0
"""By which AWS refuses a signature, about (S3: RequestTimeTooSkewed)."""
ODD_SECONDS: Final = 30.0
_SOURCES: Final = {
    "iam-role": "the role of this instance",
    "container-role": "the role of this container",
    "custom-process": "credential_process of a profile",
    "assume-role": "a role that a profile assumes",
    "sso": "IAM Identity Center (SSO) of a profile",
    "sso-token-provider": "IAM Identity Center (SSO) of a profile",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS configuration file",
    "env": "the environment",
    "explicit": "the environment",
}
"""By botocore's names for its providers."""
_ROOT: Final = ":root"


class ServerClock:
    """Reads AWS's time from the answers of a client, errors among them."""

    def __init__(self, client: Any) -> None:
        self._ahead: float | None = None
        self._sent = time.time()
        client.meta.events.register("before-send", self._sending)
        client.meta.events.register("response-received", self._received)

    def ahead(self) -> float | None:
        """Give the seconds by which this host's clock is ahead; None: nothing was answered."""
        return self._ahead

    def _sending(self, **_: object) -> None:
        self._sent = time.time()

    def _received(self, response_dict: Any = None, **_: object) -> None:
        headers = (response_dict or {}).get("headers") or {}
        ahead = seconds_ahead(str(headers.get("date", "")), self._sent, time.time())
        if ahead is not None:
            self._ahead = ahead


def seconds_ahead(date: str, sent: float, received: float) -> float | None:
    """Give by how much a clock is ahead that sent and received then, by the Date header of the answer.

    That has whole seconds, and was written at any time between: what these allow for is no difference.
    """
    try:
        begin = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    begin = begin.replace(tzinfo=UTC) if begin.tzinfo is None else begin
    first, last = begin.timestamp(), begin.timestamp() + 1
    if sent > last:
        return sent - last
    return received - first if received < first else 0.0


def check_identity(session: Session) -> tuple[list[Finding], bool]:
    """Find credentials, ask STS whose they are, and compare the clocks; tells whether it makes sense to go on."""
    try:
        session.check_credentials()
    except SiteferryError as error:
        return [failed("credentials", error)], False
    source = str(getattr(session.boto.get_credentials(), "method", ""))
    source = _SOURCES.get(source, source)
    client = session.client("sts")
    clock = ServerClock(client)
    try:
        arn = str(client.get_caller_identity()["Arn"])
    except (ClientError, BotoCoreError) as error:
        found = explain(error, "asking STS whose credentials these are")
        finding = (
            failed("credentials", found)
            if isinstance(found, AccessError)
            else Finding(
                "credentials",
                Verdict.WARN,
                f"from {source}; whose they are is not known: {found}",
                "the agent itself needs no STS; where a network lets only some of AWS through, this may stay so",
            )
        )
    else:
        finding = _identity(arn, source)
    return together(finding, clock_finding(clock.ahead())), finding.verdict is not Verdict.FAIL


def _identity(arn: str, source: str) -> Finding:
    text = f"{arn}, from {source}"
    if arn.endswith(_ROOT):
        return Finding(
            "credentials",
            Verdict.WARN,
            f"{text}: the account's root user",
            "give the agent a role or a user that has the policy of the stack's output AgentPolicyArn and no more",
        )
    return well("credentials", text)


def together(credentials: Finding, clock: Finding) -> list[Finding]:
    """Put the cause first: by a wrong clock, right credentials are refused."""
    if clock.verdict is Verdict.FAIL and credentials.verdict is Verdict.FAIL:
        return [clock, untried(credentials.name, f"{credentials.text}; that may be the clock's fault: set it first")]
    return [credentials, clock]


def clock_finding(ahead: float | None) -> Finding:
    """Judge the difference between the clocks."""
    if ahead is None:
        return untried("clock", "AWS answered nothing to compare it with")
    text = f"this host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} AWS's"
    remedy = "set it, and keep it: timedatectl set-ntp true"
    if abs(ahead) >= REFUSED_SECONDS:
        return Finding("clock", Verdict.FAIL, f"{text}: AWS refuses what is signed by it", remedy, Exit.UNAVAILABLE)
    if abs(ahead) > ODD_SECONDS:
        return Finding("clock", Verdict.WARN, f"{text}; from 5 minutes on it refuses what is signed by it", remedy)
    return well("clock", "this host's clock is as AWS's")
