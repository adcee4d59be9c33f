"""What CDK cannot change in what it did not make, as outputs to paste; docs/deploy.md says where.

A document that would replace what others put there (a policy, the lifecycle rules) is given without the command that
does so.
"""

from collections.abc import Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_iam as iam

from siteferry_contract.cache_tags import HEADER
from siteferry_infra.cdn import CACHE_POLICY, ERROR_SECONDS, ROOT_OBJECT, Cdn, statement_name
from siteferry_infra.settings import SiteSettings
from siteferry_infra.storage import ABORT, EXPIRE, Storage

_EVENTS: Final[Mapping[cloudfront.FunctionEventType, str]] = {
    cloudfront.FunctionEventType.VIEWER_REQUEST: "viewer-request",
    cloudfront.FunctionEventType.VIEWER_RESPONSE: "viewer-response",
}


def print_by_hand(stack: cdk.Stack, *, site: SiteSettings, storage: Storage, cdn: Cdn) -> None:
    """Add the outputs for everything of the site that exists already."""
    found: dict[str, tuple[str, str]] = {}
    if site.existing.bucket:
        found |= _bucket(stack, site, storage, cdn)
    if site.existing.table:
        found |= _table(site.existing.table)
    if site.existing.kms_key_arn:
        statement = iam.PolicyStatement(
            sid=f"{statement_name(site.name)}Read",
            principals=[iam.ServicePrincipal("cloudfront.amazonaws.com")],
            actions=["kms:Decrypt"],
            resources=["*"],
            conditions={"StringEquals": {"AWS:SourceArn": cdn.arn}},
        )
        found["ByHandKeyPolicy"] = (
            stack.to_json_string(statement.to_statement_json()),
            "A statement for the key's policy: the distribution may read what is encrypted",
        )
    if site.existing.distribution:
        found |= _distribution(stack, site, storage, cdn)
    for name, (value, meaning) in found.items():
        cdk.CfnOutput(stack, name, value=value, description=meaning)


def _bucket(stack: cdk.Stack, site: SiteSettings, storage: Storage, cdn: Cdn) -> dict[str, tuple[str, str]]:
    name = storage.bucket.bucket_name
    # A bucket that others share may have readers of its own that use no TLS.
    tls_only = [storage.objects_arn] if site.prefix else [storage.bucket.bucket_arn, storage.objects_arn]
    policy = [
        *cdn.reading(storage.bucket, storage.objects_arn),
        iam.PolicyStatement(
            sid=f"{statement_name(site.name)}TlsOnly",
            effect=iam.Effect.DENY,
            principals=[iam.StarPrincipal()],
            actions=["s3:*"],
            resources=tls_only,
            conditions={"Bool": {"aws:SecureTransport": "false"}},
        ),
    ]
    of_site = {"Status": "Enabled", "Filter": {"Prefix": site.prefix}}
    rules = [
        {
            "ID": f"siteferry-{site.name}-{EXPIRE}",
            **of_site,
            "NoncurrentVersionExpiration": {"NoncurrentDays": site.retention_days},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {
            "ID": f"siteferry-{site.name}-{ABORT}",
            **of_site,
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]
    command = f"aws s3api put-{{}} --bucket {name}"
    found = {
        "ByHandVersioning": (
            f"{command.format('bucket-versioning')} --versioning-configuration Status=Enabled",
            "Without versions a delete is for good, and siteferry does not publish",
        ),
        "ByHandPublicAccess": (
            (
                f"{command.format('public-access-block')} --public-access-block-configuration"
                " BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
            ),
            "Visitors come through the distribution alone",
        ),
        "ByHandOwnership": (
            (
                f"{command.format('bucket-ownership-controls')} --ownership-controls"
                " 'Rules=[{ObjectOwnership=BucketOwnerEnforced}]'"
            ),
            "Without ACLs, as origin access control needs it",
        ),
        "ByHandBucketPolicy": (
            stack.to_json_string({"Version": "2012-10-17", "Statement": [one.to_statement_json() for one in policy]}),
            "Statements for the bucket's policy; put-bucket-policy replaces those that are there",
        ),
        "ByHandLifecycle": (
            stack.to_json_string({"Rules": rules}),
            "Rules for the bucket's lifecycle; put-bucket-lifecycle-configuration replaces those that are there",
        ),
    }
    if storage.key is not None:
        encryption = {
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": storage.key.key_arn,
                    },
                    "BucketKeyEnabled": True,
                }
            ]
        }
        found["ByHandEncryption"] = (
            (
                f"{command.format('bucket-encryption')} --server-side-encryption-configuration"
                f" '{stack.to_json_string(encryption)}'"
            ),
            "New objects of the whole bucket are encrypted with the key; those that are there stay as they are",
        )
    return found


def _table(name: str) -> dict[str, tuple[str, str]]:
    return {
        "ByHandTableProtection": (
            f"aws dynamodb update-table --table-name {name} --deletion-protection-enabled",
            "So that a slip does not delete the index",
        ),
        "ByHandTableBackups": (
            (
                f"aws dynamodb update-continuous-backups --table-name {name} --point-in-time-recovery-specification"
                " PointInTimeRecoveryEnabled=true"
            ),
            "So that any state of the last 35 days can be had again",
        ),
    }


def _distribution(stack: cdk.Stack, site: SiteSettings, storage: Storage, cdn: Cdn) -> dict[str, tuple[str, str]]:
    """Give two parts of a distribution's configuration, in the shape of CloudFront's API."""
    assert cdn.access is not None
    origin = {
        "Id": f"siteferry-{site.name}",
        "DomainName": storage.bucket.bucket_regional_domain_name,
        "OriginPath": cdn.origin_path,
        "OriginAccessControlId": cdn.access.origin_access_control_id,
        "S3OriginConfig": {"OriginAccessIdentity": ""},
        "CustomHeaders": {"Quantity": 0},
    }
    functions = [
        {"EventType": _EVENTS[event], "FunctionARN": function.function_arn} for event, function in cdn.functions.items()
    ]
    error = {
        "ErrorCode": 404,
        "ResponseCode": "404" if site.error_page else "",
        "ResponsePagePath": f"/{site.error_page}" if site.error_page else "",
        "ErrorCachingMinTTL": ERROR_SECONDS,
    }
    settings: dict[str, Any] = {
        "DefaultRootObject": ROOT_OBJECT,
        "CustomErrorResponses": {"Quantity": 1, "Items": [error]},
        "DefaultCacheBehavior": {
            "TargetOriginId": origin["Id"],
            "ViewerProtocolPolicy": "redirect-to-https",
            "Compress": True,
            "AllowedMethods": {
                "Quantity": 3,
                "Items": ["GET", "HEAD", "OPTIONS"],
                "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
            },
            "CachePolicyId": CACHE_POLICY.cache_policy_id,
            "ResponseHeadersPolicyId": cdn.headers.response_headers_policy_id,
            "FunctionAssociations": {"Quantity": len(functions), "Items": functions},
        },
    }
    if site.invalidation == "tags":
        settings["CacheTagConfig"] = {"HeaderName": HEADER}
    return {
        "ByHandOrigin": (stack.to_json_string(origin), "One more origin for the distribution"),
        "ByHandDistribution": (
            stack.to_json_string(settings),
            "What the distribution's configuration has to say; the rest of it stays as it is",
        ),
    }
