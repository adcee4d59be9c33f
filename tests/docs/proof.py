"""docs/reference/proof.md: each clause of the protocol, and how the simulation misses it."""

import inspect
import re
from collections.abc import Iterator
from typing import Final

from tests.docs import markdown
from tests.simulation.mutations import (
    FAMILIES_OF,
    HARMLESS_AT_REST,
    MUTATIONS,
    duplicates,
    fencing,
    guards,
    invalidations,
    names,
    rechecks,
    recovery,
)

_MODULES: Final = (names, recovery, rechecks, invalidations, fencing, duplicates, guards)
"""In the order of the rules."""
_HEADER: Final = ("clause", "without it", "is missed by schedules of")


def document() -> str:
    """Give the page."""
    sections = {module.__name__: (_title(module.__doc__), list(_rows(module.__name__))) for module in _MODULES}
    assert sum(len(rows) for _, rows in sections.values()) == len(MUTATIONS)
    parts = "\n".join(f"## {title}\n\n{markdown.table(_HEADER, rows)}" for title, rows in sections.values())
    harmless = markdown.table(("clause", "why nothing is wrong at rest"), HARMLESS_AT_REST.items())
    return f"""# The proof that each clause is needed

[The rules](../design.md#the-rules-nothing-lost) say how nothing is lost. Each clause here is a change of the real code
([tests/simulation/mutations](../../tests/simulation/mutations)) that leaves one of them out. With it, some schedule of
the simulation must end in a loss, a leak or something stale, and the same schedule without it must end well
([test_mutations.py](../../tests/simulation/test_mutations.py)): a simulation that cannot fail would prove nothing.

    uv run python -m tests.simulation --without CLAUSE

tells the shortest story of what goes wrong then: who did what, in which order, up to the loss.

This is a proof by search, not for all cases: it shows that the schedules which the tests run reach the loss that a
clause prevents. What they cannot show is in [the design](../design.md#the-rules-nothing-lost).

{parts}
## Those that only spare moments

Without these nothing is wrong once all is quiet, and the tests hold that too; they are there for what visitors would
see meanwhile, or for its price.

{harmless}
Rule 3 (only what is dead gets deleted) and rule 9 (the audit) have no clause to leave out: a missing leaf, an
unreadable item and an unknown schema are given to the handlers by unit tests
([tests/unit/lambdas](../../tests/unit/lambdas)), and audits are among what happens in the schedules.
"""


def _title(text: str | None) -> str:
    return (text or "").splitlines()[0].rstrip(".")


def _rows(module: str) -> Iterator[tuple[str, ...]]:
    for clause, mutation in MUTATIONS.items():
        if mutation.__module__ != module:
            continue
        text = re.sub(r"\s+", " ", inspect.getdoc(mutation) or "")
        assert text, clause
        missed = "none, at rest" if clause in HARMLESS_AT_REST else FAMILIES_OF[clause] or "any kind"
        yield f"`{clause}`", text, missed
