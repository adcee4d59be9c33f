"""The index as DynamoDB items: how a leaf and its keys look in the table. No I/O.

Items are in the low-level form of boto3's client ({"S": ...}, {"N": ...}).
"""

from collections.abc import Mapping
from typing import Any, Final

from siteferry_contract.errors import ContractError
from siteferry_contract.leaf import Leaf, decode_entries

Item = dict[str, Any]

HEAD_KEY: Final[Item] = {"pk": {"S": "head"}, "sk": {"S": "head"}}
"""The site's control item. Every leaf's partition key begins with a slash, so this is outside their space."""

SHAPE_KEY: Final[Item] = {"pk": {"S": "shape"}, "sk": {"S": "shape"}}
"""What the agent says of the tree's shape (`shape`)."""
LEDGER_KEY: Final[Item] = {"pk": {"S": "broker"}, "sk": {"S": "broker"}}
"""The invalidation broker's own item. No other that a handler writes is in the table."""


def leaf_key(directory: str, bound: str) -> Item:
    """Give the key of a leaf's item. The slashes keep both attributes from ever being empty, which is refused."""
    return {"pk": {"S": f"/{directory}"}, "sk": {"S": f"/{bound}"}}


def is_leaf(item: Mapping[str, Any]) -> bool:
    """Tell a leaf's item from the head and the handlers' own items."""
    pk = item.get("pk", {}).get("S", "")
    return isinstance(pk, str) and pk.startswith("/")


def leaf_to_item(leaf: Leaf) -> Item:
    """Encode a leaf."""
    return {
        **leaf_key(leaf.directory, leaf.bound),
        "run": {"N": str(leaf.run)},
        "count": {"N": str(len(leaf.entries))},
        "had_delete": {"BOOL": leaf.had_delete},
        "gone": {"BOOL": leaf.gone},
        "blob": {"B": leaf.blob},
    }


def item_to_leaf(item: Mapping[str, Any]) -> Leaf:
    """Decode a leaf; raises ContractError that names the item."""
    try:
        directory, bound = item["pk"]["S"], item["sk"]["S"]
        if not (directory.startswith("/") and bound.startswith("/")):
            raise ContractError("its keys do not begin with a slash")
        leaf = Leaf(
            directory=directory[1:],
            bound=bound[1:],
            run=int(item["run"]["N"]),
            had_delete=_boolean(item, "had_delete"),
            gone=_boolean(item, "gone"),
            entries=decode_entries(item["blob"]["B"]),
        )
        if int(item["count"]["N"]) != len(leaf.entries):
            raise ContractError(f"it counts {item['count']['N']} entries but has {len(leaf.entries)}")
    except (KeyError, TypeError, ValueError) as error:
        name = {name: item.get(name) for name in ("pk", "sk")}
        reason = f"attribute {error} is missing" if isinstance(error, KeyError) else error
        raise ContractError(f"index item {name} is not a leaf that this version can read: {reason}") from error
    return leaf


def _boolean(item: Mapping[str, Any], name: str) -> bool:
    value = item[name]["BOOL"]
    if not isinstance(value, bool):
        raise ContractError(f"attribute {name} is {value!r}, not a boolean")
    return value
