"""A session's credentials for obstore, renewed as boto3 renews them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.credentials import Credentials, RefreshableCredentials

ASKED_BEFORE: Final = timedelta(minutes=5)
"""obstore asks again so long before what it is told is their end."""
EVERY: Final = timedelta(minutes=4)
"""Between two questions: botocore renews what has less than 10 minutes left, so what is in use never ends."""
SOON: Final = timedelta(minutes=1)
"""The same for what is short-lived even when it is new: a helper may give out what it keeps until its end."""
_RENEWED: Final = 600
"""Seconds that credentials have left after a renewal, at least, if they are not short-lived."""


class ObstoreCredentials:
    """Implements obstore's credential provider."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self) -> dict[str, Any]:
        """Give them as they are now."""
        frozen = self._credentials.get_frozen_credentials()
        lasting = not isinstance(self._credentials, RefreshableCredentials) or not self._credentials.refresh_needed(
            refresh_in=_RENEWED
        )
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + ASKED_BEFORE + (EVERY if lasting else SOON),
        }
