"""The object at a directory's key: it leads to the directory's URL. No I/O.

CloudFront's function answers 301 for it. Where it is served as it is, a browser follows it all the same. It is
relative, so that a duplicate of it leads to the duplicate of the directory.
"""

from html import escape

from siteferry_contract.urls import quote_name


def render_redirect(name: str) -> bytes:
    """Render the redirect of a directory, given the last component of its key."""
    href = escape(f"./{quote_name(name)}/")
    # Parsers read a bare carriage return as a newline.
    text = escape(name).replace("\r", "&#13;")
    lines = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        f"<title>{text}/</title>",
        f'<meta http-equiv="refresh" content="0; url={href}">',
        f'<link rel="canonical" href="{href}">',
        f'<p><a href="{href}"><bdi>{text}</bdi>/</a></p>',
        "",
    )
    return "\n".join(lines).encode()
