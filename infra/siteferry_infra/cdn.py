"""How visitors reach a site: the distribution before the private bucket."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from siteferry_contract.cache_tags import HEADER
from siteferry_contract.redirects import Redirects
from siteferry_infra.acknowledged import acknowledge

ERROR_SECONDS: Final = 10
"""For which CloudFront keeps that something is missing: a file that is new is seen no later."""

_REQUEST: Final[Mapping[Redirects, tuple[str, ...]]] = {
    "exact": ("directory_url",),
    "by-extension": ("directory_guess", "directory_location"),
    "none": ("directory_url",),
}
_RESPONSE: Final = ("directory_redirect", "directory_location")
"""For exact redirects. CloudFront runs it for no response of 400 or above."""


class Cdn(Construct):
    """The distribution. The origin path is the site's prefix, so a visitor's URL is the path an FTP user sees."""

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
        cache_tags: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        functions = {
            cloudfront.FunctionEventType.VIEWER_REQUEST: self._function(
                "DirectoryUrl", _REQUEST[redirects], "A URL that ends in / means the index.html of that directory"
            )
        }
        if redirects == "exact":
            functions[cloudfront.FunctionEventType.VIEWER_RESPONSE] = self._function(
                "DirectoryRedirect", _RESPONSE, "What is generated at the key of a directory leads to its URL"
            )
        headers = cloudfront.ResponseHeadersPolicy(
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
        origin = origins.S3BucketOrigin.with_origin_access_control(
            bucket,
            origin_path=f"/{prefix.rstrip('/')}" if prefix else None,
            # With LIST, a missing key is 404 instead of 403. A list of keys is never served: the root is rewritten
            # to index.html by the function and by the default root object, and query strings are not passed on.
            origin_access_levels=[cloudfront.AccessLevel.READ, cloudfront.AccessLevel.LIST],
        )
        cdk.Annotations.of(self).acknowledge_warning(
            "@aws-cdk/aws-cloudfront-origins:listBucketSecurityRisk", "there is a default root object"
        )
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"siteferry site {site}",
            default_root_object="index.html",
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
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                response_headers_policy=headers,
                function_associations=[
                    cloudfront.FunctionAssociation(function=function, event_type=event_type)
                    for event_type, function in functions.items()
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
            self.distribution,
            {
                "CFR1": "a web site is for everyone; its owner knows of exceptions",
                "CFR2": "files for GET and HEAD alone: nothing behind it runs on what a viewer sends",
                "CFR3": "logs hold what visitors do: whether, where and how long is for the site's owner to say",
                **({} if certificate_arn else {"CFR4": "CloudFront's own domain has no other; with a certificate 1.2"}),
            },
        )
        if cache_tags:
            resource = self.distribution.node.default_child
            assert isinstance(resource, cdk.CfnResource)
            # The Distribution construct does not offer it yet.
            resource.add_property_override("DistributionConfig.CacheTagConfig.HeaderName", HEADER)

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
