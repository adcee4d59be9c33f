"""The real adapters, on the local stack or on an account.

The bucket and the distribution are the site's own, as the template makes them. Table and queues are scratch ones,
since a site's handlers would take a test's messages and a site's head is no test's to write.
"""

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import boto3
import pytest

from siteferry.aws.descriptor import SsmDescriptor
from siteferry.aws.index import DynamoIndex
from siteferry.aws.objects import S3Objects
from siteferry.aws.queues import SqsQueues
from siteferry.aws.session import Session
from siteferry.config import AwsConfig
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.job import JOB_KINDS, JobKind
from siteferry_lambdas.aws import DynamoBroker, connect
from siteferry_lambdas.aws_s3 import S3Bucket
from siteferry_lambdas.compose import threads
from siteferry_lambdas.ports import Bucket
from tests.conformance.cloud import VISIBILITY_SECONDS, Cloud, Received

ROOT: Final = "siteferry-conformance/"
"""Every key of a test is beneath it."""
_REQUEST_SECONDS: Final = 30.0
_WORKERS: Final = 8
_RECEIVE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Account:
    """A deployed site with a scratch table and scratch queues."""

    environment: Mapping[str, str]
    """Variables that lead to it; empty: this process's own do."""
    descriptor: Descriptor
    """With the scratch table and queues."""
    session: Session

    def source(self, site: str) -> SsmDescriptor:
        """Give where a site's descriptor comes from."""
        with chosen(self.environment):
            return SsmDescriptor(self.session, site)

    def client(self, service: str) -> Any:
        """Make a client."""
        with chosen(self.environment):
            return self.session.client(service)

    def cloud(self) -> Cloud:
        """Give the ports."""
        with chosen(self.environment):
            leaves, bucket, queues, cdn, _ = connect(self.descriptor, threads(_WORKERS))
            agent_index = DynamoIndex(self.session, self.descriptor.table)
            objects = S3Objects(self.session, self.descriptor, _WORKERS, _REQUEST_SECONDS)
            jobs = SqsQueues(self.session, self.descriptor)
        dynamo, sqs, cloudfront = self.client("dynamodb"), self.client("sqs"), self.client("cloudfront")
        table, urls, distribution = self.descriptor.table, self.descriptor.queues, self.descriptor.distribution

        def clear() -> None:
            for page in dynamo.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
                for item in page["Items"]:
                    dynamo.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})

        def receive(kind: JobKind) -> list[Received]:
            answer = sqs.receive_message(QueueUrl=urls[kind], MaxNumberOfMessages=10, WaitTimeSeconds=_RECEIVE_SECONDS)
            return [Received(found["Body"], found["ReceiptHandle"]) for found in answer.get("Messages", [])]

        def invalidations() -> int:
            pages = cloudfront.get_paginator("list_invalidations").paginate(DistributionId=distribution)
            return sum(len(page["InvalidationList"].get("Items", [])) for page in pages)

        return Cloud(
            prefix=ROOT,
            index=agent_index,
            objects=objects,
            jobs=jobs,
            leaves=leaves,
            bucket=bucket,
            queues=queues,
            cdn=cdn,
            broker=DynamoBroker(dynamo, table, shape_seconds=0.0),  # a test's shape is not the one before
            now=time.monotonic,
            receive=receive,
            delete=lambda kind, found: sqs.delete_message(QueueUrl=urls[kind], ReceiptHandle=found.handle),
            clear=clear,
            plant=lambda item: dynamo.put_item(TableName=table, Item=item),
            invalidations=invalidations,
            markers_refused=self._markers_refused,
        )

    def _markers_refused(self, beneath: str) -> AbstractContextManager[Bucket]:
        return _user_without_deletes(self, beneath)


@contextmanager
def chosen(environment: Mapping[str, str]) -> Iterator[None]:
    """Let what is made in the block find an environment's account and no other; empty: this process's own."""
    with pytest.MonkeyPatch.context() as patch:
        if environment:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@contextmanager
def deployed(site: str, environment: Mapping[str, str]) -> Iterator[Account]:
    """Connect to a deployed site; what the tests leave in it is removed afterwards."""
    with chosen(environment):
        config = AwsConfig(endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
        session = Session(config, _REQUEST_SECONDS)
        session.boto.get_credentials()
        descriptor = SsmDescriptor(session, site).read()
    name = f"siteferry-conformance-{uuid.uuid4().hex[:8]}"
    account = Account(environment, descriptor, session)
    dynamo, sqs = account.client("dynamodb"), account.client("sqs")
    queues: dict[JobKind, str] = {}
    dynamo.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
    )
    try:
        for kind in JOB_KINDS:
            queues[kind] = sqs.create_queue(
                QueueName=f"{name}-{kind}", Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
            )["QueueUrl"]
        dynamo.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        yield replace(account, descriptor=replace(descriptor, table=name, queues=queues))
    finally:
        for url in queues.values():
            sqs.delete_queue(QueueUrl=url)
        dynamo.delete_table(TableName=name)
        if not environment:  # the local stack forgets everything anyway, and fails to list some odd keys' versions
            _remove_versions(account.client("s3"), descriptor.bucket)


def _remove_versions(s3: Any, bucket: str) -> None:
    # One by one: a key with a control character cannot be said in the body of DeleteObjects.
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=ROOT):
        for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


@contextmanager
def _user_without_deletes(account: Account, beneath: str) -> Iterator[Bucket]:
    """Make a user who may delete everything in the bucket but what is beneath a prefix."""
    iam, bucket = account.client("iam"), f"arn:aws:s3:::{account.descriptor.bucket}"
    name = f"siteferry-conformance-{uuid.uuid4().hex[:8]}"
    statements = [
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{bucket}/*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": f"{bucket}/{beneath}*"},
    ]
    iam.create_user(UserName=name)
    key = None
    try:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        with chosen(account.environment):
            theirs = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=account.descriptor.region)
            client = theirs.client("s3")
        _wait_until_known(client, account.descriptor.bucket)
        yield S3Bucket(client, account.descriptor.bucket, threads(_WORKERS))
    finally:
        if key:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName=name)
        iam.delete_user(UserName=name)


def _wait_until_known(s3: Any, bucket: str) -> None:
    """Wait for a new key, which takes seconds to spread on AWS, and nothing on the local stack."""
    probe = f"{ROOT}{uuid.uuid4().hex}"
    for _ in range(30):
        try:
            s3.delete_object(Bucket=bucket, Key=probe)
        except s3.exceptions.ClientError:
            time.sleep(1)
        else:
            return
    pytest.fail("a new access key is still unknown after 30 s")
