"""Sources whose files are to wait, by whose wish: for all daemons, and through restarts."""

from ingestd.ledger.entry import now
from ingestd.mongo import Document, Mongo

PAUSES = "ingestd_pauses"
"""One document per paused source."""


class Pauses:
    """What is paused. Calls raise StoreAway while MongoDB is away."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def pause(self, source_name: str, by: str) -> None:
        """From now on its files wait; of a paused one nothing changes."""
        wish = {"_id": source_name, "by": by, "at": now()}
        await self._mongo.insert_missing(PAUSES, [wish])

    async def resume(self, source_name: str) -> None:
        """Its files are taken again."""
        await self._mongo.delete(PAUSES, {"_id": source_name})

    async def all(self) -> dict[str, Document]:
        """By source, who paused it, and when."""
        found = await self._mongo.find(PAUSES, {})
        return {wish["_id"]: {"by": wish["by"], "at": wish["at"]} for wish in found}
