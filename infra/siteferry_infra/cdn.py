"""How visitors reach a site: the distribution before the private bucket."""

from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

_DIRECTORY_URL = Path(__file__).with_name("directory_url.js")


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
    ) -> None:
        super().__init__(scope, construct_id)
        directory_url = cloudfront.Function(
            self,
            "DirectoryUrl",
            code=cloudfront.FunctionCode.from_file(file_path=str(_DIRECTORY_URL)),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
            comment="A URL that ends in / means the index.html of that directory",
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
                    cloudfront.FunctionAssociation(
                        function=directory_url, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                    )
                ],
            ),
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
