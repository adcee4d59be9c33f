"""The lease, and one file's way into the bucket."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from siteferry.checksum import crc64nvme
from siteferry.errors import (
    BusyError,
    FileChangedError,
    LeaseLostError,
    OutcomeUnknownError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)
from siteferry.head import Applied, Head, LeaseRecord
from siteferry.headers import Headers
from siteferry.lease import Control
from siteferry.plan import Action, Change
from siteferry.ports import ObjectInfo
from siteferry.publish import WHOLE_BYTES, Published, Publisher
from siteferry.tree import FileState
from siteferry_contract.leaf import FileEntry
from siteferry_contract.objects import UPLOAD
from tests.unit.agent.fakes import Faults, ManualClock, MemoryIndex, MemoryObjects, StoredObject, descriptor

APPLIED = Applied.of(descriptor())


class Host:
    """Agents of one site, each with a name, on one index and one clock."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.clock = ManualClock(1_000_000.0)
        self.index = MemoryIndex(self.faults)
        self.index.head = Head.first()

    def agent(self, owner: str = "me") -> Control:
        """Give an agent that has just read the head."""
        head = self.index.read_head()
        assert head is not None
        return Control(self.index, self.clock, owner=owner, seconds=60, head=head)

    @property
    def lease(self) -> LeaseRecord | None:
        """Who has the lease."""
        head = self.index.head
        assert head is not None
        return head.lease


@pytest.fixture
def host() -> Host:
    """A site without a lease."""
    return Host()


def test_free_lease_is_taken_at_once(host: Host) -> None:
    """A free lease is taken without waiting, lasts its length, and is given up."""
    control = host.agent()
    before = host.clock.now()
    control.acquire()
    assert host.clock.now() == before
    assert host.lease is not None
    assert (host.lease.owner, control.held, control.left()) == ("me", True, 60)
    control.require(60)
    host.clock.time += 50
    with pytest.raises(LeaseLostError, match="10 s of the lease"):
        control.require(24)
    control.renew()
    control.require(24)
    control.release()
    assert host.lease is None


def test_dead_lease_is_taken_after_a_whole_lease(host: Host) -> None:
    """A lease that does not change for its whole length, by the taker's clock, is dead."""
    host.agent("other").acquire()
    begun = host.clock.now()
    control = host.agent()
    control.acquire()
    assert host.clock.now() - begun >= 60
    assert host.lease is not None
    assert host.lease.owner == "me"


def test_living_lease_is_left_alone(host: Host) -> None:
    """A lease that is renewed is left alone, and its holder named."""
    other = host.agent("other")
    other.acquire()
    host.clock.on_wait = other.renew
    with pytest.raises(BusyError, match="other"):
        host.agent().acquire()
    other.renew()


def test_a_watch_that_slept_through_the_lease_takes_nothing(host: Host) -> None:
    """Who was suspended while it watched looks once more, and leaves the holder's head as it is."""
    other = host.agent("other")
    other.acquire()
    slept = False

    def sleep() -> None:
        nonlocal slept
        if not slept:
            slept = True
            host.clock.time += 30
            other.open_run(APPLIED)
            other.close_run(APPLIED)
            other.open_run(APPLIED)
            host.clock.time += 30

    host.clock.on_wait = sleep
    with pytest.raises(BusyError, match="other"):
        host.agent().acquire()
    assert host.index.head is not None
    assert (host.index.head.run, host.index.head.open) == (2, 2)
    other.renew()


def test_a_refused_taking_writes_nothing(host: Host) -> None:
    """A holder that renews just when its lease is taken keeps it, with all it wrote meanwhile."""
    other = host.agent("other")
    other.acquire()
    control = host.agent()

    def before(request: str) -> None:
        if request == "replace_head" and host.clock.now() >= 1_000_060:
            host.faults.before = lambda _: None
            host.clock.time -= 30
            other.open_run(APPLIED)

    host.faults.before = before
    with pytest.raises(BusyError, match="other"):
        control.acquire()
    assert host.index.head is not None
    assert host.index.head.open == 1


@pytest.mark.parametrize("is_open", [True, False])
def test_own_lease_is_taken_back_only_if_nothing_is_open(host: Host, is_open: bool) -> None:
    """One's own lease is taken back at once, but with an open run only after its whole length."""
    first = host.agent()
    first.acquire()
    if is_open:
        first.open_run(APPLIED)
    begun = host.clock.now()
    host.agent().acquire()
    assert (host.clock.now() - begun >= 60) is is_open


def test_lost_lease_is_noticed_for_good(host: Host) -> None:
    """Who lost the lease notices at the next write of the head, and never writes again."""
    control = host.agent()
    control.acquire()
    head = host.index.head
    assert head is not None
    host.index.head = replace(head, lease=LeaseRecord("other", "theirs", 0, 60.0))
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="other"):
            control.renew()
    with pytest.raises(LeaseLostError):
        control.require(1)
    control.release()
    assert host.lease is not None
    assert host.lease.owner == "other"


@pytest.mark.parametrize("effect", [True, False])
def test_unanswered_write_is_settled_by_reading(host: Host, effect: bool) -> None:
    """A write without an answer is settled by reading back, whether it worked or not."""
    control = host.agent()
    control.acquire()
    host.faults.answer("replace_head", UnavailableError("timed out"), effect=effect)
    assert control.open_run(APPLIED) == 1
    head = host.index.head
    assert head is not None
    assert (head.run, head.open) == (1, 1)
    control.close_run(APPLIED)
    assert control.head.open is None


def test_lowest_open_run_stays(host: Host) -> None:
    """A run that is opened while another is open has a number of its own, and the first one stays open."""
    control = host.agent()
    control.acquire()
    control.open_run(APPLIED)
    opened = control.head.opened
    host.clock.time += 5
    assert control.open_run(APPLIED) == 2
    assert (control.head.open, control.head.opened) == (1, opened)


# ---- publish


class Desk:
    """A publisher and one file."""

    def __init__(self, root: Path) -> None:
        host = Host()
        self.faults, self.path = host.faults, root / "f"
        self.objects = MemoryObjects(host.faults, host.clock)
        control = host.agent()
        control.acquire()
        self.publisher = Publisher(self.objects, Headers("", ()), control, host.clock, 1)
        self.directory = os.open(root, os.O_RDONLY)
        self.path.write_bytes(b"body")
        self.change = self.plan()
        host.faults.revive()

    def plan(self) -> Change:
        """Plan to put the file as it is."""
        return Change(Action.PUT, "new", "", b"", "f", b"f", FileState.of(self.path.stat()))

    def publish(self, old: FileEntry | None = None, *, force: bool = False) -> Published:
        """Publish it."""
        known = old.crc64nvme if old else None
        return self.publisher.publish(self.directory, self.change._replace(published=known), None, force=force)

    def puts(self) -> int:
        """Count the PUTs."""
        return self.faults.log.count("put")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A publisher."""
    made = Desk(tmp_path)
    yield made
    os.close(made.directory)


def test_same_bytes_are_not_put(desk: Desk) -> None:
    """A file of the size and checksum that the index has is not put, unless that is forced."""
    first = desk.publish().entry
    assert (first.size, first.crc64nvme) == (4, crc64nvme(b"body"))
    assert not desk.publish(first).uploaded
    assert desk.publish(first, force=True).uploaded
    assert desk.publish(first._replace(crc64nvme=None)).uploaded
    assert desk.publish(first._replace(crc64nvme=1)).uploaded
    assert desk.puts() == 4


@pytest.mark.parametrize("large", [False, True])
def test_unknown_outcome_is_settled_by_a_look(desk: Desk, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """An unknown outcome is settled by a HEAD: ours is taken, anything else put again."""
    monkeypatch.setattr("siteferry.publish.WHOLE_BYTES", 2 if large else 8)
    name = "put_chunks" if large else "put"
    desk.faults.answer(name, OutcomeUnknownError("timed out"), effect=True)
    assert desk.publish().uploaded
    assert desk.faults.log == [name, "head"]
    desk.objects.current["f"] = StoredObject(b"page", {}, 0, generated=True)
    desk.faults.answer(name, OutcomeUnknownError("timed out"))
    assert desk.publish().uploaded
    assert desk.objects.current["f"].body == b"body"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([ThrottledError("busy")] * 4, ThrottledError),
        ([RefusedError("no")], RefusedError),
        ([OutcomeUnknownError("?")] * 4, OutcomeUnknownError),
        ([OutcomeUnknownError("?"), ThrottledError("busy"), ThrottledError("busy"), ThrottledError("busy")],
         OutcomeUnknownError),
        ([OutcomeUnknownError("?"), RefusedError("no")], OutcomeUnknownError),
    ],
)  # fmt: skip
def test_what_may_have_worked_is_never_called_failed(
    desk: Desk, errors: list[Exception], expected: type[Exception]
) -> None:
    """Of several tries the one of unknown outcome is what is told."""
    for error in errors:
        desk.faults.answer("put", error)
    with pytest.raises(expected):
        desk.publish()
    assert desk.puts() == len(errors)


def test_busy_bucket_is_tried_again(desk: Desk) -> None:
    """A request that was throttled is tried again."""
    desk.faults.answer("put", ThrottledError("busy"))
    assert desk.publish().uploaded


@pytest.mark.parametrize("body", [b"other bytes", b"same"])
def test_file_that_changed_is_not_put(desk: Desk, body: bytes) -> None:
    """A file that is not what was scanned is not put."""
    desk.path.write_bytes(body)
    os.utime(desk.path, (1, 1))
    with pytest.raises(FileChangedError):
        desk.publish()
    assert desk.objects.current == {}


def test_large_file_that_changes_is_never_completed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file that changes between its parts is never completed."""
    monkeypatch.setattr("siteferry.publish.WHOLE_BYTES", 2)
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if offset:
            os.utime(desk.path, (1, 1))
        return real(descriptor, size, offset)

    monkeypatch.setattr("siteferry.tree.os.pread", pread)
    with pytest.raises(FileChangedError):
        desk.publish()
    assert desk.objects.current == {}


SPOILS: list[Callable[[StoredObject], StoredObject | None]] = [
    lambda found: None,
    lambda found: replace(found, body=b"xxxx"),
    lambda found: replace(found, body=b"longer"),
    lambda found: replace(found, generated=True),
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_only_the_same_object_is_ours(desk: Desk, spoil: Callable[[StoredObject], StoredObject | None]) -> None:
    """An object is ours if size and checksum are and no Lambda made it."""
    entry = desk.publish().entry
    assert desk.publisher.is_ours("f", Published(entry, uploaded=True))
    spoiled = spoil(desk.objects.current.pop("f"))
    if spoiled:
        desk.objects.current["f"] = spoiled
    assert not desk.publisher.is_ours("f", Published(entry, uploaded=True))


def test_an_upload_in_parts_is_known_by_its_token_where_s3_has_no_checksum(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a checksum of the whole, the object of this upload is ours, and that of another is not."""
    desk.path.write_bytes(b"x" * (WHOLE_BYTES + 1))
    desk.change = desk.plan()
    done = desk.publish()
    assert done.token
    metadata = {UPLOAD: done.token}
    bare = ObjectInfo(done.entry.size, None, metadata)
    monkeypatch.setattr(desk.objects, "head", lambda key: bare)
    assert desk.publisher.is_ours("f", done)
    assert not desk.publisher.is_ours("f", replace(done, token="another"))
