"""Losses that a recovery, or a PUT of unknown outcome, once caused."""

import os
from dataclasses import replace

import pytest

from siteferry.errors import OutcomeUnknownError
from siteferry_contract.descriptor import HeaderRule
from tests.unit.agent.fakes import World, descriptor


@pytest.mark.parametrize("path", [b"caf\xe9.txt", b"\xe9t\xe9/caf\xe9.txt"])
def test_a_name_in_the_other_encoding_is_not_taken_for_gone(world: World, path: bytes) -> None:
    """A file with a latin-1 name that a run of an `auto` site put, but could not commit, stays published."""
    world.descriptor = descriptor(encoding="auto")
    target = os.path.join(os.fsencode(world.root), path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(b"x")
    key = path.decode("latin-1")
    die_at = 0
    while key not in world.objects.current:
        assert world.sync_and_die(die_at, after_effect=True)
        world.clock.time += world.config.lease
        die_at += 1
    world.settle()
    world.visit_everything()
    world.settle()
    assert world.objects.current[key].body == b"x"
    assert list(world.index.files()) == [key]


@pytest.mark.parametrize("effect", [False, True])
def test_changed_headers_survive_an_unknown_outcome(world: World, effect: bool) -> None:
    """Whether a PUT of the same bytes with other headers worked cannot be seen by its bytes: it is put again."""
    world.write("a.html")
    world.settle()
    world.descriptor = replace(world.descriptor, header_rules=(HeaderRule("*.html", {"cache-control": "max-age=5"}),))
    world.faults.answer("put", OutcomeUnknownError("cut"), effect=effect)
    world.settle()
    assert world.objects.current["a.html"].headers["cache-control"] == "max-age=5"
    world.check()
