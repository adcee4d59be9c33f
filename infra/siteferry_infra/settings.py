"""What `sites.toml` says of each site, validated. No CDK here: a mistake is told in milliseconds, not after a synth.

Every refusal is a `SettingsError` that names the file, the key path, what was seen, why it is refused and what to do.
"""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from siteferry_contract.copy_rules import CopyRule, check_rules
from siteferry_contract.descriptor import HeaderRule
from siteferry_contract.errors import ContractError
from siteferry_contract.keys import Encoding, check_encoding, check_prefix
from siteferry_contract.redirects import Redirects, check_redirects
from siteferry_infra.existing import KNOWN, Existing, check_apart, read_existing
from siteferry_infra.header_rules import read_header_rules
from siteferry_infra.page_template import read_page_template
from siteferry_infra.toml_reader import SettingsError, Table

__all__ = ["SettingsError", "SiteSettings", "load_sites", "parse_sites"]

MIN_RETENTION_DAYS: Final = 30
"""Deletes and overwrites must stay reversible for longer than a message can wait for a redrive (twice 14 days)."""
MAX_RETENTION_DAYS: Final = 3650
MAX_INVALIDATION_WINDOW: Final = 300
"""Seconds; Lambda's limit for MaximumBatchingWindowInSeconds. At least 1, since a batch is over 10 messages."""
MAX_INVALIDATION_BUDGET: Final = 1_000_000
"""Paths a month, which cost $5,000: more is a slip."""
MAX_ALARM_MINUTES: Final = 1_440
"""CloudWatch's limit for the periods of an alarm, one minute each."""
MAX_COPY_RULES_BYTES: Final = 2_500
"""What is left of the 4 KB of a Lambda's environment after the longest names."""

_KNOWN: Final = (
    "prefix",
    "encoding",
    "copy_rules",
    "directory_pages",
    "directory_redirects",
    "error_page",
    "page_template",
    "header_rules",
    "invalidation",
    "invalidation_budget",
    "invalidation_window",
    "alarm_email",
    "agent_silent_minutes",
    "oldest_change_minutes",
    "runbook_url",
    "cdn_alarm_for",
    "domain_names",
    "certificate_arn",
    "retention_days",
    *KNOWN,
)
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PREFIX: Final = re.compile(r"([A-Za-z0-9._-]+/)*")
_ERROR_PAGE: Final = re.compile(r"[A-Za-z0-9._/-]{1,200}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URL: Final = re.compile(r"https://[!-~]{1,200}/")
_DISTRIBUTION: Final = re.compile(r"E[0-9A-Z]{8,20}")
_DOMAIN: Final = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_CERTIFICATE: Final = re.compile(r"arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/[0-9A-Za-z-]+")
_PLACE_OF_RULE: Final = re.compile(r"copy rule (\d+) \(.*?\): '(from|to)'")
"""Where the contract says that a rule is wrong; a text without it is reported for all rules."""
_MAX_ORIGIN_PATH: Final = 255
"""CloudFront's limit for an origin path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """What one site is in the cloud."""

    name: str
    """Of the table: `[sites.NAME]`; 1 to 31 lower-case letters, digits and hyphens, a letter first."""
    prefix: str = ""
    """Where the site lies in its bucket: "" or "some/prefix/"."""
    encoding: Encoding = "latin-1"
    """How the names on the FTP host become text: "latin-1", "utf-8", or "auto": UTF-8 where valid, else latin-1."""
    copy_rules: tuple[CopyRule, ...] = ()
    """`{ from = "docs/", to = "mirror/docs/" }`: each key under `from` is duplicated under `to`."""
    directory_pages: bool = True
    """An index.html is generated in each directory that has none of its own."""
    directory_redirects: Redirects = "exact"
    """How /dir leads to /dir/: "exact": by a small object for each directory; "by-extension": a name without a dot is
    taken for a directory's, and files without an extension are not served; "none"."""
    error_page: str = "404.html"
    """What is served, with status 404, for what is missing, if the site has it; "": nothing."""
    page_template: str | None = None
    """The text of the site's own template of directory pages, by a file beside sites.toml; none: the built-in one."""
    header_rules: tuple[HeaderRule, ...] = ()
    """`{ match = "*.html", headers = { cache-control = "max-age=60" } }`: headers for the objects whose path matches a
    glob; `*` goes over slashes too, and the first rule that matches wins."""
    invalidation: str = "paths"
    """By "paths" or by cache "tags"; the latter is unproven on a real account."""
    invalidation_budget: int = 10_000
    """Paths a month; after that, each window of changes is one path."""
    invalidation_window: int = 2
    """Seconds that changes are gathered for before they become one invalidation."""
    alarm_email: str | None = None
    """Who hears of alarms; the address has to confirm the subscription."""
    agent_silent_minutes: int = 5
    """Without a heartbeat, after which there is an alarm, at least 2; 0: none, because no daemon publishes the site."""
    oldest_change_minutes: int = 30
    """That a change may be unpublished for; 0: there is no such alarm."""
    runbook_url: str | None = None
    """The folder, with its last slash, in which people read the runbooks, for the texts of alarms; none: a checkout."""
    cdn_alarm_for: str | None = None
    """The distribution (output DistributionId) of a stack outside us-east-1: its alarm is a second stack there."""
    domain_names: tuple[str, ...] = ()
    """Of the site, beside the distribution's own; they need `certificate_arn`."""
    certificate_arn: str | None = None
    """An ACM certificate in us-east-1 that covers `domain_names`."""
    retention_days: int = 90
    """Days that overwritten and deleted versions are kept for."""
    existing: Existing = field(default_factory=Existing)


def load_sites(path: Path) -> tuple[SiteSettings, ...]:
    """Read and check the file at `path`; raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path}: cannot be read: {reason}; give another file by `--context sites=FILE`") from error
    return parse_sites(text, source=str(path), folder=path.parent)


def parse_sites(text: str, *, source: str, folder: Path = Path()) -> tuple[SiteSettings, ...]:
    """Check the text of a settings file, called `source` in messages; raises SettingsError.

    Files that it names are relative to `folder`.
    """
    try:
        document = Table(source=source, path="", values=tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: is not TOML: {error}; correct that line") from error
    document.only("sites")
    sites = document.table("sites")
    if not sites.values:
        raise document.error("sites", "there is no site", "add a table [sites.NAME]")
    read = tuple(_read_site(name, sites.table(name), folder) for name in sites.values)
    check_apart(document, [(site.name, site.prefix, site.existing) for site in read])
    return read


def _read_site(name: str, table: Table, folder: Path) -> SiteSettings:
    if not _NAME.fullmatch(name):
        raise table.error(
            "",
            f"{name!r} cannot name a site, since queues and functions are named after it",
            "use 1 to 31 lower-case letters, digits and hyphens, a letter first",
        )
    table.only(*_KNOWN)
    domain_names, certificate_arn = _read_domain(table)
    return SiteSettings(
        name=name,
        prefix=_read_prefix(table),
        encoding=_read_encoding(table),
        copy_rules=_read_copy_rules(table),
        directory_pages=table.boolean("directory_pages", default=True),
        directory_redirects=_read_redirects(table),
        error_page=_read_error_page(table),
        page_template=read_page_template(table, folder),
        header_rules=read_header_rules(table),
        invalidation=_read_invalidation(table),
        invalidation_budget=table.integer(
            "invalidation_budget", default=10_000, low=1, high=MAX_INVALIDATION_BUDGET, unit="paths"
        ),
        invalidation_window=table.integer(
            "invalidation_window", default=2, low=1, high=MAX_INVALIDATION_WINDOW, unit="seconds"
        ),
        alarm_email=_read_email(table),
        agent_silent_minutes=_read_silence(table),
        oldest_change_minutes=table.integer(
            "oldest_change_minutes", default=30, low=0, high=MAX_ALARM_MINUTES, unit="minutes"
        ),
        runbook_url=_read_runbook_url(table),
        cdn_alarm_for=_read_cdn_alarm(table),
        domain_names=domain_names,
        certificate_arn=certificate_arn,
        retention_days=table.integer(
            "retention_days", default=90, low=MIN_RETENTION_DAYS, high=MAX_RETENTION_DAYS, unit="days"
        ),
        existing=read_existing(table),
    )


def _read_prefix(table: Table) -> str:
    prefix = table.text("prefix", default="") or ""
    try:
        check_prefix(prefix)
    except ContractError as error:
        raise table.error("prefix", str(error), 'use "" or, say, "some/prefix/"') from error
    # The prefix is also the distribution's origin path and a part of IAM resources, where other characters have
    # a meaning of their own.
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _MAX_ORIGIN_PATH:
        raise table.error(
            "prefix",
            f"{prefix!r} cannot be an origin path of CloudFront",
            f"use at most {_MAX_ORIGIN_PATH} letters, digits, '.', '_', '-' and '/'",
        )
    return prefix


def _read_encoding(table: Table) -> Encoding:
    try:
        return check_encoding(table.text("encoding", default="latin-1"))
    except ContractError as error:
        raise table.error("encoding", str(error), 'use "auto" if the users\' clients differ') from error


def _read_copy_rules(table: Table) -> tuple[CopyRule, ...]:
    tables = table.tables("copy_rules")
    rules: list[CopyRule] = []
    for rule in tables:
        rule.only("from", "to")
        source, destination = rule.required_text("from"), rule.required_text("to")
        for key, value in (("from", source), ("to", destination)):
            if not value.isprintable():
                raise rule.error(key, f"{value!r} has unprintable characters", "name an ordinary folder")
        rules.append(CopyRule(source, destination))
    try:
        check_rules(rules)
    except ContractError as error:
        remedy = 'use folders such as "docs/" and "mirror/docs/", and a destination of its own for each rule'
        place = _PLACE_OF_RULE.match(str(error))
        if place is None:
            raise table.error("copy_rules", str(error), remedy) from error
        raise tables[int(place[1]) - 1].error(place[2], str(error), remedy) from error
    # Measured as Lambda does, which takes the environment as JSON: each quote of ours costs two bytes.
    size = len(json.dumps(json.dumps([{"from": rule.source, "to": rule.destination} for rule in rules])))
    if size > MAX_COPY_RULES_BYTES:
        raise table.error(
            "copy_rules",
            f"{size} bytes are too many: the handlers get them by their environment, which is limited to 4 KB",
            f"use fewer or shorter rules, up to {MAX_COPY_RULES_BYTES} bytes",
        )
    return tuple(rules)


def _read_redirects(table: Table) -> Redirects:
    try:
        return check_redirects(table.text("directory_redirects", default="exact"))
    except ContractError as error:
        raise table.error("directory_redirects", str(error), 'use "exact" unless it costs too much') from error


def _read_error_page(table: Table) -> str:
    page = table.text("error_page", default="404.html") or ""
    if page and (not _ERROR_PAGE.fullmatch(page) or any(part in ("", ".", "..") for part in page.split("/"))):
        reason = f"{page!r} cannot be the path of an error page"
        raise table.error("error_page", reason, 'use a path without a leading slash, say "errors/404.html", or ""')
    return page


def _read_invalidation(table: Table) -> str:
    mode = table.text("invalidation", default="paths")
    if mode not in ("paths", "tags"):
        raise table.error("invalidation", f"{mode!r} is unknown", 'use "paths" (the default) or "tags"')
    return mode or "paths"


def _read_email(table: Table) -> str | None:
    address = table.text("alarm_email")
    if address is not None and not _EMAIL.fullmatch(address):
        raise table.error("alarm_email", f"{address!r} is no e-mail address", 'use, say, "ops@example.com"')
    return address


def _read_silence(table: Table) -> int:
    minutes = table.integer("agent_silent_minutes", default=5, low=0, high=MAX_ALARM_MINUTES, unit="minutes")
    if minutes == 1:
        reason = "1 is too few: heartbeats are a minute apart, and now and then there is none between two full minutes"
        raise table.error("agent_silent_minutes", reason, "use at least 2, or 0 for no alarm")
    return minutes


def _read_runbook_url(table: Table) -> str | None:
    url = table.text("runbook_url")
    if url is not None and not _URL.fullmatch(url):
        remedy = 'use the address of the folder with its last slash, say "https://wiki.example.com/runbooks/"'
        raise table.error("runbook_url", f"{url!r} is no address of a folder", remedy)
    return url


def _read_cdn_alarm(table: Table) -> str | None:
    distribution = table.text("cdn_alarm_for")
    if distribution is not None and not _DISTRIBUTION.fullmatch(distribution):
        remedy = "use the stack's output DistributionId"
        raise table.error("cdn_alarm_for", f"{distribution!r} is no id of a distribution", remedy)
    return distribution


def _read_domain(table: Table) -> tuple[tuple[str, ...], str | None]:
    names, certificate = table.texts("domain_names"), table.text("certificate_arn")
    for number, name in enumerate(names):
        if not _DOMAIN.fullmatch(name):
            raise table.error(f"domain_names[{number}]", f"{name!r} is no domain name", 'use, say, "www.example.com"')
    if names and certificate is None:
        remedy = "add the ARN of an ACM certificate in us-east-1 that covers domain_names"
        raise table.error("certificate_arn", "is missing, but domain_names is set", remedy)
    if certificate is not None:
        if not names:
            remedy = "add domain_names, or leave certificate_arn out"
            raise table.error("domain_names", "is missing, but certificate_arn is set", remedy)
        if not _CERTIFICATE.fullmatch(certificate):
            remedy = "use arn:aws:acm:us-east-1:ACCOUNT:certificate/ID: CloudFront takes no other region"
            raise table.error("certificate_arn", f"{certificate!r} is no certificate for CloudFront", remedy)
    return names, certificate
