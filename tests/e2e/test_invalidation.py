"""The invalidation broker on the local stack, with the permissions that are deployed."""

from typing import Any

import pytest

from siteferry_contract.index import LEDGER_KEY
from siteferry_contract.job import Job, encode_job
from siteferry_contract.shape import shape_of, shape_to_item
from siteferry_lambdas.ledger import Entry, item_to_ledger
from tests.e2e.agents import wait_for

pytestmark = pytest.mark.e2e


def test_the_broker_reads_the_shape_and_keeps_its_ledger(subjects: Any) -> None:
    """The wildcard is where the shape says that least is lost; the ledger has what was created, by CloudFront's id."""
    site = subjects.sites["broker"]  # whose handler has not looked for a shape before there is one
    dynamo, cloudfront = site.client("dynamodb"), site.client("cloudfront")
    shape = shape_of({"": 100, "large": 5_000, "small": 105}.items())
    dynamo.put_item(TableName=site.table, Item=shape_to_item(shape))
    names = [f"large/{n}" for n in range(650)] + [f"small/{n}" for n in range(100)]
    body = encode_job(Job("invalidate", site.name, 10**6, tuple(names), "of-this-test"))
    site.client("sqs").send_message(QueueUrl=site.queues["invalidate"], MessageBody=body)

    def found() -> Entry | None:
        item = dynamo.get_item(TableName=site.table, Key=LEDGER_KEY, ConsistentRead=True).get("Item")
        entries = item_to_ledger(item).active if item else ()
        return next((entry for entry in entries if entry.paths == 651 and entry.id), None)

    entry = wait_for(found, "the invalidation in the ledger")
    assert entry.wildcards == 1
    created = cloudfront.get_invalidation(DistributionId=site.distribution, Id=entry.id)["Invalidation"]
    assert created["InvalidationBatch"]["CallerReference"].endswith(entry.reference)
    expected = {"/small/*", *(f"/large/{n}" for n in range(650))}
    assert set(created["InvalidationBatch"]["Paths"]["Items"]) == expected
