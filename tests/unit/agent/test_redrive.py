"""Dead letters go back to their queue, once each, and poison stays behind."""

from collections.abc import Sequence

from siteferry.redrive import DeadLetter, describe, redrive
from siteferry_contract.job import JobKind, encode_job, make_jobs
from tests.unit.agent.fakes import descriptor


class Letters:
    """Dead-letter queues in memory."""

    def __init__(self, *letters: DeadLetter) -> None:
        self.dead = list(letters)
        self.queue: list[DeadLetter] = []
        self.hidden: list[DeadLetter] = []

    def waiting(self, kind: JobKind) -> int:
        """Count."""
        return sum(letter.kind == kind for letter in self.dead)

    def take(self, kind: JobKind) -> Sequence[DeadLetter]:
        """Give two at a time."""
        taken = [letter for letter in self.dead if letter.kind == kind and letter not in self.hidden][:2]
        self.hidden += taken
        return taken

    def put_back(self, letter: DeadLetter) -> None:
        """Move it."""
        self.queue.append(letter)
        self.dead.remove(letter)


def letter(kind: JobKind, name: str, receipt: str) -> DeadLetter:
    """Give the letter of a job about one name."""
    (job,) = make_jobs(kind, [name], site="www", run=7)
    return DeadLetter(kind, encode_job(job), receipt)


def hears(letter: DeadLetter, text: str, *, moved: bool) -> None:
    """Say nothing."""


def test_every_letter_goes_back_to_its_queue() -> None:
    """All letters of all queues are moved, however few one receipt gives."""
    sent = [letter("delete", f"{n}", f"{n}") for n in range(5)] + [letter("page", "d", "p")]
    letters = Letters(*sent)
    results = redrive(letters, descriptor(), hears)
    assert sorted(letters.queue, key=lambda found: found.receipt) == sorted(sent, key=lambda found: found.receipt)
    assert letters.dead == []
    assert {result.kind: result.moved for result in results} == {"copy": 0, "delete": 5, "page": 1, "invalidate": 0}


def test_what_is_no_job_stays_and_is_told() -> None:
    """A message that no handler can do is left where it is; its neighbours are moved."""
    poison = DeadLetter("delete", "garbage\x1b[31m", "x")
    letters = Letters(poison, letter("delete", "a", "1"))
    told: list[str] = []
    results = redrive(letters, descriptor(), lambda _, text, moved: told.append(text), kinds=["delete"])
    assert letters.dead == [poison]
    assert (results[0].moved, results[0].left) == (1, 1)
    assert "no job" in told[0]
    assert "\x1b" not in told[0]


def test_looking_moves_nothing() -> None:
    """A dry run shows each letter and leaves it."""
    letters = Letters(letter("copy", "a", "1"))
    told: list[str] = []
    redrive(letters, descriptor(), lambda _, text, moved: told.append(f"{moved} {text}"), move=False)
    assert letters.queue == []
    assert told[0].startswith("False job ")


def test_a_letter_is_described_by_its_names() -> None:
    """A description names the run and the first keys, escaped."""
    jobs = make_jobs("delete", ["a\nb", "c", "d", "e"], site="www", run=7)
    text, is_job = describe(DeadLetter("delete", encode_job(next(jobs)), ""), descriptor())
    assert is_job
    assert text.endswith("of run 7: a\\nb, c, d and 1 more")
