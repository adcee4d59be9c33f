"""What of the docs is written by the code: docs/reference."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.docs import commands, proof, settings, telling
from tests.infra.conftest import synthesize

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "settings.md": settings.document,
    "commands.md": commands.document,
    "proof.md": proof.document,
}
"""Those that need no synthesized stack."""


def telling_page() -> str:
    """Give the page that has the alarms in it, from the template."""
    with TemporaryDirectory() as directory:
        made = synthesize(Path(directory), "[sites.plain]\n")["plain"]
        return telling.document(made.template, made.site)


def write() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, document in {**PAGES, "telling.md": telling_page}.items():
        (FOLDER / name).write_text(document(), "utf-8")
