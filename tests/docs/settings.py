"""docs/reference/settings.md: what the readers of both files ask for, with the docstrings of what it becomes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

from siteferry import config
from siteferry_infra import existing, settings, toml_reader
from tests.docs import attributes, markdown

_HEADER: Final = ("setting", "value", "default", "meaning")
_ELSEWHERE: Final = {"exclude": (), "exclude_defaults": True}
"""Defaults of what does not become a field as it is."""


class _Asked(config._Table):
    """A table that notes what is asked of it, and has nothing."""

    def __init__(self, prefix: str = "", seen: dict[str, tuple[str, Any]] | None = None) -> None:
        super().__init__(Path(), prefix, {})
        self.prefix, self.seen = prefix, {} if seen is None else seen

    def take(self, key: str, check: Callable[[Any], Any], default: Any = config._MISSING) -> Any:
        """Note it; what a value must be is what the check says of one that it cannot be."""
        required = default is config._MISSING
        self.seen[self.prefix + key] = (_expected(check), None if required else default)
        return Path("/", key) if check is config._absolute else key if required else default

    def table(self, key: str) -> "_Asked":
        """Note what is asked of a table within."""
        return _Asked(prefix=f"{key}.", seen=self.seen)

    def refuse_the_rest(self) -> None:
        """There is none."""


def _expected(check: Callable[[Any], Any]) -> str:
    """Give what a check says of a text that it refuses; of what is no text, if it takes any."""
    for refused in ("?", object()):
        try:
            check(refused)
        except ValueError as error:
            return str(error).removeprefix("expected ").replace("*", "\\*")
    raise AssertionError("anything goes")


class _AskedSite(toml_reader.Table):
    """The same of a site's table."""

    __slots__ = ()
    values: dict[str, str]

    def _note(self, key: str, kind: str) -> None:
        self.values[key] = kind

    def only(self, *known: str) -> None:
        """Whatever is noted is known."""

    def text(self, key: str, *, default: str | None = None) -> str | None:
        """Note it."""
        self._note(key, "a string")
        return default

    def boolean(self, key: str, *, default: bool) -> bool:
        """Note it."""
        self._note(key, "true or false")
        return default

    def integer(self, key: str, *, default: int, low: int, high: int, unit: str) -> int:
        """Note it."""
        self._note(key, f"{low} to {high} {unit}")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """Note it."""
        self._note(key, "a list of strings")
        return ()

    def tables(self, key: str) -> tuple[toml_reader.Table, ...]:
        """Note it."""
        self._note(key, "a list of tables")
        return ()


def document() -> str:
    """Give the page."""
    return f"""# Settings

Nothing is configured twice: [`/etc/siteferry.toml`](../../agent/packaging/siteferry.toml) on the FTP host says what is
local to it, [`infra/sites.toml`](../../infra/sites.toml) in the checkout what a site is in the cloud. What is not a
setting, or has a wrong value, is refused with the file, the key and what to do.

## siteferry.toml

Read when the agent starts, and again at `systemctl reload`; `siteferry check` tries it. Without a default a setting is
required, except in `[aws]`.

{markdown.table(_HEADER, _host())}
`DEFAULT_EXCLUDES`, which `exclude` adds to: {", ".join(f"`{glob}`" for glob in config.DEFAULT_EXCLUDES)}.

## sites.toml

A table `[sites.NAME]` for each site; `cdk deploy` brings changes into force. All settings have defaults.

{markdown.table(_HEADER, _cloud())}"""


def _host() -> Iterator[tuple[str, ...]]:
    asked = _Asked()
    config._config(asked)
    said = {
        **attributes.of_class(config.Config),
        "exclude_defaults": attributes.of_module(config)["DEFAULT_EXCLUDES"],
        **_beneath("brake", config.Brake),
        **_beneath("hints", config.Hints),
        **_beneath("aws", config.AwsConfig),
    }
    for key, (expected, default) in asked.seen.items():
        shown = markdown.literal(_ELSEWHERE.get(key, default))
        shown = '`"/var/lib/siteferry/SITE"`' if key == "state_dir" else shown
        yield f"`{key}`", expected, shown, said[key]


def _beneath(table: str, kind: type) -> Mapping[str, str]:
    return {f"{table}.{name}": text for name, text in attributes.of_class(kind).items()}


def _cloud() -> Iterator[tuple[str, ...]]:
    kinds: dict[str, str] = {}
    settings._read_site("site", _AskedSite(source="", path="", values=kinds), Path())
    assert kinds.keys() == set(settings._KNOWN)
    kept = (settings.SiteSettings, existing.Existing)
    said = {name: text for kind in kept for name, text in attributes.of_class(kind).items()}
    defaults = {one.name: one.default for kind in kept for one in fields(kind) if one.default is not MISSING}
    for key in settings._KNOWN:
        yield f"`{key}`", kinds[key], markdown.literal(defaults[key]), said[key]
