"""What a refusal of AWS means to a handler."""

from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from siteferry_lambdas.errors import ChangedError, StoreError

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_PRECONDITION_FAILED: Final = 412
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_THROTTLES: Final = (
    "Throttling",
    "SlowDown",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceeded",
    "RequestTimeout",
)


def status(error: ClientError) -> int:
    """Give the HTTP status of a refusal; 0 if there is none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def failure(error: ClientError | BotoCoreError, what: str) -> StoreError:
    """Give the error of a request that was refused or not answered. `what` says what was tried."""
    if not isinstance(error, ClientError):
        return StoreError(f"{what} failed: {type(error).__name__}: {error}", retry_helps=True)
    code, http = error.response.get("Error", {}).get("Code", ""), status(error)
    passing = http >= _SERVER_ERROR or http == _TOO_MANY or code.startswith(_THROTTLES)
    return StoreError(f"{what} failed: {error} (HTTP {http})", retry_helps=passing)


def conditional_failure(error: ClientError | BotoCoreError, what: str) -> StoreError | ChangedError:
    """Tell a condition that did not hold, or an object that is gone by now, from a failure."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        gone = status(error) == _NOT_FOUND and code in ("NoSuchKey", "404")
        if gone or status(error) in (_PRECONDITION_FAILED, _CONFLICT):
            return ChangedError(f"{what}: {code}")
    return failure(error, what)
