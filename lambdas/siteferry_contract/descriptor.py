"""The site descriptor: what a site is in the cloud, written by `cdk deploy`, read by the agent and the Lambdas."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from siteferry_contract.copy_rules import CopyRule, check_rules
from siteferry_contract.errors import ContractError
from siteferry_contract.job import JOB_KINDS, JobKind
from siteferry_contract.keys import Encoding, check_encoding, check_prefix
from siteferry_contract.redirects import Redirects, check_redirects, may_have_redirect
from siteferry_contract.versions import (
    FIRST,
    FORMATS,
    READ,
    STACK_FIRST,
    Format,
    check_descriptor_version,
    check_reads,
    decode_reads,
)

ENVIRONMENT_VARIABLE: Final = "SITEFERRY_DESCRIPTOR"
RETENTION_DAYS: Final = 90
"""Where a descriptor does not say it."""
_VERSION: Final = 1
_TEXTS: Final = ("site", "region", "bucket", "table", "distribution", "domain", "invalidation", "page_layout")
_NEEDED: Final = frozenset(
    {
        *_TEXTS,
        "prefix",
        "encoding",
        "queues",
        "directory_pages",
        "directory_redirects",
        "invalidation_budget",
        "copy_rules",
        "header_rules",
    }
)
"""A stack of this release gives all of these. What is added later gets a default, so that the stack may be older."""


def parameter_name(site: str) -> str:
    """Give the name of the SSM parameter that holds a site's descriptor."""
    return f"/siteferry/{site}"


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """Headers for the objects whose key without the prefix matches a glob; the first rule that matches wins."""

    match: str
    headers: Mapping[str, str]
    """Lower-case header names, among them any x-amz-meta-*."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a site is in the cloud."""

    site: str
    region: str
    bucket: str
    prefix: str
    table: str
    encoding: Encoding
    queues: Mapping[JobKind, str]
    """URLs."""
    distribution: str
    """Distribution id."""
    domain: str
    directory_pages: bool
    page_layout: str
    """A short hash that changes when the same listings make other pages."""
    copy_rules: tuple[CopyRule, ...] = ()
    header_rules: tuple[HeaderRule, ...] = ()
    invalidation: str = "paths"
    """"paths" or "tags"."""
    invalidation_budget: int = 10_000
    """Paths a month."""
    directory_redirects: Redirects = "none"
    retention_days: int = RETENTION_DAYS
    """For which the bucket keeps versions that are no longer current."""
    reads: Mapping[Format, tuple[int, ...]] = field(default_factory=lambda: dict(READ))
    """The versions that the stack's handlers read."""

    @property
    def revision(self) -> str:
        """A short hash that changes with anything in the descriptor."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def has_tags(self) -> bool:
        """Whether objects carry cache tags, by which they are invalidated."""
        return self.invalidation == "tags"

    @property
    def has_redirects(self) -> bool:
        """Whether a redirect is generated at the key of each directory."""
        return self.directory_redirects == "exact"

    def may_have_redirect(self, directory: str) -> bool:
        """Tell whether there can be a redirect at the key of a directory, if the site has such redirects."""
        return may_have_redirect(directory, self.prefix, self.copy_rules)

    def has_redirect(self, directory: str) -> bool:
        """Tell whether a redirect belongs at the key of a directory that exists, unless a file is published there."""
        return self.has_redirects and self.may_have_redirect(directory)

    def to_json(self) -> str:
        """Encode, deterministically."""
        fields: dict[str, Any] = {
            "version": _VERSION,
            **{name: getattr(self, name) for name in _TEXTS},
            "prefix": self.prefix,
            "encoding": self.encoding,
            "queues": {kind: self.queues[kind] for kind in JOB_KINDS},
            "directory_pages": self.directory_pages,
            "directory_redirects": self.directory_redirects,
            "invalidation_budget": self.invalidation_budget,
            "copy_rules": [{"from": rule.source, "to": rule.destination} for rule in self.copy_rules],
            "header_rules": [
                {"match": rule.match, "headers": dict(sorted(rule.headers.items()))} for rule in self.header_rules
            ],
        }
        if self.retention_days != RETENTION_DAYS:
            fields["retention_days"] = self.retention_days
        # Not said where it goes without saying, so that the first agents, which refuse what they do not know, read it.
        reads = {name: list(self.reads[name]) for name in FORMATS if self.reads[name] != FIRST[name]}
        if reads:
            fields["reads"] = reads
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Descriptor":
        """Decode; raises ContractError that names the field, or says which of agent and stack to upgrade."""
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise ContractError(f"the site descriptor is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ContractError(f"the site descriptor is {type(fields).__name__}, not an object")
        check_descriptor_version(fields.get("version"))
        # What is not known may be overlooked: else the version would be another one.
        if missing := sorted(_NEEDED - fields.keys()):
            raise ContractError(f"the site descriptor lacks {', '.join(missing)}: {STACK_FIRST}")
        try:
            return cls._decode(fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ContractError(f"the site descriptor has a field of the wrong type: {error!r}") from error

    @classmethod
    def _decode(cls, fields: Mapping[str, Any]) -> "Descriptor":
        # Before all else: what the rest is may depend on it.
        reads = decode_reads(fields.get("reads", {}))
        check_reads(reads)
        queues = fields["queues"]
        if not isinstance(queues, dict) or queues.keys() != set(JOB_KINDS):
            raise ContractError(f"the site descriptor's queues are {queues!r}, expected one URL for each job kind")
        rules = tuple(CopyRule(_text(rule, "from"), _text(rule, "to")) for rule in _list(fields, "copy_rules"))
        check_rules(rules)
        if not isinstance(fields["directory_pages"], bool):
            raise ContractError("the site descriptor's directory_pages is not a boolean")
        return cls(
            **{name: _text(fields, name) for name in _TEXTS},
            prefix=check_prefix(fields["prefix"]),
            encoding=check_encoding(fields["encoding"]),
            queues={kind: _text(queues, kind) for kind in JOB_KINDS},
            directory_pages=fields["directory_pages"],
            directory_redirects=check_redirects(fields["directory_redirects"]),
            invalidation_budget=_number(fields, "invalidation_budget", 10_000),
            retention_days=_number(fields, "retention_days", RETENTION_DAYS),
            copy_rules=rules,
            header_rules=tuple(
                HeaderRule(_text(rule, "match"), _texts(rule["headers"])) for rule in _list(fields, "header_rules")
            ),
            reads=reads,
        )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ContractError(f"the site descriptor's {name!r} is {value!r}, not a string")
    return value


def _number(fields: Mapping[str, Any], name: str, default: int) -> int:
    value = fields.get(name, default)
    if type(value) is not int or value < 1:
        raise ContractError(f"the site descriptor's {name!r} is {value!r}, not a positive integer")
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields[name]
    if not isinstance(value, list):
        raise ContractError(f"the site descriptor's {name!r} is {value!r}, not a list")
    return value


def _texts(fields: Any) -> dict[str, str]:
    if not isinstance(fields, dict):
        raise ContractError(f"the site descriptor has headers {fields!r}, not an object")
    return {name: _text(fields, name) for name in fields}
