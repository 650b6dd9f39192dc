"""``undo``: all rows of one file go, at one moment for readers."""

from ingestd.errors import ActionRefused
from ingestd.ledger import Action, Asked
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.pipeline.takeback import take_back
from ingestd.records import COMMITTED, FileState
from ingestd.wayback.lookup import find_file, source_of


async def undo(desk: Desk, file: str, by: str) -> Document:
    """Take a loaded file back: readers see none of its rows from now on, then they are removed.

    Its original stays in the archive; dropped again, it is loaded again. Its rejects file stays,
    and ``rejects_file`` names it, only where somebody has changed it.

    Raises:
        UnknownFile, ActionRefused: it is not loaded, or its rows have replaced others.
    """
    entry = await find_file(desk, file)
    if entry["state"] == FileState.UNDONE and not entry.get("doing"):
        return entry
    if entry["state"] in COMMITTED and await _has_replaced_others(desk, entry):
        raise ActionRefused(
            f"the rows of {entry['name']} replaced others, which are not kept",
            "load the files that had them again: `ingestd forget` them, and drop them",
        )
    fields = {"state": FileState.UNDONE.value, "has_rows": True}
    asked = Asked(Action.UNDO, by)
    begun = await desk.ledger.actions.begin(entry["_id"], asked, COMMITTED, fields)
    return await finish_undo(desk, begun)


async def _has_replaced_others(desk: Desk, entry: Document) -> bool:
    is_upsert = source_of(desk, entry).load.mode == "upsert"
    return is_upsert or await desk.loader.has_versions(entry["source_name"], entry["_id"])


async def finish_undo(desk: Desk, entry: Document) -> Document:
    """Remove what nobody may see any more."""
    undone = await take_back(desk, entry)
    desk.events.action_done(Action.UNDO, undone)
    return undone
