"""What an answer of AWS, or none, makes of a run."""

import shutil

import pytest

from siteferry.errors import (
    OutcomeUnknownError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)
from tests.unit.agent.fakes import World, unavailable


def test_unknown_put_that_worked_is_committed(world: World) -> None:
    """A PUT without an answer that worked is found by a HEAD and committed, and not put again."""
    world.write("a", b"body")
    world.faults.answer("put", OutcomeUnknownError("timed out"), effect=True)
    summary = world.sync()
    assert (summary.uploaded, summary.closed) == (1, True)
    assert world.faults.log.count("put") == 1
    world.handle()
    world.check()


def test_put_that_stays_unknown_leaves_the_run_open(world: World) -> None:
    """A PUT whose outcome nothing settles fails, leaves the run open, and is recovered."""
    world.write("a", b"body")
    for _ in range(4):
        world.faults.answer("put", OutcomeUnknownError("timed out"))
    world.faults.answer("put", OutcomeUnknownError("timed out"))
    summary = world.sync()
    assert (summary.uploaded, summary.failed, summary.closed) == (0, 1, False)
    assert "left open" in summary.line()
    world.faults.errors.clear()
    recovered = world.sync()
    assert (recovered.recovered, recovered.closed) == (True, True)
    world.handle()
    world.check()


@pytest.mark.parametrize("error", [RefusedError("403"), ThrottledError("503")])
def test_put_without_effect_fails_one_file(world: World, error: Exception) -> None:
    """A PUT that had no effect fails its file alone; the run closes, and the next one tries again."""
    world.write("a")
    world.write("b")
    for _ in range(4 if isinstance(error, ThrottledError) else 1):
        world.faults.answer("put", error)
    summary = world.sync()
    assert (summary.uploaded, summary.failed, summary.closed) == (1, 1, True)
    assert "a" in summary.failures[0][0]
    world.settle()
    world.check()


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("request_name", ["commit", "replace_head"])
def test_one_unanswered_write_of_the_index_is_settled(world: World, request_name: str, effect: bool) -> None:
    """A write of the index that is not answered once, whether it worked or not, changes nothing."""
    world.write("a")
    world.faults.answer(request_name, unavailable(), effect=effect)
    assert world.sync().closed
    world.handle()
    world.check()


@pytest.mark.parametrize("request_name", ["read_head", "leaves", "commit", "send"])
def test_outage_leaves_everything_to_the_next_run(world: World, request_name: str) -> None:
    """If AWS does not answer, the run ends with an error, and a later one makes everything equal."""
    world.write("a", b"1")
    world.write("docs/b")
    world.settle()
    world.visit_everything()
    world.write("a", b"22")
    (world.root / "docs/b").unlink()
    shutil.rmtree(world.config.state_dir)
    for _ in range(10):
        world.faults.answer(request_name, unavailable())
    with pytest.raises(UnavailableError):
        world.sync()
    world.faults.errors.clear()
    world.settle()
    world.check()
