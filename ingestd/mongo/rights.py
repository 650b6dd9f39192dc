"""What the user of ``mongo.uri`` may do, as MongoDB tells it (``connectionStatus``)."""

from collections.abc import Iterable, Mapping
from typing import Any

_NEEDED = ("find", "insert", "update", "remove", "createIndex")
"""Actions that ``readWrite`` allows, as far as ingestd needs them."""


def missing_rights(auth: Mapping[str, Any], database: str, collections: Iterable[str]) -> list[str]:
    """Each right that the user lacks, such as ``insert on errors``.

    ``auth``: ``authInfo`` of the answer. Where nobody is logged in, nobody is asked for rights, or
    MongoDB will say so itself.
    """
    if not auth["authenticatedUsers"]:
        return []
    privileges = auth["authenticatedUserPrivileges"]
    return [
        f"{action} on {collection}"
        for collection in collections
        for action in _NEEDED
        if not any(
            action in privilege["actions"] and _covers(privilege["resource"], database, collection)
            for privilege in privileges
        )
    ]


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    """An empty name stands for all of them (MongoDB manual, "Resource Document")."""
    if resource.get("anyResource"):
        return True
    is_database = resource.get("db") in ("", database)
    return is_database and resource.get("collection") in ("", collection)
