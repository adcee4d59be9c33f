"""What only AWS can prove is listed, and each test that proves it is there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.claims import CLAIMS, PAGE, render
from tests.conformance.gaps import KNOWN

_PROJECT = Path(__file__).resolve().parents[2]
PROOFS = [claim.proof for claim in CLAIMS if claim.proof]


def _tests(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


@pytest.mark.parametrize("proof", PROOFS)
def test_a_proof_is_a_test_that_runs_on_an_account(proof: str) -> None:
    """A claim names a test that asks for AWS by one of the fixtures that lead to it."""
    path, _, name = proof.partition("::")
    (test,) = [test for test in _tests(_PROJECT / path) if test.name == name]
    assert {argument.arg for argument in test.args.args} & {"live", "live_tags", "cloud", "account"}


def test_each_test_for_an_account_alone_proves_a_claim() -> None:
    """What a test marked `aws` tells, nothing else does: so it is on the list."""
    marked = {
        f"tests/aws/{path.name}::{test.name}"
        for path in Path(__file__).parent.glob("test_*.py")
        for test in _tests(path)
        if any("mark.aws" in ast.unparse(decorator) for decorator in test.decorator_list)
    }
    assert len(marked) >= 5
    assert marked <= set(PROOFS)


def test_each_known_gap_of_the_emulator_is_a_claim() -> None:
    """What is expected to fail on the local stack is proven on an account, by that very test."""
    assert {test for _, test in KNOWN} <= {proof.rpartition("::")[2] for proof in PROOFS}


def test_the_page_is_the_list() -> None:
    """docs/unproven.md says what the list says, each claim once."""
    assert PAGE.read_text("utf-8") == render(), "write it again: uv run python -m tests.aws.claims"
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
