"""docs/reference/commands.md: the parser of the release, and the exit codes with the errors that lead to them."""

import argparse
import re
from collections.abc import Iterator
from typing import Final

from siteferry import cli, errors, help_texts
from tests.docs import markdown

_CODE: Final = re.compile(r"(?:^  |(?<=\S) {2,})(\d+) +(.+?)(?= {2,}\d+ {2}|$)", re.MULTILINE)


def document() -> str:
    """Give the page."""
    parser = cli.make_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = "\n".join(_command(command) for command in commands.choices.values())
    return f"""# Commands

`siteferry COMMAND --help` says the same on the host; `siteferry --version` which release it is.

{parts}
## Exit codes

From 64 on they are those of sysexits.h. systemd starts the agent again after all but 0, 64 and 78.

{markdown.table(("code", "name", "when", "raised as"), _codes())}"""


def _command(parser: argparse.ArgumentParser) -> str:
    options = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    usage = " ".join([parser.prog, *(_usage(option) for option in options)])
    rows = ((f"`{_name(option)}`", _meaning(option)) for option in options)
    text = "\n\n".join(part for part in (parser.description, parser.epilog) if part)
    return f"## {parser.prog}\n\n    {usage}\n\n{_prose(text)}\n\n{markdown.table(('option', 'meaning'), rows)}"


def _meaning(option: argparse.Action) -> str:
    assert option.help, option
    shown = option.option_strings and not option.metavar  # by the name
    return option.help + (f" ({', '.join(option.choices)})" if option.choices and not shown else "")


def _name(option: argparse.Action) -> str:
    if not option.option_strings:
        return str(option.metavar or option.dest.upper())
    if option.nargs == 0:
        return ", ".join(option.option_strings)
    value = option.metavar or f"{{{','.join(option.choices or ())}}}"
    return f"{', '.join(option.option_strings)} {value}"


def _usage(option: argparse.Action) -> str:
    name = _name(option)
    more = "..." if option.nargs == "*" or isinstance(option, argparse._AppendAction) else ""
    return f"[{name}]{more}" if option.option_strings or option.nargs in ("?", "*") else name


def _prose(text: str) -> str:
    """Give a help text as Markdown: what is indented there is shown as it is."""
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        if all(line.startswith("  ") for line in lines):
            blocks.append("\n".join("  " + line for line in lines))
        else:
            blocks.append(block.replace("*", "\\*"))
    return "\n\n".join(blocks)


def _codes() -> Iterator[tuple[str, ...]]:
    said = {int(code): text for code, text in _CODE.findall(help_texts.EPILOG)}
    assert said.keys() == set(errors.Exit), said
    for code in errors.Exit:
        raised = [kind for kind in errors.SiteferryError.__subclasses__() if kind.exit == code]
        yield (
            str(int(code)),
            code.name,
            said[code],
            "; ".join(f"{kind.__name__}: {(kind.__doc__ or '').rstrip('.')}" for kind in raised),
        )
    yield "130", "", "Ctrl-C", ""
