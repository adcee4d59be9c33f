"""URL paths, as browsers send them and CloudFront invalidates them.

CloudFront wants the characters that RFC 1738 calls unsafe (section 2.2), and those that are not ASCII, encoded as
UTF-8, and all others as they are: an invalidation that encodes more does not reach the cached object.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html
Links of directory pages are made by the same function, so that they lead to the paths that get invalidated.
"""

from typing import Final
from urllib.parse import quote

from siteferry_contract.keys import INDEX_NAME

# A star is safe to RFC 1738, but at the end of a path CloudFront would take it for a wildcard.
_AS_IT_IS: Final = "$-_.+!'(),;:@&="


def quote_name(name: str) -> str:
    """Encode one component of a path."""
    return quote(name, safe=_AS_IT_IS).replace("~", "%7E")  # RFC 1738 counts the tilde among the unsafe


def url_paths(key: str, prefix: str) -> tuple[str, ...]:
    """Give the paths under which a key is served: those of a directory's index are two."""
    path = "/" + "/".join(quote_name(part) for part in key.removeprefix(prefix).split("/"))
    if path.endswith(f"/{INDEX_NAME}"):
        return path.removesuffix(INDEX_NAME), path
    return (path,)
