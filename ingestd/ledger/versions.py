"""Versions of a file: those of its source that have the same name within it.

That is its path below the fixed part of ``file_pattern``; of a file from elsewhere, its bare name;
of one that replaces another by a person's will, the name of that.
Entries of before this was recorded have their bare name, and the path where the file lay.
"""

from datetime import datetime

from ingestd.ledger.entry import FILES
from ingestd.mongo import Document, Mongo
from ingestd.records import COMMITTED, ClaimedFile

BY_NAME = ("source_name", "name_in_source", "state")
_COMMITTED = {"$in": [state.value for state in COMMITTED]}
_SHOWN = {"processed_at": 1, "name_in_source": 1, "path": 1}

Version = tuple[datetime, str]
"""Run and id of a file."""


class Versions:
    """Files that can be seen. Calls wait while MongoDB is away."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def others(self, file: ClaimedFile) -> list[Version]:
        """The other versions of a file."""
        match = {
            "source_name": file.source_name, "_id": {"$ne": file.file_id},
            "$or": [
                {"name_in_source": file.name_in_source},
                {"name_in_source": None, "name": file.name},
            ],
        }  # fmt: skip
        found = await self._find(match)
        return [(one["processed_at"], one["_id"]) for one in found if _is_called(one, file)]

    async def newer(self, file: ClaimedFile) -> str | None:
        """The id of the version that came last, if it came after this one."""
        latest = max(await self.others(file), default=None)
        return latest[1] if latest and latest[0] > file.processed_at else None

    async def is_seen(self, file_id: str) -> bool:
        """Whether a file can be seen."""
        return bool(await self._find({"_id": file_id}))

    async def _find(self, match: Document) -> list[Document]:
        return await self._mongo.patiently(
            "finding earlier versions",
            lambda: self._mongo.find(FILES, {**match, "state": _COMMITTED}, projection=_SHOWN),
        )


def _is_called(entry: Document, file: ClaimedFile) -> bool:
    """Of files with that bare name, whether it is this one's name within the source."""
    if entry.get("name_in_source") is not None or file.name_in_source == file.name:
        return True
    return str(entry.get("path", "")).endswith(f"/{file.name_in_source}")
