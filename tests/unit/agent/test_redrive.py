"""Dead letters go back to their queue, once each, with their last error told, and poison stays behind."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from siteferry.errors import AccessError, UnavailableError
from siteferry.redrive import (
    LOOKED_UP,
    DeadLetter,
    LastError,
    LastErrors,
    Redrive,
    Redriven,
    Seen,
    Waiting,
    explain_failure,
    without_names,
)
from siteferry.redrive_report import SHOWN_REASON, LetterDocument, LetterLines, LetterProgress
from siteferry_contract.job import JOB_KINDS, JobKind, encode_job, make_jobs
from tests.unit.agent.fakes import descriptor

TRIES = 5


class Letters:
    """Dead-letter queues and handlers' logs in memory. What was received stays hidden until it is given back."""

    def __init__(self, *letters: DeadLetter) -> None:
        self.dead = list(letters)
        self.queue: list[DeadLetter] = []
        self.hidden: list[DeadLetter] = []
        self.log: dict[str, LastError] = {}
        self.searched: list[str] = []
        self.log_error: Exception | None = None
        self.unread = ""
        self.error_of_put_back: Exception | None = None

    def look(self, kind: JobKind) -> Waiting:
        """Count."""
        visible = sum(letter.kind == kind and letter not in self.hidden for letter in self.dead)
        return Waiting(visible, sum(letter.kind == kind for letter in self.hidden), TRIES)

    def take(self, kind: JobKind) -> Sequence[DeadLetter]:
        """Give two at a time."""
        taken = [letter for letter in self.dead if letter.kind == kind and letter not in self.hidden][:2]
        self.hidden += taken
        return taken

    def put_back(self, letter: DeadLetter) -> None:
        """Move it."""
        if self.error_of_put_back:
            raise self.error_of_put_back
        self.queue.append(letter)
        self.dead.remove(letter)
        self.hidden.remove(letter)

    def give_back(self, letter: DeadLetter) -> None:
        """Show it again."""
        if letter in self.hidden:
            self.hidden.remove(letter)

    def last_errors(self, kind: JobKind, letters: Sequence[DeadLetter]) -> LastErrors:
        """Search."""
        if self.log_error:
            raise self.log_error
        self.searched += [letter.id for letter in letters]
        return LastErrors(self.log, self.unread)

    def log_group(self, kind: JobKind) -> str:
        """Name it."""
        return f"/siteferry/www/{kind}"


class Heard:
    """Remembers the letters, and asks for a stop after some of them."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.seen: list[Seen] = []
        self.stop_after = stop_after

    def begins(self, result: Redriven) -> None:
        """Say nothing."""

    def saw(self, seen: Seen) -> None:
        """Remember it."""
        self.seen.append(seen)

    def stopping(self) -> bool:
        """Tell whether it was enough."""
        return self.stop_after is not None and len(self.seen) >= self.stop_after


def letter(kind: JobKind, name: str, message_id: str) -> DeadLetter:
    """Give the letter of a job about one name."""
    (job,) = make_jobs(kind, [name], site="www", run=7)
    return DeadLetter(kind, message_id, 1000, encode_job(job), f"receipt of {message_id}")


def redriven(letters: Letters, heard: Heard, *, move: bool = True, kinds: Sequence[JobKind] = JOB_KINDS) -> Redrive:
    """Go through queues."""
    redrive = Redrive(letters, descriptor(), heard, move=move, stopping=heard.stopping)
    for kind in kinds:
        redrive.queue(kind)
    return redrive


def test_every_letter_goes_back_to_its_queue() -> None:
    """All letters of all queues are moved, however few one receipt gives."""
    sent = [letter("delete", f"{n}", f"{n}") for n in range(5)] + [letter("page", "d", "p")]
    letters = Letters(*sent)
    results = redriven(letters, Heard()).results
    assert sorted(letters.queue, key=lambda found: found.id) == sorted(sent, key=lambda found: found.id)
    assert letters.dead == []
    assert {result.kind: result.moved for result in results} == {"copy": 0, "delete": 5, "page": 1, "invalidate": 0}


def test_what_is_no_job_stays_and_is_told() -> None:
    """A message that no handler can do is left where it is; its neighbours are moved."""
    poison = DeadLetter("delete", "x", 1000, "garbage\x1b[31m", "r")
    letters, heard = Letters(poison, letter("delete", "a", "1")), Heard()
    (result,) = redriven(letters, heard, kinds=["delete"]).results
    assert letters.dead == [poison]
    assert (result.moved, result.left) == (1, 1)
    told = heard.seen[0]
    assert told.job is None
    assert not told.moved
    assert "no job: message is not JSON" in (told.reason or "")
    assert "\x1b" not in (told.reason or "")
    assert letters.searched == ["1"]


def test_looking_moves_nothing_and_hides_nothing() -> None:
    """A dry run shows each letter once and leaves it; a redrive right after it finds all of them."""
    letters, heard = Letters(*(letter("copy", f"{n}", f"{n}") for n in range(5))), Heard()
    (result,) = redriven(letters, heard, move=False, kinds=["copy"]).results
    assert letters.queue == []
    assert (result.waiting, result.moved, result.left, result.unreached) == (5, 0, 5, 0)
    assert sorted(seen.letter.id for seen in heard.seen) == list("01234")
    assert redriven(letters, Heard(), kinds=["copy"]).results[0].moved == 5


def test_a_letter_that_comes_again_is_told_once() -> None:
    """Queues deliver twice, and hidden letters come back: each is counted once, and that ends."""

    class Again(Letters):
        def take(self, kind: JobKind) -> Sequence[DeadLetter]:
            return self.dead[:2]

    letters, heard = Again(*(letter("copy", f"{n}", f"{n}") for n in range(3))), Heard()
    (result,) = redriven(letters, heard, move=False, kinds=["copy"]).results
    assert [seen.letter.id for seen in heard.seen] == ["0", "1"]
    assert (result.left, result.unreached) == (2, 1)


def test_a_stop_comes_between_two_letters() -> None:
    """What was moved is counted, the rest still waits for everyone to see, and nothing is half done."""
    letters, heard = Letters(*(letter("copy", f"{n}", f"{n}") for n in range(5))), Heard(stop_after=3)
    (result,) = redriven(letters, heard, kinds=["copy"]).results
    assert [moved.id for moved in letters.queue] == ["0", "1", "2"]
    assert [left.id for left in letters.dead] == ["3", "4"]
    assert letters.hidden == []
    assert (result.moved, result.left, result.unreached) == (3, 0, 2)


def test_an_error_leaves_true_counts_and_hides_nothing() -> None:
    """When the queue cannot be written any more, the letters are seen again at once."""
    letters = Letters(*(letter("copy", f"{n}", f"{n}") for n in range(3)))
    letters.error_of_put_back = UnavailableError("SQS is away")
    redrive = Redrive(letters, descriptor(), Heard())
    with pytest.raises(UnavailableError):
        redrive.queue("copy")
    assert letters.hidden == []
    assert (redrive.results[0].moved, redrive.results[0].unreached) == (0, 3)


def test_letters_that_somebody_else_holds_are_counted() -> None:
    """An empty answer does not mean that nothing is left."""
    letters = Letters(letter("copy", "a", "1"))
    letters.hidden = list(letters.dead)
    (result,) = redriven(letters, Heard(), kinds=["copy"]).results
    assert (result.waiting, result.moved, result.unreached) == (0, 0, 1)


def test_the_last_error_is_told_for_the_first_letters() -> None:
    """It comes from the handler's log; searches are bounded, and moving is not."""
    letters, heard = Letters(*(letter("copy", f"{n}", f"{n}") for n in range(LOOKED_UP + 5))), Heard()
    letters.log = {f"{n}": LastError(f"HEAD of key 'k{n}' failed: AccessDenied\x1b", TRIES) for n in range(30)}
    (result,) = redriven(letters, heard, kinds=["copy"]).results
    assert heard.seen[0].reason == "HEAD of key 'k0' failed: AccessDenied\\x1b"
    assert letters.searched == [f"{n}" for n in range(LOOKED_UP)]
    assert [seen.reason for seen in heard.seen[LOOKED_UP:]] == [None] * 5
    assert result.reasons == {"HEAD of key … failed: AccessDenied\\x1b": LOOKED_UP}
    assert result.moved == LOOKED_UP + 5


def test_a_log_that_cannot_be_read_stops_nothing() -> None:
    """The letters are moved; that their reasons are not known is told with its cause."""
    letters, heard = Letters(letter("copy", "a", "1")), Heard()
    letters.log_error = AccessError("reading the log group: AWS refuses these credentials (AccessDeniedException)")
    redriven(letters, heard, kinds=["copy"])
    assert letters.dead == []
    assert (heard.seen[0].reason or "").startswith("not known: reading the log group: AWS refuses")


def test_a_letter_that_the_log_does_not_know_is_told_so() -> None:
    """A log that was read to its end without a line of the letter speaks of the function, not of the log."""
    letters, heard = Letters(letter("copy", "a", "1")), Heard()
    redriven(letters, heard, kinds=["copy"])
    assert (heard.seen[0].reason or "").startswith("no line of any try in log group /siteferry/www/copy: the function")


def test_a_try_without_a_line_is_told() -> None:
    """A function that was killed writes nothing: an older line is not passed off as the last error."""
    assert explain_failure(LastError("throttled", 5), 5, "/g", "") == "throttled"
    silent = explain_failure(None, 5, "/g", "")
    assert "no line of any try in log group /g" in silent
    assert "timed out, was killed or could not start" in silent
    older = explain_failure(LastError("throttled", 3), 5, "/g", "")
    assert older.startswith("no line of its last try: the function timed out")
    assert older.endswith("see log group /g; try 3 of 5: throttled")
    assert explain_failure(None, 5, "/g", "too long") == "not known: too long"
    assert (
        explain_failure(LastError("throttled", 3), 5, "/g", "too long") == "not known: too long; try 3 of 5: throttled"
    )


@pytest.mark.parametrize(
    ("reason", "common"),
    [
        ("HEAD of key 'a/b' failed: x (HTTP 403)", "HEAD of key … failed: x (HTTP 403)"),
        ("key \"it's\" of directory 'd\\'' and \"e\"", "key … of directory … and …"),
        ("3 failed: PUT of 'a': no; PUT of 'b': no; HEAD of 'c': no; and 7 more", "PUT of …: no; HEAD of …: no"),
        ("the site descriptor's field isn't known", "the site descriptor's field isn't known"),
    ],
)
def test_reasons_are_counted_without_their_names(reason: str, common: str) -> None:
    """What handlers quote is left out, and the failures of one job are told once each."""
    assert without_names(reason) == common


def test_lines_say_what_became_of_each_letter() -> None:
    """Names and reasons are escaped and cut off; the summary counts the reasons."""
    out = io.StringIO()
    jobs = list(make_jobs("delete", ["a\nb", "c", "d", "e"], site="www", run=7))
    one = DeadLetter("delete", "m1", 1000, encode_job(jobs[0]), "")
    poison = DeadLetter("delete", "m2", 1000, "<\x1b[2J" + "y" * 1000, "")
    letters = Letters(one, poison)
    letters.log = {"m1": LastError("denied " + "z" * 2000, TRIES)}
    lines = LetterLines("www", move=True, out=out)
    redrive = Redrive(letters, descriptor(), lines)
    redrive.queue("delete")
    lines.finished(redrive.results, stopped=False)
    told = out.getvalue().splitlines()
    assert told[0] == f"moved  delete: job {jobs[0].id} of run 7: a\\nb, c, d and 1 more"
    assert told[1].strip().startswith("denied zzz")
    assert len(told[1]) < SHOWN_REASON + 20
    assert told[2].startswith("LEFT  delete: no job: message is not JSON")
    assert told[3].strip().startswith("message m2, 1005 bytes: <\\x1b[2Jyyy")
    assert told[4] == "delete     2 waiting, 1 moved, 1 left"
    assert told[5].startswith("         1 x denied zzz")
    assert told[-1].startswith("all tries of a job: search the log group /siteferry/www/KIND")
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_a_bar_and_lines_for_what_tells_something(capsys: pytest.CaptureFixture[str]) -> None:
    """Letters beyond those looked up only move the bar; poison among them still gets its line."""
    out = io.StringIO()
    poison = DeadLetter("copy", "m", 1000, "{}", "")
    letters = Letters(*(letter("copy", f"k{n}", f"{n}") for n in range(LOOKED_UP + 9)), poison)
    lines = LetterProgress("www", move=True, out=out)
    redrive = Redrive(letters, descriptor(), lines)
    redrive.queue("copy")
    redrive.queue("delete")
    lines.finished(redrive.results, stopped=True)
    told = out.getvalue().splitlines()
    assert sum(line.startswith("moved  copy: job") for line in told) == LOOKED_UP
    assert sum(line.startswith("LEFT  copy: no job: job has version None") for line in told) == 1
    assert f"copy       {LOOKED_UP + 10} waiting, {LOOKED_UP + 9} moved, 1 left" in told
    assert "         9 x not looked up: only the first 20 of a queue are" in told
    assert told[-1] == "stopped before the end; what was not moved still waits"
    assert "copy" in capsys.readouterr().err


def test_the_document_has_every_letter() -> None:
    """It is one JSON document, also when it ends in the middle."""
    out = io.StringIO()
    poison = DeadLetter("copy", "m2", 1000, "{}", "")
    letters = Letters(letter("copy", "k\x1b", "m1"), poison, letter("copy", "z", "m3"))
    letters.log = {"m1": LastError("denied", TRIES)}
    document, heard = LetterDocument(out), Heard(stop_after=2)

    class Both(Heard):
        def saw(self, seen: Seen) -> None:
            heard.saw(seen)
            document.saw(seen)

    redrive = Redrive(letters, descriptor(), Both(), stopping=heard.stopping)
    redrive.queue("copy")
    document.finished(redrive.results, stopped=True)
    found = json.loads(out.getvalue())
    one, two = found["letters"]
    assert (one["kind"], one["id"], one["names"], one["reason"], one["moved"]) == (
        "copy",
        "m1",
        ["k\x1b"],
        "denied",
        True,
    )
    assert one["job"] == json.loads(letters.queue[0].body)["id"]
    assert (two["job"], two["names"], two["body"], two["moved"]) == (None, [], "{}", False)
    assert found["queues"] == [
        {
            "kind": "copy",
            "waiting": 3,
            "moved": 1,
            "left": 1,
            "unreached": 1,
            "looked_up": 1,
            "reasons": {"denied": 1, two["reason"]: 1},
        }
    ]
    assert found["stopped"] is True
    assert "\x1b" not in out.getvalue()
    empty = io.StringIO()
    LetterDocument(empty).finished([], stopped=False)
    assert json.loads(empty.getvalue()) == {"letters": [], "queues": [], "stopped": False}


def test_a_job_of_another_version_is_left() -> None:
    """A release that does not know a message does not touch it."""
    newer = letter("copy", "a", "1")
    newer = replace(newer, body=json.dumps({**json.loads(newer.body), "version": 2}))
    letters, heard = Letters(newer), Heard()
    redriven(letters, heard, kinds=["copy"])
    assert letters.dead == [newer]
    assert "job has version 2" in (heard.seen[0].reason or "")
