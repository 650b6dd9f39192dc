"""Files with content that was loaded before: each has an entry of its own, numbered."""

from pathlib import Path

from anyio import to_thread

from ingestd.errors import StoreRefused
from ingestd.ledger.attempts import Attempts
from ingestd.ledger.claims import IsThere
from ingestd.ledger.entry import FILES, new_entry, now, path_fields, path_in, place_fields
from ingestd.ledger.leases import Leases
from ingestd.ledger.runs import Runs
from ingestd.mongo import Document, Mongo
from ingestd.records import ClaimedFile, FoundFile

Recorded = tuple[str, Path | None]
"""The id of an entry, and where the file goes."""


class Duplicates:
    """Records duplicates. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo, leases: Leases, runs: Runs, is_there: IsThere) -> None:
        self._mongo = mongo
        self._leases = leases
        self._runs = runs
        self._is_there = is_there
        self._attempts = Attempts(mongo, leases, runs)

    async def record(
        self, found: FoundFile, first: ClaimedFile, fields: Document, target: Path | None
    ) -> Recorded | None:
        """Record that the content of ``first`` came again, and that the file goes to ``target``.

        ``fields``: its state and error.

        Returns:
            the id of the record, and the target: another one if a crash interrupted the move.
            ``None``: another process has done it, or does.
        """
        while True:
            number = await self._count(first)
            pending = await self._find_pending(found, first)
            if pending is not None:
                return await self._take_up(pending)
            if not await to_thread.run_sync(self._is_there, found):
                return None
            entry = await self._entry(found, first, fields, target)
            identity = f"{first.file_id}-{number + 1}"
            if await self._is_recorded(identity, entry):
                return identity, target

    async def _count(self, first: ClaimedFile) -> int:
        """How many files of that content there were."""
        known = await self._mongo.patiently(
            "counting duplicates", lambda: self._mongo.find_one(FILES, {"_id": first.file_id})
        )
        if known is None:
            raise StoreRefused(
                f"the ledger lost file {first.file_id}", "who removed it from `files`?"
            )
        return int(known.get("duplicates", 0)) + 1

    async def _find_pending(self, found: FoundFile, first: ClaimedFile) -> Document | None:
        path = place_fields(found)["path"]
        match = {"duplicate_of": first.file_id, "path": path, "is_put_away": False}
        return await self._mongo.patiently(
            "finding a duplicate", lambda: self._mongo.find_one(FILES, match)
        )

    async def _take_up(self, pending: Document) -> Recorded | None:
        if await self._leases.is_elsewhere(pending.get("owner")):
            return None
        taken = await self._attempts.own(pending)
        return None if taken is None else (taken["_id"], path_in(taken, "archived_to"))

    async def _entry(
        self, found: FoundFile, first: ClaimedFile, fields: Document, target: Path | None
    ) -> Document:
        entry = new_entry(found, first.sha256, await self._runs.give_out(found.source_name))
        return entry | {
            **fields, "duplicate_of": first.file_id, "finished_at": now(),
            **path_fields("archived_to", target), "is_put_away": target is None,
            "owner": self._leases.me.as_document() if target else None,
        }  # fmt: skip

    async def _is_recorded(self, identity: str, entry: Document) -> bool:
        """Whether it got that number. Else another file has, and perhaps this very one: whoever
        has the number has seen its file after all files before it were gone."""
        stored = await self._mongo.patiently(
            "recording a duplicate",
            lambda: self._mongo.update_returning(
                FILES, {"_id": identity}, {"$setOnInsert": entry}, upsert=True
            ),
        )
        first, number = identity.split("-")
        await self._mongo.patiently(
            "counting duplicates",
            lambda: self._mongo.update(
                FILES, {"_id": first}, {"$max": {"duplicates": int(number) - 1}}
            ),
        )
        assert stored is not None
        return bool(stored["processed_at"] == entry["processed_at"])
