"""What AWS's rules for good stacks (cdk-nag, AwsSolutions) would have otherwise, and why it is as it is."""

from collections.abc import Mapping

import aws_cdk as cdk
from constructs import IConstruct

_PACK = "AwsSolutions"


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Record why a construct does not do as rules, by their short names (`S1`), have it."""
    own = cdk.Validations.of(construct)
    for rule, reason in reasons.items():
        own.acknowledge(cdk.Acknowledgment(id=f"{_PACK}::{_PACK}-{rule}", reason=reason))
