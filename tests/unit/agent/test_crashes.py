"""The agent dies at any request of a run, before or after its effect: nothing is lost, nothing is leaked."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.agent.fakes import DAY, World


def publish_first(world: World) -> None:
    """Publish a site that has seen deletes, long enough ago to be out of every clock's skew."""
    for path in ("index.html", "style.css", "a.txt", "was-file", "docs/faq.html", "docs/rules.txt"):
        world.write(path, b"first " + path.encode())
    for path in ("old/x.txt", "old/deep/y.txt", "old/deep/er/z.html", "was-directory/inside.txt", "re-added.txt"):
        world.write(path, b"first " + path.encode())
    world.sync()
    (world.root / "re-added.txt").unlink()
    (world.root / "docs/rules.txt").unlink()
    world.settle()
    world.check()
    world.visit_everything()
    world.clock.time += DAY


def change_everything(world: World) -> None:
    """Change the tree in every way there is."""
    world.write("index.html", b"second index")
    world.write("docs/faq.html", b"other docs/faq.html")
    (world.root / "style.css").touch()
    (world.root / "a.txt").unlink()
    shutil.rmtree(world.root / "old")
    (world.root / "was-file").unlink()
    world.write("was-file/now.txt", b"in a directory")
    shutil.rmtree(world.root / "was-directory")
    world.write("was-directory", b"a file")
    world.write("new/page.html", b"new page")
    world.write("new/image.png", b"new image")
    world.write("new/er/late.css", b"new style")
    world.write("re-added.txt", b"back again")
    world.write("docs/rules.txt", b"back again too")


def nothing(_: World) -> None:
    """The users rest."""


def undo_new(world: World) -> None:
    """The users take back what the agent was about to add."""
    shutil.rmtree(world.root / "new")
    shutil.rmtree(world.root / "was-file")
    (world.root / "re-added.txt").unlink()


def change_again(world: World) -> None:
    """The users change again what the agent was about to publish."""
    world.write("index.html", b"third index, longer")
    world.write("a.txt", b"back")
    world.write("new/page.html", b"newer")
    world.write("old/deep/y.txt", b"back in a directory that was gone")


def lose_cache(world: World) -> None:
    """The host's state is lost too."""
    shutil.rmtree(world.config.state_dir)


CASES = [(nothing, False), (nothing, True), (undo_new, False), (change_again, True), (lose_cache, False)]


@pytest.mark.parametrize(("afterwards", "after_effect"), CASES)
def test_recovers_from_death_at_every_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    afterwards: Callable[[World], None],
    after_effect: bool,
) -> None:
    """Wherever a run dies, and whatever happens to the tree then, later runs make everything equal again."""
    monkeypatch.setattr("siteferry.look.has_own_clock", lambda _: False)
    for at in range(200):
        world = World(tmp_path / str(at))
        publish_first(world)
        change_everything(world)
        if not world.sync_and_die(at, after_effect=after_effect):
            assert at > 10
            return
        world.visit_everything()
        afterwards(world)
        world.clock.time += DAY
        world.settle()
        world.check()
        shutil.rmtree(world.base)
    raise AssertionError("the run never ended")
