"""What can go wrong while the local stack comes up."""


class LocalStackError(Exception):
    """The local stack cannot come up or a part of it ended; the message says which, why and what to do."""


class NotInTimeError(LocalStackError):
    """What was awaited did not come within its deadline."""


class AgentEndedError(LocalStackError):
    """The agent ended by itself, so nothing more will be published."""
