"""Whether the clock is to be believed by what removes the old.

A clock that is suddenly years ahead makes everything old. So each round leaves a mark: when the
next one finds it more than a day behind, the clock was set, or nobody was there for so long, which
cannot be told apart. For a day's worth of rounds nothing is removed then, and that is told.
"""

from datetime import timedelta
from functools import partial

from ingestd.ledger import now
from ingestd.mongo import Document, Mongo

_MARK: Document = {"_id": "clock"}
_MOST = timedelta(days=1)
_DOUBTFUL_ROUNDS = 24


async def doubt_of_clock(mongo: Mongo, marks: str) -> str:
    """Look at the clock, once in a round; returns why it is not believed, or nothing.

    ``marks``: the collection in which the mark is kept.
    """
    read = partial(mongo.find_one, marks, _MARK)
    known = await mongo.patiently("looking at the clock", read)
    at = now()
    mark: Document = known or {"at": at, "doubts": 0}
    ahead = at - mark["at"]
    doubts = mark["doubts"] + 1 if ahead > _MOST else 0
    is_doubted = 0 < doubts < _DOUBTFUL_ROUNDS
    fields = {"doubts": doubts} if is_doubted else {"at": at, "doubts": 0}
    write = partial(mongo.update, marks, _MARK, {"$set": fields}, upsert=True)
    await mongo.patiently("looking at the clock", write)
    if not is_doubted:
        return ""
    more = _DOUBTFUL_ROUNDS - 1 - doubts
    return (
        f"the clock is {ahead.days} days ahead of the last sweep: was it set wrong, or did ingestd "
        f"not run? Nothing is removed in this sweep, nor in the next {more}"
    )
