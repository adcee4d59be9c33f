"""What the docs say is so: links lead somewhere, commands can be typed, the reference is the code's; and the site."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from siteferry.cli import make_parser
from siteferry.errors import UsageError
from tests.docs import reference, site
from tests.docs.pages import FOLDER, PROJECT, anchors, commands, pages, targets

PAGES = [page.relative_to(PROJECT).as_posix() for page in pages()]
NOT_TYPED = "reference/commands.md"
"""Has usages, and is made from the parser itself."""
SHOWN_ONLY = re.compile(r"[\[…]|\bCOMMAND\b")
"""Stands for something."""


def parse(command: str) -> None:
    """Parse a command as the release does; raises UsageError. What is explained behind it is left out.

    One without arguments may be only a name, that of a command which needs some.
    """
    arguments = shlex.split(re.split(r" {2,}", command)[0], comments=True)[1:]
    with contextlib.suppress(SystemExit):
        make_parser().parse_args([*arguments, "--help"] if len(arguments) == 1 else arguments)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: str) -> None:
    """As they stand, in a checkout and where it is shown."""
    file = PROJECT / page
    for link in targets(file.read_text("utf-8")):
        path, _, heading = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        assert target.is_relative_to(PROJECT), link
        if heading:
            assert heading in anchors(target.read_text("utf-8")), link


def test_links_in_code_are_none_and_others_are_found() -> None:
    """What is shown as code leads nowhere; what is beside it does."""
    text = "a [b](c.md#d) `[e](f.md)`\n\n    [g](h.md)\n\n```\n[i](j.md)\n```\n[k](l/), [m](https://n.example)\n"
    assert list(targets(text)) == ["c.md#d", "l/"]


@pytest.mark.parametrize("page", [page for page in PAGES if not page.endswith(NOT_TYPED)])
def test_every_command_is_one(page: str) -> None:
    """The parser of the release takes each as it stands."""
    for command in commands((PROJECT / page).read_text("utf-8")):
        if not SHOWN_ONLY.search(command):
            parse(command)


def test_commands_are_found_and_wrong_ones_refused() -> None:
    """In code, on a line of their own, and as another user."""
    text = (
        "`siteferry status`, `other`\n\n    siteferry sync --dry-run  # plan\n    sudo -u siteferry siteferry stauts\n"
    )
    status, sync, wrong = commands(text)
    parse(status)
    parse(sync)
    with pytest.raises(UsageError):
        parse(wrong)


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """`uv run python -m tests.docs reference` writes it again."""
    assert (FOLDER / "reference" / name).read_text("utf-8") == reference.PAGES[name]()


def test_the_site_builds_and_every_link_in_it_leads_somewhere(tmp_path: Path) -> None:
    """With nothing loaded from elsewhere, and a page for each of docs and each source that they lead to."""
    first = site.build(tmp_path)
    built = {file.relative_to(first.parent).as_posix() for file in first.parent.rglob("*.html")}
    assert {f"{file.relative_to(FOLDER).with_suffix('')}.html" for file in FOLDER.rglob("*.md")} <= built
    assert {"project/overview.html", "runbooks/index.html", "source/agent/siteferry/sync.py.html"} <= built


def test_a_site_with_a_fault_is_refused(tmp_path: Path) -> None:
    """A link without a file, one without a heading, and a script from elsewhere are each told."""
    (tmp_path / "a.html").write_text('<h1 id="here">A</h1><a href="#here">x</a><a href="b.html">y</a>', "utf-8")
    (tmp_path / "c.html").write_text('<script src="https://d.example/e.js"></script><a href="a.html#there">', "utf-8")
    assert sorted(site.check(tmp_path)) == [
        "a.html: b.html leads nowhere",
        "c.html: a.html#there: there is no such heading",
        "c.html: loads https://d.example/e.js",
    ]
