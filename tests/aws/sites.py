"""The sites that these tests deploy, on an account or on the local stack: one sites file for both."""

from pathlib import Path
from typing import Final

COPIES: Final = {"docs/": "mirror/docs/"}
LONG: Final = "public, max-age=86400"
"""Cached for so long that only an invalidation can bring another version within a test."""
_SITE: Final = """\
[sites.{name}]
encoding = "auto"
directory_pages = true
copy_rules = [{{ from = "docs/", to = "mirror/docs/" }}]
header_rules = [{{ match = "*.txt", headers = {{ cache-control = "{long}" }} }}]
invalidation = "{invalidation}"
retention_days = 30
agent_silent_minutes = 2
"""


def write_sites(folder: Path, name: str) -> Path:
    """Write the sites file: one site that is invalidated by paths, and one by tags."""
    path = folder / "sites.toml"
    kinds = {name: "paths", tagged(name): "tags"}
    path.write_text(
        "\n".join(_SITE.format(name=one, long=LONG, invalidation=how) for one, how in kinds.items()), "utf-8"
    )
    return path


def tagged(name: str) -> str:
    """Give the name of the site that is invalidated by tags."""
    return f"{name}-tags"
