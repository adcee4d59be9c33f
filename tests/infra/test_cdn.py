"""What holds for the distribution of every site."""

from siteferry_contract.cache_tags import METADATA
from tests.infra.conftest import Synthesized


def test_only_the_distribution_is_let_into_the_bucket(made: Synthesized) -> None:
    """It may read and list (so that what is missing is 404), and no other distribution may."""
    (distribution,) = made.of_type("AWS::CloudFront::Distribution")
    (policy,) = made.properties("AWS::S3::BucketPolicy")
    (allow,) = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert allow["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert sorted(allow["Action"]) == ["s3:GetObject", "s3:ListBucket"]
    assert {"Ref": distribution} in allow["Condition"]["StringEquals"]["AWS:SourceArn"]["Fn::Join"][1]


def test_the_distribution_serves_https_compressed_with_directory_urls(made: Synthesized) -> None:
    """Viewers are led to HTTPS, a directory URL finds its page, and the bucket is read by origin access control."""
    (resource,) = made.properties("AWS::CloudFront::Distribution")
    config = resource["DistributionConfig"]
    behavior = config["DefaultCacheBehavior"]
    assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behavior["Compress"] is True
    assert [f["EventType"] for f in behavior["FunctionAssociations"]] == ["viewer-request", "viewer-response"]
    assert config["DefaultRootObject"] == "index.html"
    assert config["HttpVersion"] == "http2and3"
    (origin,) = config["Origins"]
    assert "OriginAccessControlId" in origin
    for function in made.properties("AWS::CloudFront::Function"):
        assert function["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"
        assert function["AutoPublish"] is True


def test_what_is_missing_is_404_for_ten_seconds(made: Synthesized) -> None:
    """With the site's own page, and no longer than that, so that a new file is soon seen."""
    (resource,) = made.properties("AWS::CloudFront::Distribution")
    (error,) = resource["DistributionConfig"]["CustomErrorResponses"]
    assert error == {
        "ErrorCode": 404,
        "ResponseCode": 404,
        "ResponsePagePath": "/404.html",
        "ErrorCachingMinTTL": 10,
    }


def test_the_url_is_the_path_that_an_ftp_user_sees(stacks: dict[str, Synthesized]) -> None:
    """The prefix is the origin path; without one there is none."""
    paths = {}
    for site, stack in ((site, stacks[site]) for site in ("plain", "full")):
        (resource,) = stack.properties("AWS::CloudFront::Distribution")
        paths[site] = resource["DistributionConfig"]["Origins"][0].get("OriginPath")
    assert paths == {"plain": None, "full": "/some/prefix"}


def test_cache_tags_are_read_from_the_metadata_of_objects_if_wanted(stacks: dict[str, Synthesized]) -> None:
    """The header as S3 sends the metadata that agent and handlers put; without the setting there is none."""
    (tagged,) = stacks["full"].properties("AWS::CloudFront::Distribution")
    assert tagged["DistributionConfig"]["CacheTagConfig"] == {"HeaderName": f"x-amz-meta-{METADATA}"}
    (plain,) = stacks["plain"].properties("AWS::CloudFront::Distribution")
    assert "CacheTagConfig" not in plain["DistributionConfig"]


def test_a_domain_of_ones_own_asks_for_modern_tls(full: Synthesized) -> None:
    """domain_names and certificate_arn arrive at the distribution, with TLS 1.2 at least."""
    (resource,) = full.properties("AWS::CloudFront::Distribution")
    config = resource["DistributionConfig"]
    assert config["Aliases"] == ["www.example.com"]
    assert config["ViewerCertificate"]["AcmCertificateArn"].endswith("certificate/0a1b2c3d")
    assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
