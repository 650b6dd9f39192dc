"""Archives of several files: one process at a time has one in hand.

Their files have entries of their own; they have none, and are known only as long as that.
"""

from ingestd.ledger.leases import Leases
from ingestd.mongo import Mongo

_ARCHIVES = "ingestd_archives"
"""One document per archive in hand: its file id and ``owner``."""


class Archives:
    """Who has an archive in hand. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo, leases: Leases) -> None:
        self._mongo = mongo
        self._leases = leases

    async def take(self, identity: str) -> bool:
        """Take an archive in hand, unless another process has it."""
        await self._leases.assure()
        match, mine = {"_id": identity}, {"owner": self._leases.me.as_document()}
        known = await self._mongo.patiently(
            "claiming an archive",
            lambda: self._mongo.update_returning(
                _ARCHIVES, match, {"$setOnInsert": mine}, upsert=True
            ),
        )
        assert known is not None
        if known["owner"] != mine["owner"]:
            if await self._leases.is_elsewhere(known["owner"]):
                return False
            await self._mongo.patiently(
                "claiming an archive", lambda: self._mongo.update(_ARCHIVES, known, {"$set": mine})
            )
            return await self.take(identity)
        self._leases.hold(identity)
        return True

    async def are_in_hand(self) -> bool:
        """Whether any process that is still there has one in hand."""
        known = await self._mongo.patiently(
            "looking for archives", lambda: self._mongo.find(_ARCHIVES, {})
        )
        return any([await self._leases.is_in_hand(one["owner"], one["_id"]) for one in known])

    async def let_go(self, identity: str) -> None:
        """The archive is put away, or left for later."""
        match = {"_id": identity, "owner.id": self._leases.me.id}
        await self._mongo.patiently(
            "leaving an archive", lambda: self._mongo.delete(_ARCHIVES, match)
        )
