"""What a collection's validator found wrong with a document, in words.

MongoDB tells it as a tree (manual, "Improved Error Messages for Schema Validation").
"""

from collections.abc import Iterator, Mapping
from typing import Any

_BRANCHES = (
    "schemaRulesNotSatisfied", "propertiesNotSatisfied", "clausesNotSatisfied", "details",
)  # fmt: skip
_MOST_TOLD = 10


def unsatisfied(fault: Mapping[str, Any]) -> str:
    """``amount: {'maximum': 5} (comparison failed)``; nothing where the server does not tell."""
    details = fault.get("errInfo", {}).get("details", {})
    return "; ".join(list(_leaves(details, ""))[:_MOST_TOLD])


def _leaves(tree: Mapping[str, Any], column: str) -> Iterator[str]:
    column = tree.get("propertyName", column)
    branches = next((tree[name] for name in _BRANCHES if tree.get(name)), None)
    if isinstance(branches, Mapping):
        yield from _leaves(branches, column)
    elif branches:
        for branch in branches:
            yield from _leaves(branch, column)
    elif "specifiedAs" in tree:
        place = f"{column}: " if column else ""
        reason = f" ({tree['reason']})" if "reason" in tree else ""
        yield f"{place}{tree['specifiedAs']}{reason}"
