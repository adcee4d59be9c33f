"""How visitors reach a site: the distribution before the private bucket."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from siteferry_contract.cache_tags import HEADER
from siteferry_contract.redirects import Redirects
from siteferry_infra.acknowledged import acknowledge
from siteferry_infra.existing import Existing

ERROR_SECONDS: Final = 10
"""For which CloudFront keeps that something is missing: a file that is new is seen no later."""

ROOT_OBJECT: Final = "index.html"
CACHE_POLICY: Final = cloudfront.CachePolicy.CACHING_OPTIMIZED
_ANSWERED: Final = {
    "listBucketSecurityRisk": "there is a default root object",
    "updateImportedBucketPolicyOac": "by_hand prints the statements",
    "updateImportedKeyPolicyOac": "by_hand prints the statement",
}
_REQUEST: Final[Mapping[Redirects, tuple[str, ...]]] = {
    "exact": ("directory_url",),
    "by-extension": ("directory_guess", "directory_location"),
    "none": ("directory_url",),
}
_RESPONSE: Final = ("directory_redirect", "directory_location")
"""For exact redirects. CloudFront runs it for no response of 400 or above."""


def statement_name(site: str) -> str:
    """Give the beginning of the ids of a site's statements in a policy that sites share: letters and digits alone."""
    return "Siteferry" + "".join(part.title() for part in site.split("-"))


class Cdn(Construct):
    """The distribution. The origin path is the site's prefix, so a visitor's URL is the path an FTP user sees.

    A distribution that exists is left as it is; what it has to have is made beside it, and `by_hand` says it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket,
        prefix: str,
        site: str,
        domain_names: Sequence[str],
        certificate_arn: str | None,
        redirects: Redirects,
        error_page: str,
        existing: Existing,
        cache_tags: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self._sid = statement_name(site)
        self.functions = {
            cloudfront.FunctionEventType.VIEWER_REQUEST: self._function(
                "DirectoryUrl", _REQUEST[redirects], "A URL that ends in / means the index.html of that directory"
            )
        }
        if redirects == "exact":
            self.functions[cloudfront.FunctionEventType.VIEWER_RESPONSE] = self._function(
                "DirectoryRedirect", _RESPONSE, "What is generated at the key of a directory leads to its URL"
            )
        self.headers = cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            comment=f"siteferry site {site}",
            # Both give way to what the site sets itself. HSTS and frame options are left to the site's owner: they
            # can lock visitors out of other services of the domain, or break pages that others embed.
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=False),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.STRICT_ORIGIN_WHEN_CROSS_ORIGIN,
                    override=False,
                ),
            ),
        )
        self.origin_path = f"/{prefix.rstrip('/')}" if prefix else ""
        self.access: cloudfront.S3OriginAccessControl | None = None
        """Of an existing distribution; one that is made here has its own."""
        self.distribution: cloudfront.IDistribution
        if existing.distribution and existing.distribution_domain:
            self.access = cloudfront.S3OriginAccessControl(self, "OriginAccess", description=f"siteferry site {site}")
            self.distribution = cloudfront.Distribution.from_distribution_attributes(
                self, "Existing", distribution_id=existing.distribution, domain_name=existing.distribution_domain
            )
            # An imported bucket takes no statement; by_hand has what it has to have.
            for statement in self.reading(bucket, bucket.arn_for_objects("*")):
                bucket.add_to_resource_policy(statement)
            return
        self.distribution = self._distribution(
            bucket,
            site=site,
            domain_names=domain_names,
            certificate_arn=certificate_arn,
            error_page=error_page,
            cache_tags=cache_tags,
        )

    def _distribution(
        self,
        bucket: s3.IBucket,
        *,
        site: str,
        domain_names: Sequence[str],
        certificate_arn: str | None,
        error_page: str,
        cache_tags: bool,
    ) -> cloudfront.Distribution:
        origin = origins.S3BucketOrigin.with_origin_access_control(
            bucket,
            origin_path=self.origin_path or None,
            # With LIST, a missing key is 404 instead of 403. A list of keys is never served: the root is rewritten
            # to index.html by the function and by the default root object, and query strings are not passed on.
            origin_access_levels=[cloudfront.AccessLevel.READ, cloudfront.AccessLevel.LIST],
        )
        own = cdk.Annotations.of(self)
        for warning, answer in _ANSWERED.items():
            own.acknowledge_warning(f"@aws-cdk/aws-cloudfront-origins:{warning}", answer)
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"siteferry site {site}",
            default_root_object=ROOT_OBJECT,
            domain_names=list(domain_names) or None,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", certificate_arn)
            if certificate_arn
            else None,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021 if certificate_arn else None,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            price_class=cloudfront.PriceClass.PRICE_CLASS_ALL,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origin,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                compress=True,
                cache_policy=CACHE_POLICY,
                response_headers_policy=self.headers,
                function_associations=[
                    cloudfront.FunctionAssociation(function=function, event_type=event_type)
                    for event_type, function in self.functions.items()
                ],
            ),
            # Where the site has no such page, CloudFront answers with the origin's 404 as it is (Developer Guide,
            # Generate custom error responses).
            error_responses=[
                cloudfront.ErrorResponse(
                    http_status=404,
                    response_http_status=404 if error_page else None,
                    response_page_path=f"/{error_page}" if error_page else None,
                    ttl=cdk.Duration.seconds(ERROR_SECONDS),
                )
            ],
        )
        acknowledge(
            distribution,
            {
                "CFR1": "a web site is for everyone; its owner knows of exceptions",
                "CFR2": "files for GET and HEAD alone: nothing behind it runs on what a viewer sends",
                "CFR3": "logs hold what visitors do: whether, where and how long is for the site's owner to say",
                **({} if certificate_arn else {"CFR4": "CloudFront's own domain has no other; with a certificate 1.2"}),
            },
        )
        if cache_tags:
            resource = distribution.node.default_child
            assert isinstance(resource, cdk.CfnResource)
            # The Distribution construct does not offer it yet.
            resource.add_property_override("DistributionConfig.CacheTagConfig.HeaderName", HEADER)
        return distribution

    def reading(self, bucket: s3.IBucket, objects_arn: str) -> list[iam.PolicyStatement]:
        """Give what the bucket's policy has to have so that the distribution, and no other, can read the objects."""
        own = {"StringEquals": {"AWS:SourceArn": self.arn}}
        cdn = iam.ServicePrincipal("cloudfront.amazonaws.com")
        return [
            iam.PolicyStatement(
                sid=f"{self._sid}Read",
                principals=[cdn],
                actions=["s3:GetObject"],
                resources=[objects_arn],
                conditions=own,
            ),
            # Makes a missing key 404 instead of 403; a condition on the prefix would undo that.
            iam.PolicyStatement(
                sid=f"{self._sid}Missing",
                principals=[cdn],
                actions=["s3:ListBucket"],
                resources=[bucket.bucket_arn],
                conditions=own,
            ),
        ]

    def _function(self, construct_id: str, parts: Sequence[str], comment: str) -> cloudfront.Function:
        code = "".join(Path(__file__).with_name(f"{part}.js").read_text(encoding="utf-8") for part in parts)
        return cloudfront.Function(
            self,
            construct_id,
            code=cloudfront.FunctionCode.from_inline(code),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
            comment=comment,
        )

    @property
    def arn(self) -> str:
        """The distribution's ARN."""
        return cdk.Stack.of(self).format_arn(
            service="cloudfront",
            region="",
            resource="distribution",
            resource_name=self.distribution.distribution_id,
        )
