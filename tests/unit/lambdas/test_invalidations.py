"""A batch of invalidate jobs as one invalidation."""

from siteferry_contract.job import EVERYTHING, Job, encode_job
from siteferry_lambdas.cover import Limits
from siteferry_lambdas.errors import BusyError, RefusedPathsError, StoreError
from siteferry_lambdas.invalidations import BUSY_DELAY, reference, settle_invalidations
from siteferry_lambdas.report import Report
from tests.unit.lambdas.fakes import job, memory_site


def _body(*names: str) -> str:
    return encode_job(job("invalidate", *names))


def test_a_batch_becomes_one_invalidation() -> None:
    """However many messages, CloudFront gets one request, without repeated paths."""
    memory = memory_site(prefix="p/")
    messages = {"m1": _body("p/a", "p/b"), "m2": _body("p/b", "p/index.html")}
    outcomes = settle_invalidations(memory.site, messages, Limits())
    ((paths, _),) = memory.cdn.invalidations
    assert paths == ("/", "/a", "/b", "/index.html")
    assert outcomes == {"m1": Report({"PathsInvalidated": 4}), "m2": Report()}


def test_an_undecodable_message_fails_alone() -> None:
    """Its neighbours are invalidated as if it were not there."""
    memory = memory_site()
    outcomes = settle_invalidations(memory.site, {"bad": "{", "good": _body("a")}, Limits())
    assert isinstance(outcomes["bad"], Exception)
    assert isinstance(outcomes["good"], Report)
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/a",)]


def test_nothing_decodable_invalidates_nothing() -> None:
    """There is no invalidation without paths."""
    memory = memory_site()
    settle_invalidations(memory.site, {"bad": "{"}, Limits())
    assert memory.cdn.invalidations == []


def test_everything_is_one_wildcard() -> None:
    """The whole site, however many keys beside it."""
    memory = memory_site()
    settle_invalidations(memory.site, {"m1": _body(EVERYTHING), "m2": _body("a")}, Limits())
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/*",)]


def test_a_failure_fails_all_its_messages() -> None:
    """None of them was invalidated."""
    memory = memory_site()
    error = StoreError("HTTP 503", retry_helps=True)
    memory.cdn.failures = [error]
    outcomes = settle_invalidations(memory.site, {"m1": _body("a"), "m2": _body("b")}, Limits())
    assert outcomes == {"m1": error, "m2": error}


def test_too_many_in_progress_postpones_without_failing() -> None:
    """Each job comes again as a new message, so waiting never counts towards the dead-letter queue."""
    memory = memory_site()
    memory.cdn.failures = [BusyError("TooManyInvalidationsInProgress", retry_helps=True)]
    body = _body("a")
    outcomes = settle_invalidations(memory.site, {"m1": body}, Limits())
    assert outcomes == {"m1": Report({"JobsDelayed": 1})}
    assert memory.queues.bodies == [("invalidate", body, BUSY_DELAY)]


def test_a_copy_that_cannot_be_sent_fails_its_message() -> None:
    """A job is never given up before another message carries it."""
    memory = memory_site()
    memory.cdn.failures = [BusyError("busy", retry_helps=True)]
    memory.queues.failure = StoreError("no queue", retry_helps=True)
    outcomes = settle_invalidations(memory.site, {"m1": _body("a")}, Limits())
    assert outcomes == {"m1": memory.queues.failure}


def test_paths_that_are_refused_become_the_whole_site() -> None:
    """One path that CloudFront does not take holds nothing back."""
    memory = memory_site()
    memory.cdn.failures = [RefusedPathsError("InvalidArgument", retry_helps=False)]
    outcomes = settle_invalidations(memory.site, {"m1": _body("a")}, Limits())
    assert [paths for paths, _ in memory.cdn.invalidations] == [("/*",)]
    assert outcomes == {"m1": Report({"PathsInvalidated": 1})}


def test_the_reference_follows_from_messages_and_paths() -> None:
    """The same messages again are the same invalidation, in any order; a new change of the same paths is another."""
    assert reference(["1", "2"], ["/a"]) == reference(["2", "1"], ["/a"])
    assert reference(["1"], ["/a"]) != reference(["2"], ["/a"])
    assert reference(["1"], ["/a"]) != reference(["1"], ["/b"])


def test_a_job_without_names_is_done() -> None:
    """There is nothing to invalidate."""
    memory = memory_site()
    body = encode_job(Job("invalidate", "www", 1, (), "j"))
    assert settle_invalidations(memory.site, {"m1": body}, Limits()) == {"m1": Report()}
