"""Manual pages and completions: made from the command line, complete, and taken by the programs that read them."""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from siteferry import __version__
from siteferry.cli import make_parser
from siteferry_packaging.completion import completion
from siteferry_packaging.deb import NEWEST_PYTHON, OLDEST_PYTHON, debian_version
from siteferry_packaging.manual import command_page, configuration_page

PACKAGING = Path(__file__).parents[3] / "agent" / "packaging"
PAGES = {
    "siteferry.1": command_page(make_parser(), __version__),
    "siteferry.toml.5": configuration_page((PACKAGING / "siteferry.toml").read_text("utf-8"), __version__),
}


def commands() -> dict[str, argparse.ArgumentParser]:
    """Give the parsers of all commands, by name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def shown(name: str, folder: Path) -> str:
    """Give a page as `man` shows it; it must find nothing wrong."""
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    (folder / name).write_text(PAGES[name], "utf-8")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "200", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(
        ["man", "--warnings", "--local-file", str(folder / name)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "minimized" in done.stdout:
        pytest.skip("man is not installed")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_manual_has_every_command_option_and_exit_code(tmp_path: Path) -> None:
    """What `--help` says of commands, options and exit codes is in siteferry(1), and `man` has nothing to object."""
    page = " ".join(shown("siteferry.1", tmp_path).split())
    for name, command in commands().items():
        assert f"siteferry {name} [OPTION]..." in page
        assert f" {name} {command.description.splitlines()[0]}" in page if command.description else False
        for action in command._actions:
            if "--help" not in action.option_strings:
                said = " ".join((action.help or "").split()) % {"default": action.default}
                assert all(f"{option} " in page for option in action.option_strings)
                assert said in page, (name, action.dest)
    for line in (make_parser().epilog or "").splitlines()[1:]:
        assert " ".join(line.split()) in page


def test_the_manual_has_every_setting(tmp_path: Path) -> None:
    """siteferry.toml(5) is the example configuration, line for line."""
    page = shown("siteferry.toml.5", tmp_path)
    assert all(line in page for line in (PACKAGING / "siteferry.toml").read_text("utf-8").splitlines())


def test_a_line_of_text_is_never_a_request() -> None:
    """Text that roff would act on is shown as it is."""
    parser = argparse.ArgumentParser(prog="siteferry", description=".ig\nc:\\new 'quoted'\n\n.so /etc/passwd")
    parser.add_subparsers().add_parser("go", description="go")
    page = command_page(parser, "1")
    assert ".ig" not in [line[:3] for line in page.splitlines()]
    assert "\\&.ig c:\\enew \\(aqquoted\\(aq" in page
    assert "\\&.so /etc/passwd" in page


def completed(*words: str) -> list[str]:
    """Give what bash offers for the last of some words."""
    script = (
        'eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        " $(complete -p siteferry | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", completion(make_parser(), "bash"), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    """Commands and options are offered by how they begin, files where a file is meant."""
    (tmp_path / "site.toml").touch()
    assert completed("siteferry", "") == list(commands())
    assert completed("siteferry", "sync", "--d") == ["--dry-run"]
    assert completed("siteferry", "redrive", "in") == ["invalidate"]
    assert completed("siteferry", "sync", "--config", f"{tmp_path}/s") == [f"{tmp_path}/site.toml"]


def test_the_completion_for_zsh_has_every_command() -> None:
    """It is one function that zsh finds by its first line."""
    text = completion(make_parser(), "zsh")
    assert text.startswith("#compdef siteferry\n")
    assert all(f"{name}:" in text for name in commands())


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.1.0", "0.1.0"), ("1.0rc1", "1.0~rc1"), ("1.0.dev3", "1.0~dev3"), ("1.0.post1", "1.0.post1")],
)
def test_a_version_before_a_release_is_older_for_debian_too(version: str, expected: str) -> None:
    """Python's `1.0rc1` is before `1.0`; for Debian only with a tilde."""
    assert debian_version(version) == expected


def test_the_package_depends_on_the_versions_of_python_that_it_is_for() -> None:
    """The dependency allows the versions for which the environment has a folder, and no other."""
    depends = re.findall(r"(?m)^  - (python3 .*)$", (PACKAGING / "nfpm.yaml").read_text("utf-8"))
    assert depends == [f"python3 (>= 3.{OLDEST_PYTHON})", f"python3 (<< 3.{NEWEST_PYTHON + 1})"]
