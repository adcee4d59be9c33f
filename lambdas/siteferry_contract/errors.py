"""The one error of the contract."""


class ContractError(ValueError):
    """Something breaks the contract: the text says what was seen, what was expected, and where.

    A retry cannot help: the same input gives the same error.
    """
