"""Files that did not load, and whose content came again: each keeps an entry of its own.

The entry of a content tells of the file that came last. One that lies in ``failed/`` would be
forgotten with its name, and nobody could ask for it to be tried again. So before another takes
over the entry, what it says is kept under the number of the attempt that failed.
"""

import os

from anyio import to_thread

from ingestd.ledger.entry import FILES, path_in
from ingestd.mongo import Document, Mongo
from ingestd.records import SET_ASIDE, FoundFile


async def keep_earlier(mongo: Mongo, known: Document, found: FoundFile) -> None:
    """Keep what an entry says of a file that still lies where it was set aside, and is not the
    one that was found."""
    place = path_in(known, "archived_to")
    if place is None or place == found.path or known["state"] not in SET_ASIDE:
        return
    if await to_thread.run_sync(os.path.lexists, place):
        kept = [_kept(known)]
        await mongo.patiently("keeping an entry", lambda: mongo.insert_missing(FILES, kept))


def _kept(known: Document) -> Document:
    """The same attempt always gets the same entry."""
    identity = known["_id"]
    change = {"_id": f"{identity}.{known['attempts']}", "duplicate_of": identity}
    ended = {"owner": None, "is_put_away": True, "retry_at": None, "duplicates": 0}
    return {**known, **ended, **change}
