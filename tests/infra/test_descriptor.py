"""What the stack tells the agent, the handlers and the operator about a site."""

import json
import re
from pathlib import Path

from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JOB_KINDS
from tests.infra.conftest import LONGEST, Synthesized, synthesize


def test_the_descriptor_is_complete(full: Synthesized) -> None:
    """The parameter decodes by the contract and says what the settings say."""
    (parameter,) = full.properties("AWS::SSM::Parameter")
    assert (parameter["Name"], parameter["Tier"]) == ("/siteferry/full", "Intelligent-Tiering")
    descriptor = Descriptor.from_json(full.resolve(parameter["Value"]))
    assert (descriptor.site, descriptor.prefix, descriptor.encoding) == ("full", "some/prefix/", "auto")
    assert (descriptor.directory_pages, descriptor.invalidation) == (False, "tags")
    assert descriptor.invalidation_budget == 2500
    assert [(rule.source, rule.destination) for rule in descriptor.copy_rules] == [("docs/", "mirror/docs/")]
    assert [rule.match for rule in descriptor.header_rules] == ["*.html"]
    for kind in JOB_KINDS:
        assert descriptor.queues[kind].endswith(f"/siteferry-full-{kind}")
    assert re.fullmatch(r"[a-z0-9]+\.cloudfront\.net", descriptor.domain)
    assert descriptor.bucket
    assert descriptor.table
    assert descriptor.region == LONGEST["AWS::Region"]


def test_handlers_get_the_same_descriptor_without_header_rules(full: Synthesized) -> None:
    """Both sides agree on all but what only the agent needs."""
    (parameter,) = full.properties("AWS::SSM::Parameter")
    whole = json.loads(full.resolve(parameter["Value"]))
    for function in full.properties("AWS::Lambda::Function"):
        value = function["Environment"]["Variables"]["SITEFERRY_DESCRIPTOR"]
        assert json.loads(full.resolve(value)) == {**whole, "header_rules": []}


def test_the_largest_settings_fit_the_limits(tmp_path: Path) -> None:
    """The longest name, prefix, copy rules and header rules stay below Lambda's 4 KB and SSM's 8 KB."""
    rules = ", ".join(f'{{ from = "docs-{n:02}/", to = "mirror/docs-{n:02}/" }}' for n in range(44))
    headers = ", ".join(
        f'{{ match = "{"m" * 30}{n:02}/*.html", headers = {{ cache-control = "public, max-age=86400" }} }}'
        for n in range(36)
    )
    site = "a" * 31
    text = f"""
    [sites.{site}]
    prefix = "{"p" * 254}/"
    copy_rules = [{rules}]
    header_rules = [{headers}]
    """
    stack = synthesize(tmp_path, text)[site]
    for function in stack.properties("AWS::Lambda::Function"):
        assert len(function["FunctionName"]) <= 64
        variables = {key: stack.resolve(value) for key, value in function["Environment"]["Variables"].items()}
        assert 3_300 < len(json.dumps(variables, separators=(",", ":"))) < 4_096
    (parameter,) = stack.properties("AWS::SSM::Parameter")
    assert 5_000 < len(stack.resolve(parameter["Value"])) < 8_192
    assert all(len(queue["QueueName"]) <= 80 for queue in stack.properties("AWS::SQS::Queue"))


def test_the_outputs_name_what_an_operator_needs(made: Synthesized) -> None:
    """Each output has a value and a meaning."""
    outputs = made.template["Outputs"]
    assert {name for name in outputs if not name.startswith("ByHand")} == {
        "BucketName",
        "TableName",
        "DistributionId",
        "DistributionDomainName",
        "AgentPolicyArn",
        "DescriptorParameter",
        "TakeUpAgain",
    }
    assert all(output["Description"] for output in outputs.values())
