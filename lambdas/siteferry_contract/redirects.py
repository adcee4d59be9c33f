"""Redirects: `/dir` leads to `/dir/`, as it did on the FTP host's own web server.

CloudFront cannot know whether `dir` is a directory or a file without an extension. So a small object is generated at
the key `dir`, owned by the page handler like a directory page, and never over a file.
"""

from collections.abc import Sequence
from typing import Final, Literal, get_args

from siteferry_contract.copy_rules import CopyRule, is_reserved_directory
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import INDEX_NAME, root_directory, split

Redirects = Literal["exact", "by-extension", "none"]
"""By an object for each directory; by a guess (a name without a dot is a directory's); or not at all."""
REDIRECTS: Final[tuple[Redirects, ...]] = get_args(Redirects)


def check_redirects(value: object) -> Redirects:
    """Return `value` if it names a way to redirect; raises ContractError."""
    for redirects in REDIRECTS:
        if value == redirects:
            return redirects
    raise ContractError(f"directory_redirects {value!r} is unknown: use one of {', '.join(REDIRECTS)}")


def may_have_redirect(directory: str, prefix: str, rules: Sequence[CopyRule]) -> bool:
    """Tell whether there can be a redirect at the key of a directory.

    Not for the root, nor for a directory whose key is that of its parent's page. Under a destination of a copy rule
    the redirects are duplicates.
    """
    return (
        directory != root_directory(prefix)
        and split(directory)[1] != INDEX_NAME
        and not is_reserved_directory(directory.removeprefix(prefix), rules)
    )
