"""The index in DynamoDB."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue
from typing import Any, Final

from botocore.exceptions import ClientError

from siteferry.aws.session import Session, error_code, explained
from siteferry.errors import IndexDamagedError, UnavailableError
from siteferry.head import Head, condition, head_to_item, item_to_head
from siteferry_contract.errors import ContractError
from siteferry_contract.index import HEAD_KEY, is_leaf, item_to_leaf, leaf_to_item
from siteferry_contract.leaf import Leaf
from siteferry_contract.shape import Shape, shape_to_item

CONFLICT_TRIES: Final = 8
SCAN_SEGMENTS: Final = 4
_PAGES_AHEAD: Final = 8
_NO_TABLE: Final = (
    "stop the agent; docs/lost-index.md (of the package: /usr/share/doc/siteferry/lost-index.md) says what to do then."
    " Visitors see the site as it was, and `siteferry restore DEST --from-bucket` needs no table"
)


class DynamoIndex:
    """Implements `IndexStore`."""

    def __init__(self, session: Session, table: str) -> None:
        self._client: Any = session.client("dynamodb", connections=SCAN_SEGMENTS + 2)
        self._table = table

    def read_head(self) -> Head | None:
        """Read the head."""
        with self._explained("reading the head of"):
            found = self._client.get_item(TableName=self._table, Key=HEAD_KEY, ConsistentRead=True)
        return item_to_head(found["Item"]) if "Item" in found else None

    def create_head(self, head: Head) -> None:
        """Write the first head, if the table is empty."""
        with self._explained("creating the head of"):
            found = self._client.scan(TableName=self._table, Limit=2, ConsistentRead=True)
            if any(is_leaf(item) for item in found["Items"]):
                raise IndexDamagedError(
                    f"table {self._table} has leaves but no head",
                    "restore the table from its point-in-time backup; nothing was changed",
                )
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=head_to_item(head),
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except ClientError as error:
                if error_code(error) != "ConditionalCheckFailedException":
                    raise

    def replace_head(self, old: Head, new: Head) -> bool:
        """Write a head over the one it follows."""
        expression, names, values = condition(old)

        def put() -> bool:
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=head_to_item(new),
                    ConditionExpression=expression,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if error_code(error) == "ConditionalCheckFailedException":
                    return False
                raise
            return True

        with self._explained("writing the head of"):
            return _despite_conflicts(put)

    def commit(self, leaves: Sequence[Leaf], lease_token: str) -> bool:
        """Write leaves in one transaction that checks the lease."""
        check = {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": HEAD_KEY,
                "ConditionExpression": "lease_token = :token",
                "ExpressionAttributeValues": {":token": {"S": lease_token}},
            }
        }
        puts = [{"Put": {"TableName": self._table, "Item": leaf_to_item(leaf)}} for leaf in leaves]

        def write() -> bool:
            try:
                self._client.transact_write_items(TransactItems=[check, *puts])
            except ClientError as error:
                reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                if error_code(error) == "TransactionCanceledException" and "ConditionalCheckFailed" in reasons:
                    return False
                raise
            return True

        with self._explained("committing to"):
            return _despite_conflicts(write)

    def write_shape(self, shape: Shape) -> None:
        """Put the tree's shape."""
        with self._explained("writing the tree's shape to"):
            self._client.put_item(TableName=self._table, Item=shape_to_item(shape))

    def leaves(self, after: int | None = None) -> Iterator[Leaf]:
        """Scan the table in parallel segments."""
        pages: Queue[list[Any] | Exception | None] = Queue(_PAGES_AHEAD)
        abandoned = threading.Event()

        def scan(segment: int) -> None:
            try:
                for page in self._client.get_paginator("scan").paginate(
                    TableName=self._table, ConsistentRead=True, Segment=segment, TotalSegments=SCAN_SEGMENTS
                ):
                    pages.put(page["Items"])
                    if abandoned.is_set():
                        break
            except Exception as error:  # noqa: BLE001  handed to the caller's thread
                pages.put(error)
            pages.put(None)

        with ThreadPoolExecutor(SCAN_SEGMENTS) as pool:
            for segment in range(SCAN_SEGMENTS):
                pool.submit(scan, segment)
            running = SCAN_SEGMENTS
            try:
                while running:
                    page = pages.get()
                    if page is None:
                        running -= 1
                    elif isinstance(page, Exception):
                        with self._explained("reading"):
                            raise page
                    else:
                        yield from self._decode(page, after)
            finally:
                # Whoever stopped reading early must not leave a segment waiting for room.
                abandoned.set()
                while running:
                    running -= pages.get() is None

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn errors of boto3 into the agent's; that there is no table is no outage."""
        with explained(f"{what} table {self._table}"):
            try:
                yield
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                raise IndexDamagedError(
                    f"the index's table {self._table}, which the descriptor names, is not there: it was deleted",
                    _NO_TABLE,
                ) from error

    def _decode(self, items: Sequence[Any], after: int | None) -> Iterator[Leaf]:
        for item in items:
            if not is_leaf(item):
                continue
            try:
                leaf = item_to_leaf(item)
            except ContractError as error:
                raise IndexDamagedError(
                    f"table {self._table}: {error}",
                    "nothing was changed; use the release that wrote it, or a newer one",
                ) from error
            if after is None or leaf.run >= after:
                yield leaf


def _despite_conflicts(write: Callable[[], bool]) -> bool:
    """Try again while another transaction of this agent (a lease renewal) touches the head at the same moment."""
    for attempt in range(CONFLICT_TRIES):
        try:
            return write()
        except ClientError as error:
            reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
            if error_code(error) not in ("TransactionConflictException", "TransactionInProgressException") and (
                "TransactionConflict" not in reasons
            ):
                raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311  jitter
    raise UnavailableError("the index's head is written to all the time")
