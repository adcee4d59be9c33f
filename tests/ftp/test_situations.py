"""Real FTP servers and clients: what a reader sees is what docs/ftp-servers.md says, and never a mix of two states."""

from pathlib import Path
from typing import Final

import pytest

from tests.ftp.conftest import CASES, Chosen, Stage
from tests.ftp.servers import KINDS, MissingError
from tests.ftp.situations import SITUATIONS

DOCS: Final = Path(__file__).parents[2] / "docs" / "ftp-servers.md"


def documented() -> dict[tuple[str, str], str]:
    """Give the cells of the table by row and column."""
    lines = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    top = next(number for number, row in enumerate(rows) if row[0] == "" and KINDS[0].name in row)
    columns = rows[top][1:]
    table = rows[top + 2 : top + 2 + len(SITUATIONS)]
    return {(row[0], column): cell for row in table for column, cell in zip(columns, row[1:], strict=True)}


def expected(cell: str, client: str) -> str:
    """Give what a cell says for a client: the story for all, or one of its own."""
    first, *own = cell.split("; ")
    return next((text.removeprefix(f"{client}: ") for text in own if text.startswith(f"{client}: ")), first)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_reader_sees_what_the_docs_say(stage: Stage, case: Chosen) -> None:
    """Each version is a state that a client finished, but for what the table admits; the published one stays."""
    try:
        story = stage.story(case)
    except MissingError as missing:
        pytest.skip(str(missing))
    says = expected(documented()[case.situation.text, case.kind.name], case.client)
    assert story == says, stage.refusals.get(case, "")


def test_the_docs_have_every_server_and_situation() -> None:
    """The table has a cell for each server that is tested in each situation, and no other."""
    assert documented().keys() == {(situation.text, kind.name) for situation in SITUATIONS for kind in KINDS}
