"""Who asked for what over HTTP, when, and what came of it: kept for a while, and no longer.

The same documents make a request safe to send twice: one that has its id again gets its answer.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from ingestd.ledger.entry import now
from ingestd.mongo import Document, Mongo

TRAIL = "ingestd_audit"

_CUT_OFF_AFTER = timedelta(minutes=5)
"""What was begun so long ago, and has no end, died with its daemon: actions can be repeated."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Something that is asked for. ``identity``: of the request, the same when it comes again."""

    identity: str
    by: str
    what: str
    fingerprint: str
    """Of all that was asked for."""
    options: str


class Trail:
    """The audit trail. Calls raise StoreAway while MongoDB is away: nothing is done unseen."""

    def __init__(self, mongo: Mongo, keep_s: float) -> None:
        self._mongo = mongo
        self._keep = timedelta(seconds=keep_s)

    async def prepare(self) -> None:
        """Let MongoDB remove what is old."""
        expire = partial(self._mongo.ensure_expiry, TRAIL, "expires_at")
        await self._mongo.patiently("indexing the audit trail", expire)

    async def begin(self, asked: Asking) -> Document | None:
        """Record that it is asked for; returns the record of the same request, if it came before.

        One that was cut off is begun anew.
        """
        record = self._record_of(asked)
        if await self._mongo.insert_missing(TRAIL, [record]):
            return None
        at = record["at"]
        cut_off = {
            "_id": asked.identity, "fingerprint": asked.fingerprint, "status": None,
            "$or": [{"at": {"$lt": at - _CUT_OFF_AFTER}}, {"failed_with": {"$ne": None}}],
        }  # fmt: skip
        if await self._mongo.update(TRAIL, cut_off, {"$set": {"at": at, "failed_with": None}}):
            return None
        return await self._mongo.find_one(TRAIL, {"_id": asked.identity})

    async def note(self, asked: Asking, status: int) -> None:
        """Record what was asked for and done already."""
        record = self._record_of(asked)
        done = {"status": status, "ended_at": record["at"]}
        await self._mongo.insert_missing(TRAIL, [record | done])

    def _record_of(self, asked: Asking) -> Document:
        at = now()
        return {
            "_id": asked.identity, "by": asked.by, "at": at, "what": asked.what,
            "fingerprint": asked.fingerprint, "options": asked.options, "status": None,
            "answer": None, "failed_with": None, "expires_at": at + self._keep,
        }  # fmt: skip

    async def end(self, asked: Asking, status: int, answer: bytes) -> None:
        """Record what came of it."""
        change = {"$set": {"status": status, "answer": answer, "ended_at": now()}}
        await self._mongo.update(TRAIL, {"_id": asked.identity}, change)

    async def give_up(self, asked: Asking, status: int) -> None:
        """It could not be done now: asked for once more, it is tried once more."""
        change = {"$set": {"failed_with": status, "ended_at": now()}}
        await self._mongo.update(TRAIL, {"_id": asked.identity}, change)
