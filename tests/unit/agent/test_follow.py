"""Following a log: from its end, through rotation and truncation, in bounded steps."""

import os
from pathlib import Path

import pytest

from siteferry import follow
from siteferry.follow import Follower
from siteferry.ftp_log import LONGEST_LINE


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a line from before."""
    path = tmp_path / "log"
    path.write_bytes(b"from before\n")
    return path


def append(path: Path, data: bytes) -> None:
    """Write to the end of a log."""
    with path.open("ab") as out:
        out.write(data)


def test_only_what_comes_is_read_by_whole_lines(log: Path) -> None:
    """What was there is not read, nor half a line; its other half completes it."""
    follower = Follower(log)
    assert follower.lines() == []
    append(log, b"one\ntwo\nthr")
    assert follower.lines() == [b"one", b"two"]
    append(log, b"ee\n")
    assert follower.lines() == [b"three"]
    assert follower.lines() == []


def test_a_log_that_appears_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    """A log needs not exist, nor its folder."""
    follower = Follower(tmp_path / "later" / "log")
    assert follower.lines() == []
    (tmp_path / "later").mkdir()
    append(tmp_path / "later" / "log", b"one\n")
    assert follower.lines() == [b"one"]


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(log: Path) -> None:
    """Nothing is lost when the log is renamed and another takes its place."""
    follower = Follower(log)
    append(log, b"one\n")
    log.rename(log.with_name("log.1"))
    assert follower.lines() == [b"one"]
    append(log.with_name("log.1"), b"two\n")
    append(log, b"three\n")
    assert follower.lines() == [b"two", b"three"]
    log.unlink()
    assert follower.lines() == []
    append(log, b"four\n")
    assert follower.lines() == [b"four"]


def test_a_truncated_log_is_read_from_its_beginning(log: Path) -> None:
    """As copytruncate leaves it; half a line from before is not glued to what comes."""
    follower = Follower(log)
    append(log, b"a long line\nhalf")
    assert follower.lines() == [b"a long line"]
    os.truncate(log, 0)
    append(log, b"one\n")
    assert follower.lines() == [b"one"]


def test_a_line_without_end_is_dropped(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte without a line's end takes no memory, and the next line is read."""
    monkeypatch.setattr(follow, "CHUNK", 10_000)
    follower = Follower(log)
    append(log, b"x" * 1_000_000)
    assert follower.lines() == []
    assert len(follower._rest) <= LONGEST_LINE
    append(log, b"x\none\n")
    assert follower.lines() == [b"one"]


def test_much_is_read_in_steps_and_too_much_skipped(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call reads a bounded part; what lies too far back is passed over, which is told."""
    monkeypatch.setattr(follow, "MOST_AT_ONCE", 1000)
    monkeypatch.setattr(follow, "MOST_BEHIND", 5000)
    follower = Follower(log)
    lines = [b"line %04d" % n for n in range(1000)]
    append(log, b"\n".join(lines[:300]) + b"\n")
    first = follower.lines()
    assert 0 < len(first) <= 100
    assert follower.lines() == lines[len(first) : 200]
    assert not follower.skipped
    append(log, b"\n".join(lines[300:]) + b"\n")
    last = follower.lines()
    assert follower.skipped
    assert last == lines[-len(last) :]


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A FIFO, which could keep a reader waiting, is not read; nor is a directory."""
    os.mkfifo(tmp_path / "log")
    assert Follower(tmp_path / "log").lines() == []
    assert Follower(tmp_path).lines() == []
