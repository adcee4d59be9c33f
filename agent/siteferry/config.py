"""What is local to the FTP host: /etc/siteferry.toml. What a site is in the cloud is in its descriptor."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

from siteferry.errors import ConfigError

DEFAULT_PATH: Final = Path("/etc/siteferry.toml")

DEFAULT_EXCLUDES: Final = (
    ".ht*",                # the web server's own files: passwords and rules, never content
    ".env*",               # credentials
    ".git",                # the history of a site, with all that was ever in it
    ".svn",
    ".hg",
    ".DS_Store",
    ".in.*",               # ProFTPD: `.in.NAME.` with HiddenStores; lftp: `.in.NAME` with xfer:use-temp-file
    ".pureftpd-upload.*",  # Pure-FTPd: with -0, and while an upload is resumed
    "*.filepart",          # WinSCP, over SFTP: what is larger than 100 KB
    ".giosave??????",      # GNOME's files (GVfs), over SFTP
    ".ftpquota",
    ".nfs*",               # a file deleted while open, on NFS
    ".siteferry-????????????????",  # of `siteferry restore`, until it has its own name
)  # fmt: skip
"""Names that are no part of any site, unless `exclude_defaults = false`."""

SKIP: Final = "skip"
INSIDE: Final = "inside"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Brake:
    """How many deletes one run may make before a person has to approve them."""

    files: int = 20
    """Up to this many are never held."""
    percent: float = 10.0
    """Of the published files; more than this *and* more than `files` are held."""
    most: int = 10_000
    """More than this are always held."""

    def lets(self, deletes: int, there: int) -> bool:
        """Tell whether so many deletes, of so many files that there were, need no person's word."""
        share = 100 * deletes / there if there else 100.0
        return deletes <= self.most and (deletes <= self.files or share <= self.percent)


@dataclass(frozen=True, slots=True)
class Hints:
    """What tells a daemon which directories to look at before the next full cycle."""

    inotify: bool = True
    """The kernel, if the tree has few enough directories."""
    inotify_directories: int = 8_192
    """More than this are not watched: each takes about a kilobyte of the kernel's memory."""
    logs: tuple[Path, ...] = ()
    """Logs of FTP servers."""


@dataclass(frozen=True, slots=True)
class AwsConfig:
    """How AWS is reached. Credentials come from boto3's chain: role, profile, environment."""

    region: str | None = None
    """Where the site's stack is deployed; otherwise of profile or environment."""
    profile: str | None = None
    """Of `~/.aws/config`; otherwise the host's role or the environment."""
    endpoint_url: str | None = None
    """Where AWS is, instead of at AWS: the local stack's address."""
    ca_bundle: Path | None = None
    """The certificates to trust there."""


@dataclass(frozen=True, slots=True)
class Config:
    """The host's settings, checked."""

    site: str
    """Its name in `sites.toml`."""
    root: Path
    """The FTP tree; the agent never writes in it."""
    state_dir: Path
    """Cache, lock and status; all but the lock can be deleted. Not beneath `root`."""
    interval: float = 60.0
    """Seconds from the start of one cycle to the next."""
    settle: float = 10.0
    """Seconds a file's ctime must be old before it is published."""
    workers: int = 16
    """Concurrent uploads."""
    max_bandwidth: float = 0.0
    """Megabytes (1,000,000 bytes) a second, all uploads together; 0: no limit."""
    lease: float = 180.0
    """Seconds for which the site belongs to this agent after each renewal; no request takes over a quarter of it."""
    exclude: tuple[str, ...] = DEFAULT_EXCLUDES
    """Globs: of one name, or with a slash of a whole path. What matches is no part of the site; what is published of it
    already is deleted."""
    symlinks: str = SKIP
    """`skip`: none is followed; `inside`: those to files beneath the root are published as these files."""
    max_file_size: float = 50.0
    """Gigabytes (1,000,000,000 bytes); a larger file is reported, not published, and its published version stays."""
    max_directory: int = 1_000_000
    """Names; a directory with more counts as unreadable. Comparing one takes up to a kilobyte of memory for each."""
    delete: bool = True
    """False: nothing is ever deleted from S3."""
    audit_days: float = 7.0
    """Days between a daemon's audits, which mend what differs; 0: it makes none by itself."""
    heartbeat: bool = True
    """A daemon tells CloudWatch once a minute how it does; the alarms on the agent depend on it."""
    log: str = "text"
    """What the lines of a log are: `text` or `json`."""
    brake: Brake = field(default_factory=Brake)
    hints: Hints = field(default_factory=Hints)
    aws: AwsConfig = field(default_factory=AwsConfig)


def load_config(path: Path) -> Config:
    """Read and check the configuration; raises ConfigError naming the file, the key and the remedy."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such configuration file",
            "write one (`siteferry --help` shows the least it needs), or name it with --config FILE",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", "make it readable for this user") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}", "correct that line") from None
    return _config(_Table(path, "", tables))


def _config(table: "_Table") -> Config:
    default = Config("", Path(), Path())
    site = table.take("site", _site)
    extra = table.take("exclude", _globs, ())
    base = () if table.take("exclude_defaults", _boolean, True) is False else DEFAULT_EXCLUDES
    config = Config(
        site=site,
        root=table.take("root", _absolute),
        state_dir=table.take("state_dir", _absolute, Path("/var/lib/siteferry") / site),
        interval=table.take("interval", _number(0.1, 86_400), default.interval),
        settle=table.take("settle", _number(1, 86_400), default.settle),
        workers=table.take("workers", _integer(1, 512), default.workers),
        max_bandwidth=table.take("max_bandwidth", _number(0, 100_000), default.max_bandwidth),
        lease=table.take("lease", _number(10, 3600), default.lease),
        exclude=(*base, *extra),
        symlinks=table.take("symlinks", _one_of(SKIP, INSIDE), default.symlinks),
        max_file_size=table.take("max_file_size", _number(0.001, 50_000), default.max_file_size),
        max_directory=table.take("max_directory", _integer(1, 100_000_000), default.max_directory),
        delete=table.take("delete", _boolean, True),
        audit_days=table.take("audit_days", _number(0, 365), default.audit_days),
        heartbeat=table.take("heartbeat", _boolean, default.heartbeat),
        log=table.take("log", _one_of("text", "json"), default.log),
        brake=_brake(table.table("brake")),
        hints=_hints(table.table("hints")),
        aws=_aws(table.table("aws")),
    )
    table.refuse_the_rest()
    if config.state_dir.resolve().is_relative_to(config.root.resolve()):
        raise ConfigError(
            f"{table.file}: `state_dir` {config.state_dir} is inside `root`: it would be published",
            "put it elsewhere; the default is /var/lib/siteferry/SITE",
        )
    return config


def _brake(table: "_Table") -> Brake:
    default = Brake()
    brake = Brake(
        files=table.take("files", _integer(0, 10**9), default.files),
        percent=table.take("percent", _number(0, 100), default.percent),
        most=table.take("most", _integer(0, 10**9), default.most),
    )
    table.refuse_the_rest()
    return brake


def _hints(table: "_Table") -> Hints:
    default = Hints()
    hints = Hints(
        inotify=table.take("inotify", _boolean, default.inotify),
        inotify_directories=table.take("inotify_directories", _integer(1, 1_000_000), default.inotify_directories),
        logs=table.take("logs", _paths, default.logs),
    )
    table.refuse_the_rest()
    return hints


def _aws(table: "_Table") -> AwsConfig:
    aws = AwsConfig(
        region=table.take("region", _text, None),
        profile=table.take("profile", _text, None),
        endpoint_url=table.take("endpoint_url", _text, None),
        ca_bundle=table.take("ca_bundle", _absolute, None),
    )
    table.refuse_the_rest()
    return aws


_MISSING: Final[Any] = object()


class _Table:
    """A TOML table that remembers what was asked of it, so that the rest can be refused."""

    def __init__(self, file: Path, where: str, values: Mapping[str, Any]) -> None:
        self.file, self.where, self.values = file, where, values
        self.known: set[str] = set()

    def take(self, key: str, check: Callable[[Any], T], default: Any = _MISSING) -> T:
        self.known.add(key)
        if key not in self.values:
            if default is _MISSING:
                raise ConfigError(f"{self.file}: `{self.where}{key}` is missing", f"add a line: {key} = …")
            return default  # type: ignore[no-any-return]
        try:
            return check(self.values[key])
        except ValueError as error:
            raise ConfigError(f"{self.file}: `{self.where}{key}` is {self.values[key]!r}: {error}") from None

    def table(self, key: str) -> "_Table":
        return _Table(self.file, f"{self.where}{key}.", self.take(key, _mapping, {}))

    def refuse_the_rest(self) -> None:
        for key in self.values:
            if key not in self.known:
                near = get_close_matches(key, self.known, 1)
                raise ConfigError(
                    f"{self.file}: `{self.where}{key}` is not a setting",
                    f"did you mean `{self.where}{near[0]}`?" if near else f"known: {', '.join(sorted(self.known))}",
                )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a table")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    return value


def _site(value: Any) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", _text(value)):
        raise ValueError("expected a site's name from sites.toml: lower-case letters, digits and dashes, at most 31")
    return str(value)


def _absolute(value: Any) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError("expected " + " or ".join(f'"{word}"' for word in words))
        return str(value)

    return check


def _globs(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('expected a list of globs, such as ["*.bak", "private/*"]')
    return tuple(_text(glob) for glob in value)


def _paths(value: Any) -> tuple[Path, ...]:
    if not isinstance(value, list):
        raise ValueError('expected a list of absolute paths, such as ["/var/log/vsftpd.log"]')
    return tuple(_absolute(path) for path in value)


def _number(least: float, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ValueError(f"expected a number from {least:g} to {most:g}")
        return float(value)

    return check


def _integer(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return value

    return check
