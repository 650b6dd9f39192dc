"""Files that readers see no more: what is left of them goes, in this order.

    rows, up to the run that was seen
    rejections of rows
    the rejects file, unless a person has changed it since it was written

Each step can be repeated after a crash; until all are done the ledger says that an undo is under
way, so that the same content cannot come again in between.
"""

from collections.abc import Sequence
from functools import partial

from ingestd.errors import FileUnavailable
from ingestd.ledger import Action, Asked, path_fields, path_in
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.pipeline.errands import run_errand
from ingestd.records import FileState
from ingestd.rejects import remove_unchanged

_NOBODY = "ingestd"


async def remove_undone(desk: Desk, sources: Sequence[str]) -> None:
    """Take back what was replaced by newer files, and may not be seen any more."""
    actions = desk.ledger.actions
    for entry in await desk.ledger.undone(sources):
        asked = Asked(Action.UNDO, _NOBODY, {"replaced_by": entry.get("replaced_by")})
        begun = await actions.try_to_begin(entry["_id"], asked, [FileState.UNDONE], {})
        if begun is None:  # somebody does it, or loads the content again
            continue
        try:
            await take_back(desk, begun)
        except FileUnavailable as error:  # it is under way, and finished later
            desk.events.action_failed(Action.UNDO, begun, error.message, error.hint)


async def take_back(desk: Desk, entry: Document) -> Document:
    """Finish an undo that is begun; ``rejects_file`` of the entry names what was left."""
    with desk.ledger.actions.in_hand(entry):
        await desk.loader.remove_run(entry["source_name"], entry["_id"], entry["processed_at"])
        await desk.rejects.remove_rows(entry["_id"])
        fields = {"has_rows": False, **await remove_rejects_file(desk, entry)}
        return await desk.ledger.actions.finish(entry, fields)


async def remove_rejects_file(desk: Desk, entry: Document) -> Document:
    """Remove what nobody is to mend any more; returns the fields of the entry that this changes.

    Raises:
        FileUnavailable: it cannot be removed now.
    """
    place = path_in(entry, "rejects_file")
    if place is None:
        return {}
    if await run_errand(partial(remove_unchanged, place, entry["rejects_sha256"])):
        return path_fields("rejects_file", None)
    desk.events.side_file_left(place, "somebody has changed it; its rows are not there any more")
    return {}
