"""The manual pages, made from what the command line and the example configuration say themselves."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_FILES: Final = (
    ("/etc/siteferry.toml", "the configuration of the one site of a host; siteferry.toml(5)"),
    ("/etc/siteferry/SITE.toml", "of one site of several"),
    ("/var/lib/siteferry/SITE", "cache, lock and status; all but the lock can be deleted"),
    ("/etc/credstore/siteferry.aws-credentials", "AWS keys for siteferry.service, if the host has no role"),
    ("/etc/credstore/siteferry.SITE.aws-credentials", "for siteferry@SITE.service"),
    (
        "/usr/bin/siteferry-as-unit",
        "as root: a command with user, rights and credentials of its unit; restore and undo as root",
    ),
)


def command_page(parser: argparse.ArgumentParser, version: str) -> str:
    """Write siteferry(1): every command, option and exit code that the parser knows."""
    commands = _commands(parser)
    common = set.intersection(*({action.option_strings[0] for action in _options(c)} for c in commands.values()))
    first = next(iter(commands.values()))
    lines = [
        *_begin("siteferry", 1, version, "publish a web site that people manage over FTP to S3 and CloudFront"),
        ".SH SYNOPSIS",
        *(line for name, command in commands.items() for line in (_synopsis(name, command), ".br")),
        r"\fBsiteferry\fR [\fB\-\-help\fR | \fB\-\-version\fR]",
        ".SH DESCRIPTION",
        *_text(parser.description or ""),
        ".SH COMMANDS",
    ]
    for name, command in commands.items():
        lines += [f".SS {name}", *_text(command.description or "")]
        lines += _arguments(a for a in _shown(command) if not set(a.option_strings) & common)
        lines += _text(command.epilog or "")
    lines += [".SH OPTIONS", "Every command has these, too.", *_arguments(_options(first, common))]
    lines += [".SH EXIT STATUS", *_text((parser.epilog or "").removeprefix("exit codes:\n"))]
    lines += [".SH FILES", *_terms(_FILES)]
    lines += [".SH SEE ALSO", "siteferry.toml(5), systemctl(1), systemd.exec(5)"]
    return _page(lines)


def configuration_page(example: str, version: str) -> str:
    """Write siteferry.toml(5): the example configuration, which explains every setting."""
    lines = [
        *_begin("siteferry.toml", 5, version, "configuration of siteferry"),
        ".SH DESCRIPTION",
        *_text(
            "What is local to the FTP host, in TOML. A name that is no setting is an error. What the site is in the "
            "cloud is in infra/sites.toml of the checkout that it was deployed from; nothing is configured twice."
        ),
        ".SH SETTINGS",
        *_verbatim(example.splitlines()),
        ".SH SEE ALSO",
        "siteferry(1)",
    ]
    return _page(lines)


def _page(lines: Iterable[str]) -> str:
    """Join lines; a paragraph begins by itself after a heading."""
    kept: list[str] = []
    for line in lines:
        if line != ".PP" or not kept[-1].startswith((".SH", ".SS")):
            kept.append(line)
    return "\n".join(kept) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    (found,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return found


def _shown(command: argparse.ArgumentParser) -> list[argparse.Action]:
    actions = command._actions  # noqa: SLF001
    return [a for a in actions if a.help != argparse.SUPPRESS and "--help" not in a.option_strings]


def _options(command: argparse.ArgumentParser, names: set[str] | None = None) -> list[argparse.Action]:
    options = [action for action in _shown(command) if action.option_strings]
    return options if names is None else [action for action in options if action.option_strings[0] in names]


def _begin(name: str, section: int, version: str, summary: str) -> list[str]:
    title = f'.TH {_plain(name.upper())} {section} "" "siteferry {_plain(version)}" "siteferry"'
    # No hyphens and no straight edge: options and paths are to be found and copied as they are.
    return [title, ".nh", ".ad l", ".SH NAME", rf"{_plain(name)} \- {_plain(summary)}"]


def _synopsis(name: str, command: argparse.ArgumentParser) -> str:
    named = [_named(a) if a.nargs != "?" else f"[{_named(a)}]" for a in _shown(command) if not a.option_strings]
    return " ".join([rf"\fBsiteferry {_plain(name)}\fR", r"[\fIOPTION\fR]...", *named])


def _named(action: argparse.Action) -> str:
    """Give an argument as it is typed: options bold, what stands for a value in italics."""
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices and not action.metavar:
        value = "|".join(str(choice) for choice in action.choices)
    italic = rf"\fI{_plain(value)}\fR"
    if not action.option_strings:
        return italic
    bold = ", ".join(rf"\fB{_plain(option)}\fR" for option in action.option_strings)
    return bold if action.nargs == 0 else f"{bold} {italic}"


def _arguments(actions: Iterable[argparse.Action]) -> Iterator[str]:
    for action in actions:
        # The help texts use no % but argparse's own.
        yield from (".TP", _named(action), _line((action.help or "") % {"default": action.default}))


def _terms(terms: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in terms:
        yield from (".TP", rf"\fI{_plain(term)}\fR", _line(text))


def _text(text: str) -> Iterator[str]:
    """Give paragraphs; one with a line that is indented stays as it is."""
    for paragraph in text.strip("\n").split("\n\n"):
        lines = paragraph.splitlines()
        if any(line.startswith(" ") for line in lines):
            yield from (".PP", *_verbatim(lines))
        elif lines:
            yield from (".PP", _line(" ".join(lines)))


def _verbatim(lines: Iterable[str]) -> list[str]:
    return [".nf", *map(_line, lines), ".fi"]


def _line(text: str) -> str:
    """Give a line of text that begins no request."""
    return r"\&" + _plain(text) if text[:1] in (".", "'") else _plain(text)


def _plain(text: str) -> str:
    """Escape what roff would act on, and keep ASCII's signs as they were typed."""
    signs: dict[str, str | int | None] = {
        "\\": r"\e",
        "-": r"\-",
        "'": r"\(aq",
        "`": r"\(ga",
        "^": r"\(ha",
        "~": r"\(ti",
    }
    return text.translate(str.maketrans(signs))
