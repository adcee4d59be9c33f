"""Sites that take from their account what is there already: bucket, index, distribution, key."""

import json
import re
from typing import Any

import pytest

from siteferry_contract.cache_tags import METADATA
from siteferry_contract.descriptor import Descriptor
from siteferry_infra.existing import Existing
from siteferry_infra.settings import SettingsError, parse_sites
from tests.infra.conftest import BOUNDARY, KEY_ID, Synthesized, synthesize

KEY = f"arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}"
BY_CLOUDFRONT = {"Service": "cloudfront.amazonaws.com"}


def document(stack: Synthesized, output: str) -> Any:
    """Give the JSON of an output, as the operator gets it."""
    return json.loads(stack.resolve(stack.template["Outputs"][output]["Value"]))


def test_every_setting_arrives() -> None:
    """What is written is what the stack gets; without these settings there is nothing."""
    text = f"""
    [sites.plain]

    [sites.found]
    bucket = "www.example.com"
    prefix = "www/"
    table = "siteferry-Index-1"
    distribution = "E2EXAMPLE1234"
    distribution_domain = "www.example.com"
    kms_key_arn = "{KEY}"
    permissions_boundary_arn = "{BOUNDARY}"
    """
    plain, found = parse_sites(text, source="sites.toml")
    assert plain.existing == Existing()
    assert found.existing == Existing(
        bucket="www.example.com",
        table="siteferry-Index-1",
        distribution="E2EXAMPLE1234",
        distribution_domain="www.example.com",
        kms_key_arn=KEY,
        permissions_boundary_arn=BOUNDARY,
    )


@pytest.mark.parametrize(
    ("body", "place", "parts"),
    [
        ('bucket = "s3://b"', "bucket", ["'s3://b' is not the name of a bucket", "without s3://"]),
        ('bucket = "Upper"', "bucket", ["is not the name of a bucket"]),
        ('bucket = "10.0.0.1"', "bucket", ["is not the name of a bucket"]),
        ("bucket = 1", "bucket", ["1 (an integer) is not a string"]),
        ('table = "siteferry-Index-1"', "table", ["empty bucket", "add bucket"]),
        ('bucket = "abc"\ntable = "a b"', "table", ["'a b' is not the name of a table", "output TableName"]),
        ('distribution = "www"', "distribution", ["'www' is not the id of a distribution"]),
        ('distribution = "E2EXAMPLE1234"', "distribution_domain", ["is missing, but distribution is set"]),
        ('distribution_domain = "a.example"', "distribution", ["is missing, but distribution_domain is set"]),
        (
            'distribution = "E2EXAMPLE1234"\ndistribution_domain = "https://a.example/"',
            "distribution_domain",
            ["is not a domain name", "the name alone"],
        ),
        (
            'distribution = "E2EXAMPLE1234"\ndistribution_domain = "a.example"\ndomain_names = []',
            "domain_names",
            ["for a distribution that the stack makes", "on the distribution itself"],
        ),
        ('kms_key_arn = "alias/a"', "kms_key_arn", ["'alias/a' is not the ARN of a key", "alias cannot be granted"]),
        ('kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/a"', "kms_key_arn", ["is not the ARN of a key"]),
        ('permissions_boundary_arn = "boundary"', "permissions_boundary_arn", ["is not the ARN of a policy"]),
    ],
)
def test_a_mistake_is_told_with_its_place_reason_and_remedy(body: str, place: str, parts: list[str]) -> None:
    """The message begins with the file and the key path, and says what was seen, why not, and what to do."""
    with pytest.raises(SettingsError) as caught:
        parse_sites(f"[sites.www]\n{body}", source="sites.toml")
    assert str(caught.value).startswith(f"sites.toml: sites.www.{place}: ")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "place", "reason"),
    [
        ('bucket = "abc"', 'bucket = "abc"', "prefix", "'' and the prefix '' of site one overlap in the bucket abc"),
        ('bucket = "abc"', 'bucket = "abc"\nprefix = "a/"', "prefix", "overlap"),
        ('bucket = "abc"\nprefix = "a/b/"', 'bucket = "abc"\nprefix = "a/"', "prefix", "overlap"),
        (
            'bucket = "abc"\ntable = "index"\nprefix = "a/"',
            'bucket = "abc"\ntable = "index"\nprefix = "b/"',
            "table",
            "the index of site one already",
        ),
        (
            'distribution = "E2EXAMPLE1234"\ndistribution_domain = "a.example"',
            'distribution = "E2EXAMPLE1234"\ndistribution_domain = "b.example"',
            "distribution",
            "serves site one already",
        ),
    ],
)
def test_sites_that_would_write_each_others_are_refused(one: str, other: str, place: str, reason: str) -> None:
    """Two sites share a bucket under prefixes that do not overlap, and neither index nor distribution."""
    with pytest.raises(SettingsError) as caught:
        parse_sites(f"[sites.one]\n{one}\n[sites.two]\n{other}", source="sites.toml")
    assert str(caught.value).startswith(f"sites.toml: sites.two.{place}: ")
    assert reason in str(caught.value)


def test_sites_may_share_a_bucket_beside_each_other() -> None:
    """A prefix that another's merely begins like is another place; without `bucket` each has a bucket of its own."""
    text = '[sites.a]\nbucket = "abc"\nprefix = "a/"\n[sites.b]\nbucket = "abc"\nprefix = "ab/"\n[sites.c]\n[sites.d]'
    assert len(parse_sites(text, source="sites.toml")) == 4


def test_what_exists_is_not_the_stacks_own(found: Synthesized) -> None:
    """The template has neither bucket, bucket policy, index, distribution nor key, so destroying it touches none."""
    kinds = {resource["Type"] for resource in found.template["Resources"].values()}
    assert not kinds & {
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::DynamoDB::Table",
        "AWS::CloudFront::Distribution",
        "AWS::KMS::Key",
    }


def test_the_descriptor_names_what_exists(found: Synthesized) -> None:
    """Agent and handlers need not know that it was there before."""
    (parameter,) = found.properties("AWS::SSM::Parameter")
    descriptor = Descriptor.from_json(found.resolve(parameter["Value"]))
    assert (descriptor.bucket, descriptor.prefix) == ("company-files", "www/")
    assert descriptor.table == "siteferry-www-Index-1A2B3C"
    assert (descriptor.distribution, descriptor.domain) == ("E2EXAMPLE1234", "www.example.org")


def test_the_statements_for_a_bucket_that_is_shared_are_about_the_site_only(found: Synthesized) -> None:
    """The site's distribution alone reads beneath the prefix, which is TLS only; the statements name the site."""
    policy = document(found, "ByHandBucketPolicy")
    read, missing, tls = policy["Statement"]
    own = {"StringEquals": {"AWS:SourceArn": "arn:aws-us-gov:cloudfront::123456789012:distribution/E2EXAMPLE1234"}}
    assert read == {
        "Sid": "SiteferryFoundRead",
        "Effect": "Allow",
        "Principal": BY_CLOUDFRONT,
        "Action": "s3:GetObject",
        "Resource": "arn:aws-us-gov:s3:::company-files/www/*",
        "Condition": own,
    }
    assert (missing["Action"], missing["Resource"]) == ("s3:ListBucket", "arn:aws-us-gov:s3:::company-files")
    assert (missing["Principal"], missing["Condition"]) == (BY_CLOUDFRONT, own)
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
    assert tls["Resource"] == "arn:aws-us-gov:s3:::company-files/www/*"
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_rules_for_the_lifecycle_are_about_the_prefix_only(found: Synthesized) -> None:
    """Old versions go after retention_days, torn uploads after a day, current versions never."""
    rules = document(found, "ByHandLifecycle")["Rules"]
    assert [rule["Filter"] for rule in rules] == [{"Prefix": "www/"}] * 2
    assert [rule["Status"] for rule in rules] == ["Enabled"] * 2
    assert rules[0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert rules[0]["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert rules[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_commands_name_what_they_change(found: Synthesized) -> None:
    """Each output that is no document is one command about the bucket or the index."""
    outputs = {name: output["Value"] for name, output in found.template["Outputs"].items() if "ByHand" in name}
    commands = {name: value for name, value in outputs.items() if isinstance(value, str) and value.startswith("aws ")}
    assert commands.keys() == {
        "ByHandVersioning",
        "ByHandPublicAccess",
        "ByHandOwnership",
        "ByHandEncryption",
        "ByHandTableProtection",
        "ByHandTableBackups",
    }
    for command in commands.values():
        assert re.search(r"--bucket company-files |--table-name siteferry-www-Index-1A2B3C ", command)
    assert KEY in commands["ByHandEncryption"]


def test_the_key_lets_the_distribution_read(stacks: dict[str, Synthesized]) -> None:
    """The statement is about this distribution alone, and about reading."""
    for site, distribution in (("full", "siteferry-full-"), ("found", "E2EXAMPLE1234")):
        statement = document(stacks[site], "ByHandKeyPolicy")
        assert (statement["Principal"], statement["Action"]) == (BY_CLOUDFRONT, "kms:Decrypt")
        (source,) = statement["Condition"]["StringEquals"].values()
        assert distribution in source or source.endswith("d111111abcdef8.cloudfront.net")
        assert "*" not in source


def test_a_bucket_that_is_made_is_encrypted_with_the_key(full: Synthesized) -> None:
    """By default, so that neither agent nor handlers name it, with a bucket key."""
    (bucket,) = full.properties("AWS::S3::Bucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert rule["BucketKeyEnabled"] is True


def test_an_existing_distribution_is_told_what_a_made_one_has(stacks: dict[str, Synthesized]) -> None:
    """Origin, behavior, root and errors say the same as those of the distribution that another site's stack makes."""
    wanted = document(stacks["found"], "ByHandDistribution")
    (made,) = stacks["plain"].properties("AWS::CloudFront::Distribution")
    config = made["DistributionConfig"]
    assert wanted["DefaultRootObject"] == config["DefaultRootObject"]
    (error,), (same,) = wanted["CustomErrorResponses"]["Items"], config["CustomErrorResponses"]
    assert {**error, "ResponseCode": int(error["ResponseCode"])} == same
    behavior, other = wanted["DefaultCacheBehavior"], config["DefaultCacheBehavior"]
    for name in ("ViewerProtocolPolicy", "Compress", "CachePolicyId"):
        assert behavior[name] == other[name]
    assert behavior["AllowedMethods"]["Items"] == other["AllowedMethods"]
    events = [association["EventType"] for association in behavior["FunctionAssociations"]["Items"]]
    assert events == [association["EventType"] for association in other["FunctionAssociations"]]
    origin = document(stacks["found"], "ByHandOrigin")
    assert origin["DomainName"] == "company-files.s3.ap-southeast-1.amazonaws.com.cn"
    assert origin["OriginPath"] == "/www"
    assert origin["Id"] == behavior["TargetOriginId"]
    assert origin["OriginAccessControlId"]
    assert stacks["found"].of_type("AWS::CloudFront::OriginAccessControl")


def test_no_template_is_bound_to_a_partition(stacks: dict[str, Synthesized]) -> None:
    """Every ARN that is not the operator's own takes the partition of the account that it is deployed to."""
    for site in ("plain", "full", "found"):
        given = [KEY, BOUNDARY, "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d"]
        text = stacks[site].file.read_text("utf-8")
        for own in given:
            text = text.replace(own, "")
        assert not re.findall(r"arn:aws[a-z-]*:", text)
        assert not re.findall(r"(?<!cloudfront)(?<!sqs)(?<!sns)(?<!lambda)(?<!cloudwatch)\.amazonaws\.com", text)


def test_cache_tags_are_told_to_an_existing_distribution(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With `invalidation = "tags"` the header is among what is to be set."""
    text = '[sites.t]\ninvalidation = "tags"\nerror_page = ""\ndistribution = "E2EXAMPLE1234"\n'
    text += 'distribution_domain = "a.example"\n'
    stack = synthesize(tmp_path_factory.mktemp("tags"), text)["t"]
    wanted = document(stack, "ByHandDistribution")
    assert wanted["CacheTagConfig"] == {"HeaderName": f"x-amz-meta-{METADATA}"}
    assert wanted["CustomErrorResponses"]["Items"] == [
        {"ErrorCode": 404, "ResponseCode": "", "ResponsePagePath": "", "ErrorCachingMinTTL": 10}
    ]
    (policy,) = stack.properties("AWS::S3::BucketPolicy")
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert [(s["Action"], s["Principal"]) for s in allowed] == [
        ("s3:GetObject", BY_CLOUDFRONT),
        ("s3:ListBucket", BY_CLOUDFRONT),
    ]
    assert "ByHandBucketPolicy" not in stack.template["Outputs"]
