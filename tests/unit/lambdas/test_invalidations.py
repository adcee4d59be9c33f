"""A batch of invalidate jobs as one invalidation."""

from dataclasses import replace

import pytest

from siteferry_contract.cache_tags import directory_tag, file_tag, tags_of
from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.errors import ContractError
from siteferry_contract.job import EVERYTHING, Job, encode_job
from siteferry_contract.shape import Shape
from siteferry_lambdas.broker import reference
from siteferry_lambdas.errors import BusyError, RefusedPathsError, StoreError
from siteferry_lambdas.invalidations import BUSY_DELAY, settle_invalidations
from siteferry_lambdas.report import Report
from tests.unit.lambdas.fakes import job, memory_site


def _body(*names: str) -> str:
    return encode_job(job("invalidate", *names))


def _unwarned(text: str) -> None:
    pytest.fail(f"an unexpected warning: {text}")


def _counts(paths: int, wildcards: int = 0, over: int = 0, used: int = 0) -> Report:
    return Report(
        {
            "PathsInvalidated": paths,
            "WildcardsInvalidated": wildcards,
            "ObjectsOverInvalidated": over,
            "BudgetUsedPercent": used,
        }
    )


def test_a_batch_becomes_one_invalidation() -> None:
    """However many messages, CloudFront gets one request, without repeated paths."""
    memory = memory_site(prefix="p/")
    messages = {"m1": _body("p/a", "p/b"), "m2": _body("p/b", "p/index.html")}
    outcomes = settle_invalidations(memory.site, messages, _unwarned)
    ((paths, _),) = memory.cdn.invalidations
    assert paths == ("/", "/a", "/b", "/index.html")
    assert outcomes == {"m1": _counts(4), "m2": Report()}


def test_an_undecodable_message_fails_alone() -> None:
    """Its neighbours are invalidated as if it were not there."""
    memory = memory_site()
    outcomes = settle_invalidations(memory.site, {"bad": "{", "good": _body("a")}, _unwarned)
    assert isinstance(outcomes["bad"], Exception)
    assert isinstance(outcomes["good"], Report)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/a",)]


def test_nothing_decodable_invalidates_nothing() -> None:
    """There is no invalidation without paths."""
    memory = memory_site()
    settle_invalidations(memory.site, {"bad": "{"}, _unwarned)
    assert memory.cdn.invalidations == []


def test_everything_is_one_wildcard() -> None:
    """The whole site, however many keys beside it."""
    memory = memory_site()
    settle_invalidations(memory.site, {"m1": _body(EVERYTHING), "m2": _body("a")}, _unwarned)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/*",)]


def test_a_failure_fails_all_its_messages() -> None:
    """None of them was invalidated."""
    memory = memory_site()
    error = StoreError("HTTP 503", retry_helps=True)
    memory.cdn.failures = [error]
    outcomes = settle_invalidations(memory.site, {"m1": _body("a"), "m2": _body("b")}, _unwarned)
    assert outcomes == {"m1": error, "m2": error}


def test_too_many_in_progress_postpones_without_failing() -> None:
    """Each job comes again as a new message, so waiting never counts towards the dead-letter queue."""
    memory = memory_site()
    memory.cdn.failures = [BusyError("TooManyInvalidationsInProgress", retry_helps=True)]
    body = _body("a")
    outcomes = settle_invalidations(memory.site, {"m1": body}, _unwarned)
    assert outcomes == {"m1": Report({"JobsDelayed": 1})}
    assert memory.queues.bodies == [("invalidate", body, BUSY_DELAY)]
    assert memory.broker.item.active == ()
    assert memory.broker.item.spent == 0


def test_a_copy_that_cannot_be_sent_fails_its_message() -> None:
    """A job is never given up before another message carries it."""
    memory = memory_site()
    memory.cdn.failures = [BusyError("busy", retry_helps=True)]
    memory.queues.failure = StoreError("no queue", retry_helps=True)
    outcomes = settle_invalidations(memory.site, {"m1": _body("a")}, _unwarned)
    assert outcomes == {"m1": memory.queues.failure}


def test_paths_that_are_refused_become_the_whole_site() -> None:
    """One path that CloudFront does not take holds nothing back."""
    memory = memory_site()
    memory.cdn.failures = [RefusedPathsError("InvalidArgument", retry_helps=False)]
    outcomes = settle_invalidations(memory.site, {"m1": _body("a")}, _unwarned)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/*",)]
    assert outcomes == {"m1": _counts(1, 1)}


def test_the_reference_follows_from_messages_and_paths() -> None:
    """The same messages again are the same invalidation, in any order; a new change of the same paths is another."""
    assert reference(["1", "2"], ["/a"]) == reference(["2", "1"], ["/a"])
    assert reference(["1"], ["/a"]) != reference(["2"], ["/a"])
    assert reference(["1"], ["/a"]) != reference(["1"], ["/b"])


def test_a_job_without_names_is_done() -> None:
    """There is nothing to invalidate."""
    memory = memory_site()
    body = encode_job(Job("invalidate", "www", 1, (), "j"))
    assert settle_invalidations(memory.site, {"m1": body}, _unwarned) == {"m1": Report()}


def test_a_lost_race_is_run_again() -> None:
    """Another invocation reserves first: what it took is not taken twice."""
    memory = memory_site()
    turns = iter([True, True])

    def other() -> None:
        if next(turns, False):
            memory.broker.item = memory.broker.item.reserve("other", 10, 0, 1, 0.0)

    memory.broker.before_replace = other
    settle_invalidations(memory.site, {"m1": _body("a")}, _unwarned)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/a",)]
    assert sorted(entry.paths for entry in memory.broker.item.active) == [1, 10]


@pytest.mark.parametrize("method", ["ledger", "replace", "shape"])
@pytest.mark.parametrize("error", [StoreError("HTTP 503", retry_helps=True), ContractError("version 9")])
def test_nothing_of_the_brokers_stops_an_invalidation(method: str, error: Exception) -> None:
    """Out of reach or unreadable: what has changed is invalidated, with a warning."""
    memory = memory_site()
    memory.broker.failures[method] = error
    warnings: list[str] = []
    outcomes = settle_invalidations(memory.site, {"m1": _body("a")}, warnings.append)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/a",)]
    assert isinstance(outcomes["m1"], Report)
    assert warnings


def test_a_race_that_is_always_lost_stops_no_invalidation() -> None:
    """After some attempts it goes without the ledger."""
    memory = memory_site()

    def other() -> None:
        memory.broker.item = replace(memory.broker.item, beat=memory.broker.item.beat + 1)

    memory.broker.before_replace = other
    warnings: list[str] = []
    settle_invalidations(memory.site, {"m1": _body("a")}, warnings.append)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/a",)]
    assert "in a row" in warnings[0]


def test_a_missing_shape_is_told() -> None:
    """Then wildcards are chosen by guess."""
    memory = memory_site()
    memory.broker.known = None
    warnings: list[str] = []
    settle_invalidations(memory.site, {"m1": _body("a")}, warnings.append)
    assert "not written it yet" in warnings[0]


def test_what_is_completed_is_asked_for_only_when_it_matters() -> None:
    """And then its place is free again."""
    memory = memory_site(now=lambda: 10.0)
    settle_invalidations(memory.site, {"m1": _body("a")}, _unwarned)
    assert memory.cdn.listed == 0
    memory.broker.item = memory.broker.item.reserve("x", 2999, 15, 1, 0.0).created("x", "I9")
    memory.cdn.over = {"I9"}
    settle_invalidations(memory.site, {"m2": _body("b", "c")}, _unwarned)
    assert memory.cdn.listed == 1
    assert memory.cdn.invalidations[-1][0] == ("/b", "/c")
    assert "x" not in {entry.reference for entry in memory.broker.item.active}


def test_the_whole_site_is_invalidated_as_soon_as_a_wildcard_is_completed() -> None:
    """It needs one, however many paths are free."""
    memory = memory_site(now=lambda: 10.0)
    memory.broker.item = memory.broker.item.reserve("x", 15, 15, 1, 0.0).created("x", "I9")
    assert settle_invalidations(memory.site, {"m1": _body(EVERYTHING)}, _unwarned) == {"m1": Report({"JobsDelayed": 1})}
    memory.cdn.over = {"I9"}
    settle_invalidations(memory.site, {"m2": _body(EVERYTHING)}, _unwarned)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/*",)]


def test_no_room_postpones_without_a_request_to_cloudfront() -> None:
    """As if CloudFront had refused: the jobs come again, all that wait at the same moment."""
    memory = memory_site(now=lambda: 1_000_000_015.0)
    memory.broker.item = memory.broker.item.reserve("x", 3000, 15, 1, memory.site.now())
    outcomes = settle_invalidations(memory.site, {"m1": _body("a")}, _unwarned)
    assert outcomes == {"m1": Report({"JobsDelayed": 1})}
    assert memory.cdn.invalidations == []
    ((_, _, delay),) = memory.queues.bodies
    assert (1_000_000_015 + delay) % BUSY_DELAY == 0


def test_a_retry_of_the_same_messages_is_paid_once() -> None:
    """It makes the same invalidation under the same reference."""
    memory = memory_site()
    for _ in range(3):
        settle_invalidations(memory.site, {"m1": _body("a"), "m2": _body("b")}, _unwarned)
    assert len(set(memory.cdn.invalidations)) == 1
    assert memory.broker.item.spent == 2


RULES = CopyRule("docs/", "mirror/docs/")


def _tagged(run: int | None, *names: str) -> tuple[str, ...]:
    """Give what a job of run 7 invalidates where all objects have tags since a run."""
    memory = memory_site(RULES, prefix="p/", invalidation="tags")
    memory.broker.known = Shape({"": 1000, "docs": 100}, tagged_run=run)
    settle_invalidations(memory.site, {"m1": _body(*names)}, _unwarned)
    ((paths, _),) = memory.cdn.invalidations
    assert all(not path.endswith("*") for path in paths) or paths == ("/*",)
    assert [entry.wildcards for entry in memory.broker.item.active] == [int(paths == ("/*",))]
    return paths


def test_what_has_tags_is_invalidated_by_tags() -> None:
    """An index file's two URLs are one object with one tag, and so are an original and its duplicates."""
    tags = {f"#{file_tag(name, '')}" for name in ("docs/index.html", "a b/é")}
    assert _tagged(6, "p/docs/index.html", "p/mirror/docs/index.html", "p/a b/é") == tuple(sorted(tags))
    for name in ("docs/index.html", "a b/é"):
        assert tags & {f"#{tag}" for tag in tags_of(f"p/{name}", "p/").split(",")}


def test_many_changes_become_the_tag_of_their_directory() -> None:
    """Which all beneath it carry."""
    paths = _tagged(6, *(f"p/docs/x/y/{n}" for n in range(1000)))
    assert paths == (f"#{directory_tag('docs/x/y')}",)
    assert paths[0][1:] in tags_of("p/docs/x/y/z/1", "p/").split(",")


@pytest.mark.parametrize("run", [None, 7, 8])
def test_what_may_be_cached_without_tags_is_invalidated_by_paths(run: int | None) -> None:
    """While it is not known that all objects have tags, and for jobs of runs up to then."""
    assert _tagged(run, "p/docs/index.html") == ("/docs/", "/docs/index.html")


def test_everything_is_one_wildcard_with_tags_too() -> None:
    """What has no tags is reached as well."""
    assert _tagged(6, EVERYTHING, "p/a") == ("/*",)
