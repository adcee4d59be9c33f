"""Completions for shells, made from the command line's parser."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import shtab

SHELLS: Final = ("bash", "zsh")
_FILES_OF_THE_TREE: Final = ("path", "directory")


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the completion of a shell; what stands for a file is completed by files."""
    for action in _actions(parser):
        if action.type is Path or action.dest in _FILES_OF_THE_TREE:
            marked: Any = action
            marked.complete = shtab.FILE
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _actions(command)
