"""Cases in which something was once lost, leaked or stuck."""

import json
import os
import shutil
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siteferry.config import Brake, load_config
from siteferry.diff import Excludes
from siteferry.errors import (
    BusyError,
    ConfigError,
    LeaseLostError,
    OutcomeUnknownError,
    UnavailableError,
)
from siteferry.head import LeaseRecord
from siteferry.state import StateDirectory
from siteferry_contract.descriptor import Descriptor, HeaderRule
from siteferry_contract.errors import ContractError
from tests.unit.agent.fakes import DAY, InlineExecutor, World, descriptor


def test_time_past_2262_is_published(world: World) -> None:
    """A file whose mtime lies past what 64 bits of nanoseconds hold, which an FTP user can set, stops nobody."""
    world.write("a")
    world.write("far")
    os.utime(world.root / "far", (10_000_000_000, 10_000_000_000))
    world.settle()
    world.check()


def test_large_directory_that_is_gone_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is gone is deleted as a whole, however many names it had."""
    monkeypatch.setattr("siteferry.plan.CHUNK", 5)
    for n in range(12):
        world.write(f"d/{n}")
    world.write("e")
    world.settle()
    shutil.rmtree(world.root / "d")
    world.settle()
    world.check()
    assert all(leaf.gone for leaf in world.index.all().values() if leaf.directory == "d")


def test_stop_between_parent_and_child_deletes(world: World) -> None:
    """A run that is stopped while it deletes a directory leaves what is left to the next."""
    for path in ("d/a", "d/e/b", "d/e/f/c", "x"):
        world.write(path)
    world.settle()
    shutil.rmtree(world.root / "d")
    for stop_at in range(8):
        asked = iter(range(100))
        world.stopping = lambda at=stop_at, asked=asked: next(asked) >= at  # type: ignore[misc]
        world.sync()
    world.stopping = lambda: False
    world.settle()
    world.check()


def test_unknown_put_of_file_that_then_vanishes(world: World) -> None:
    """A PUT that may have worked keeps the run open, even if the file is gone at the next try."""
    world.write("a")
    world.write("secret")
    world.faults.answer("head", UnavailableError("down"))

    def vanish(name: str) -> None:
        if name == "head":
            (world.root / "secret").unlink(missing_ok=True)

    (world.root / "a").unlink()
    world.faults.before = vanish
    world.faults.answer("put", OutcomeUnknownError("timed out"), effect=True)
    world.sync()
    world.faults.before = lambda _: None
    world.clock.time += DAY
    world.settle()
    world.check()


def test_other_agent_closes_while_waiting(world: World) -> None:
    """An agent that finds a run open, and then closed when it has the lease, makes an ordinary run."""
    world.write("a")
    world.settle()
    head = world.index.head
    assert head is not None
    other = LeaseRecord("other", "token", 1, 60.0)
    world.index.head = replace(head, run=head.run + 1, open=head.run + 1, opened=world.clock.now(), lease=other)

    def finish() -> None:
        world.index.head = replace(head, run=head.run + 1)

    world.clock.on_wait = finish
    world.sync()
    world.check()


def test_busy_agent_notices_that_the_other_died(world: World) -> None:
    """An agent that was refused takes the lease over once it is seen unchanged for a whole lease."""
    world.write("a")
    world.settle()
    head = world.index.head
    assert head is not None
    world.index.head = replace(head, lease=LeaseRecord("other", "token", 1, 60.0))
    beats = iter(range(2, 100))

    def beat() -> None:
        now = world.index.head
        assert now is not None
        assert now.lease is not None
        world.index.head = replace(now, lease=replace(now.lease, beat=next(beats)))

    with world.agent() as site:
        world.clock.on_wait = beat
        with pytest.raises(BusyError):
            site.tenancy.acquire()
        world.clock.on_wait = lambda: None
        site.tenancy.acquire()
        assert site.tenancy.held


def test_dry_run_makes_no_head(world: World) -> None:
    """A dry run of a new site writes nothing, not even the head."""
    world.write("a")
    with world.agent() as site:
        site.dry_run(as_json=False)
    assert world.index.head is None


def test_empty_directory_that_went_while_deletes_were_off(world: World) -> None:
    """A directory without files that went while deletes were off goes when they are on again."""
    world.write("a")
    (world.root / "empty").mkdir()
    world.settle()
    (world.root / "empty").rmdir()
    on = world.config
    world.config = replace(on, delete=False)
    world.sync()
    world.config = on
    world.settle()
    assert world.index.all()["empty", ""].gone


def test_header_rules_that_touch_nothing_are_applied(world: World) -> None:
    """Header rules under which no object changes are recorded as applied, so that the next run skips again."""
    world.write("a.txt")
    world.settle()
    world.descriptor = descriptor(header_rules=(HeaderRule("*.nothing", {"cache-control": "no-store"}),))
    world.sync()
    head = world.index.head
    assert head is not None
    assert head.applied is not None
    assert "nothing" in str(head.applied.header_rules)


def test_damaged_cache_is_made_anew(world: World) -> None:
    """A cache that SQLite finds damaged is made anew."""
    for n in range(300):
        world.write(f"d{n}/a", b"%d" % n)
    world.settle()
    path = world.config.state_dir / "cache.sqlite"
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    world.write("b")
    world.settle()
    world.check()


def test_exclude_of_bytes() -> None:
    """An exclude that is not UTF-8 on the command line is taken as the bytes that it is."""
    assert Excludes(["priv\udce9*"]).match(b"", b"priv\xe9e")


def test_exclude_follows_the_encoding() -> None:
    """A glob with é in the configuration excludes that name on a latin-1 site."""
    assert Excludes(["priv\xe9*"]).match(b"", b"priv\xe9e")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("copy_rules", None),
        ("copy_rules", ["docs/"]),
        ("header_rules", 7),
        ("header_rules", [{"match": "*"}]),
        ("header_rules", [{"match": "*", "headers": []}]),
        ("header_rules", ["*"]),
    ],
)
def test_descriptor_refuses_wrong_types(field: str, value: object) -> None:
    """A field of a wrong type is refused with the contract's error."""
    fields = json.loads(descriptor().to_json())
    with pytest.raises(ContractError):
        Descriptor.from_json(json.dumps({**fields, field: value}))


def test_state_inside_root_is_refused(tmp_path: Path) -> None:
    """A state directory inside the tree would be published: it is refused."""
    path = tmp_path / "c.toml"
    path.write_text(f'site = "www"\nroot = "{tmp_path}"\nstate_dir = "{tmp_path}/state"\n')
    with pytest.raises(ConfigError):
        load_config(path)


class Cancellable(Future[Any]):
    """Work that never begins."""

    def cancel(self) -> bool:
        """Cancel it, and tell who waits, as the worker that takes it would."""
        return super().cancel() and not self.set_running_or_notify_cancel()


class PendingExecutor:
    """Runs only the first work."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, work: Any, /) -> Any:
        """Run it, if it is the first."""
        future: Future[Any] = InlineExecutor().submit(work) if not self.futures else Cancellable()
        self.futures.append(future)
        return future


def test_failed_run_leaves_no_upload_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a run ends early, no upload that it began is still to come."""
    for n in range(3):
        world.write(f"{n}.png")
    executor = PendingExecutor()
    monkeypatch.setattr("tests.unit.agent.fakes.InlineExecutor", lambda: executor)
    world.faults.answer("put", LeaseLostError("lost"))
    with pytest.raises(LeaseLostError):
        world.sync()
    assert all(future.done() for future in executor.futures)


def test_stray_under_deferred_file_stays(world: World) -> None:
    """After a crash, an object whose file is only being written again is no stray."""
    world.write("a")
    world.settle()
    world.write("b", b"one")
    for at in range(100):
        assert world.sync_and_die(at, after_effect=True)
        if "b" in world.objects.current:
            break
    assert "b" not in world.index.files()
    world.write("b", b"two, still being written")
    world.clock.time = os.stat(world.root / "b").st_ctime - 100
    world.sync()
    assert "b" in world.objects.current
    assert "b" not in world.jobs("delete")


def test_moved_hold_can_be_approved(world: World) -> None:
    """Deletes that are held since the file system changed can be approved."""
    world.write("d/a")
    world.write("d/b")
    world.settle()
    with world.agent() as site:
        site.parts.cache._db.execute("UPDATE snapshot SET device = device + 1, digest = x'00'")
    (world.root / "d/b").unlink()
    summary = world.sync()
    assert summary.held == 1
    StateDirectory(world.config.state_dir).approve(1)
    assert world.sync().deleted == 1


def test_stray_beneath_unmounted_root_is_held(world: World) -> None:
    """After a crash, an empty root holds every delete, strays too."""
    world.write("a")
    world.settle()
    world.write("b", b"one")
    for at in range(100):
        assert world.sync_and_die(at, after_effect=True)
        if "b" in world.objects.current:
            break
    for name in ("a", "b"):
        (world.root / name).unlink()
    world.sync()
    assert world.jobs("delete") == []


def test_brake_counts_strays(world: World) -> None:
    """After a crash, strays count for the brake too."""
    world.config = replace(world.config, brake=Brake(files=0, percent=0.0))
    world.write("a")
    world.settle()
    world.write("b", b"one")
    for at in range(100):
        assert world.sync_and_die(at, after_effect=True)
        if "b" in world.objects.current:
            break
    (world.root / "b").unlink()
    world.sync()
    assert world.jobs("delete") == []


def test_new_excludes_take_published_files_back(world: World) -> None:
    """A name that is excluded from now on is deleted, though the tree did not change."""
    world.write("a.bak")
    world.write("b")
    world.settle()
    world.config = replace(world.config, exclude=("*.bak",))
    assert world.sync().deleted == 1
