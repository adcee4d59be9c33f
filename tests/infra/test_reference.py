"""The reference of what a site tells, whose alarms are those of the template."""

from tests.docs import reference, telling
from tests.infra.conftest import Synthesized


def test_the_reference_of_metrics_and_alarms_is_what_the_code_says(stacks: dict[str, Synthesized]) -> None:
    """`uv run python -m tests.docs reference` writes it again."""
    page = telling.document(stacks["plain"].template, "plain")
    assert (reference.FOLDER / "telling.md").read_text("utf-8") == page
