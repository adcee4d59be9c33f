"""The one error of the contract."""

_SHOWN = 100


class ContractError(ValueError):
    """Something breaks the contract: the text says what was seen, what was expected, and where.

    A retry cannot help: the same input gives the same error.
    """


def shown(value: object) -> str:
    """Give the beginning of a value out of a message, for an error: a message has up to a megabyte."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
