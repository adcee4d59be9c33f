"""Sessions, clients and what their errors mean.

Sessions are botocore's, boto3's core: what boto3 adds is not used, and takes a tenth of a one-shot run's start.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from botocore.config import Config as BotoConfig
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from botocore.session import Session as BotoSession

from siteferry.config import AwsConfig
from siteferry.errors import AccessError, ConfigError, SiteferryError, UnavailableError

_DENIED: Final = frozenset(
    "AccessDenied AccessDeniedException UnauthorizedOperation ExpiredToken ExpiredTokenException InvalidAccessKeyId"
    " InvalidClientTokenId SignatureDoesNotMatch UnrecognizedClientException InvalidSignatureException 403".split()
)


class Session:
    """One set of credentials, and clients made with it."""

    def __init__(self, config: AwsConfig, request_seconds: float) -> None:
        self.config = config
        self._request_seconds = request_seconds
        self.boto = BotoSession(profile=config.profile)
        try:
            self.boto.get_scoped_config()
        except ProfileNotFound as error:
            raise ConfigError(f"aws.profile: {error}", "name a profile of ~/.aws/config, or leave it out") from None
        if config.region:
            self.boto.set_config_variable("region", config.region)
        self.region: str | None = self.boto.get_config_variable("region")
        if self.region is None:
            raise ConfigError("no AWS region is set", 'add region = "…" to [aws] in the configuration')

    def client(self, service: str, *, connections: int = 10, tries: int = 3) -> Any:
        """Make a client whose requests, all tries included, keep within the session's total time-out."""
        each = self._request_seconds / tries / 2
        return self.boto.create_client(
            service,
            endpoint_url=self.config.endpoint_url,
            verify=str(self.config.ca_bundle) if self.config.ca_bundle else None,
            config=BotoConfig(
                connect_timeout=each,
                read_timeout=each,
                retries={"total_max_attempts": tries, "mode": "standard"},
                max_pool_connections=connections,
                s3={"addressing_style": "path"} if self.config.endpoint_url else {},
            ),
        )

    def check_credentials(self) -> None:
        """Raise AccessError if the chain gives none."""
        self.credentials()

    def credentials(self) -> Credentials:
        """Give what the chain finds, which renews itself; raises AccessError if it finds none."""
        try:
            found = self.boto.get_credentials()
        except BotoCoreError as error:
            raise AccessError(f"AWS credentials: {error}", _CREDENTIALS) from None
        if found is None:
            raise AccessError("there are no AWS credentials", _CREDENTIALS)
        return found

    def root_certificate(self) -> bytes | None:
        """Give the CA bundle that clients other than boto3 must trust."""
        path = self.config.ca_bundle or os.environ.get("AWS_CA_BUNDLE")
        try:
            return Path(path).read_bytes() if path else None
        except OSError as error:
            raise ConfigError(f"aws.ca_bundle {path}: {error.strerror}") from None


_CREDENTIALS: Final = (
    "give the host a role, set aws.profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (the systemd"
    " unit's: `sudo siteferry-as-unit …`); the stack's output AgentPolicyArn is the policy they need"
)


def error_code(error: ClientError) -> str:
    """Give S3's, DynamoDB's … code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(error: Exception, what: str) -> SiteferryError:
    """Turn an error of boto3 into one of the agent's."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return AccessError(f"{what}: there are no complete AWS credentials", _CREDENTIALS)
    if isinstance(error, ClientError):
        code = error_code(error)
        if code in _DENIED:
            return AccessError(f"{what}: AWS refuses these credentials ({code})", _CREDENTIALS)
        return UnavailableError(f"{what}: {error}")
    if isinstance(error, SSLError):
        return UnavailableError(f"{what}: {error}", "is aws.ca_bundle right, and this host's clock?")
    if isinstance(error, EndpointConnectionError):
        return UnavailableError(f"{what}: {error}", "is the network up, and aws.endpoint_url right?")
    if isinstance(error, NoRegionError):
        return ConfigError(f"{what}: {error}", 'add region = "…" to [aws] in the configuration')
    return UnavailableError(f"{what}: {error}")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn errors of boto3 into the agent's."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise explain(error, what) from error
