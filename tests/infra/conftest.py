"""The stacks of three sites, synthesized once a session without bundling: few settings, all, what exists."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
KEY_ID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
SITES = f"""
[sites.plain]

[sites.found]
bucket = "company-files"
prefix = "www/"
table = "siteferry-www-Index-1A2B3C"
distribution = "E2EXAMPLE1234"
distribution_domain = "www.example.org"
kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}"
permissions_boundary_arn = "{BOUNDARY}"

[sites.full]
invalidation = "tags"
invalidation_budget = 2500
prefix = "some/prefix/"
encoding = "auto"
copy_rules = [{{ from = "docs/", to = "mirror/docs/" }}]
directory_pages = false
header_rules = [{{ match = "*.html", headers = {{ cache-control = "max-age=60" }} }}]
invalidation_window = 5
alarm_email = "ops@example.com"
agent_silent_minutes = 12
oldest_change_minutes = 120
runbook_url = "https://wiki.example.com/runbooks/"
domain_names = ["www.example.com"]
certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d"
retention_days = 30
kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}"
permissions_boundary_arn = "{BOUNDARY}"
"""


TLS_ONLY = {"Bool": {"aws:SecureTransport": "false"}}
LONGEST: dict[str, str] = {
    "AWS::Region": "ap-southeast-1",
    "AWS::Partition": "aws-us-gov",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com.cn",
}
"""What CloudFormation puts in for a pseudo parameter, at its longest."""


@dataclass(frozen=True, slots=True)
class Synthesized:
    """A template and what to ask of it."""

    site: str
    file: Path
    template: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Give the resources of a type by logical id; there has to be one."""
        found = {name: value for name, value in self.template["Resources"].items() if value["Type"] == kind}
        assert found, f"no {kind} in the template"
        return found

    def properties(self, kind: str) -> list[dict[str, Any]]:
        """Give the properties of the resources of a type."""
        return [resource["Properties"] for resource in self.of_type(kind).values()]

    def queues(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the job queues and the dead-letter queues, by logical id."""
        every = {name: queue["Properties"] for name, queue in self.of_type("AWS::SQS::Queue").items()}
        dead = {name: value for name, value in every.items() if value["QueueName"].endswith("-dead")}
        return {name: value for name, value in every.items() if name not in dead}, dead

    def resolve(self, value: Any) -> str:
        """Put values of realistic or greatest length in for what CloudFormation resolves at deployment."""
        match value:
            case str():
                return value
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self.resolve(part) for part in parts)
            case {"Ref": name} | {"Fn::GetAtt": [name, _]}:
                return LONGEST.get(name) or self._physical(name)
            case _:
                pytest.fail(f"cannot resolve {value}")

    def _physical(self, name: str) -> str:
        resource = self.template["Resources"][name]
        match resource["Type"]:
            case "AWS::SQS::Queue":
                queue = resource["Properties"]["QueueName"]
                return f"https://sqs.{LONGEST['AWS::Region']}.amazonaws.com/{LONGEST['AWS::AccountId']}/{queue}"
            case "AWS::CloudFront::Distribution":
                return "d111111abcdef8.cloudfront.net"
            case "AWS::S3::Bucket":
                return "b" * 63
            case _:
                return f"siteferry-{self.site}-{name}-{'X' * 13}"


def as_list(value: Any) -> list[Any]:
    """Give a policy element as the list that it may stand for."""
    return value if isinstance(value, list) else [value]


def deny_without_tls(document: dict[str, Any], action: str) -> bool:
    """Tell whether a policy refuses everyone who does not use TLS."""
    return any(
        statement["Effect"] == "Deny"
        and statement["Condition"] == TLS_ONLY
        and statement["Action"] == action
        and statement["Principal"] in ("*", {"AWS": "*"})
        for statement in document["Statement"]
    )


def synthesize(
    directory: Path, text: str = SITES, *, folder: Path = Path(), judged: bool = False
) -> dict[str, Synthesized]:
    """Synthesize the sites of a settings text into a directory, without bundling.

    `judged`: cdk-nag's AWS Solutions rules judge the stacks, and what they find fails the synthesis.
    """
    # The node that jsii runs on: the environment's own, whether or not it is activated.
    node = Path(sys.prefix, "bin", "node")
    os.environ.setdefault("JSII_NODE", str(node) if node.exists() else shutil.which("node") or "node")
    import aws_cdk as cdk  # noqa: PLC0415  (after JSII_NODE: importing it starts node)

    from siteferry_infra.settings import parse_sites  # noqa: PLC0415
    from siteferry_infra.stack import SiteStack  # noqa: PLC0415

    context = json.loads((INFRA / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(
        outdir=str(directory),
        analytics_reporting=False,
        context={**context, "aws:cdk:bundling-stacks": []},
    )
    sites = parse_sites(text, source="sites.toml", folder=folder)
    for site in sites:
        SiteStack(app, f"siteferry-{site.name}", site=site)
    if judged:
        from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415

        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(verbose=True))
    app.synth()
    files = {site.name: directory / f"siteferry-{site.name}.template.json" for site in sites}
    return {name: Synthesized(name, file, json.loads(file.read_text(encoding="utf-8"))) for name, file in files.items()}


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesized]:
    """Give the stacks by the site's name."""
    return synthesize(tmp_path_factory.mktemp("cdk.out"))


@pytest.fixture(params=["plain", "full"])
def made(request: pytest.FixtureRequest, stacks: dict[str, Synthesized]) -> Synthesized:
    """Give in turn each of the stacks that make bucket, index and distribution."""
    return stacks[request.param]


@pytest.fixture
def found(stacks: dict[str, Synthesized]) -> Synthesized:
    """Give the stack of the site whose bucket, index and distribution exist."""
    return stacks["found"]


@pytest.fixture(params=["plain", "full", "found"])
def stack(request: pytest.FixtureRequest, stacks: dict[str, Synthesized]) -> Synthesized:
    """Give each of the stacks in turn: what is tested with it holds for every site."""
    return stacks[request.param]


@pytest.fixture
def full(stacks: dict[str, Synthesized]) -> Synthesized:
    """Give the stack of the site that uses every setting."""
    return stacks["full"]
