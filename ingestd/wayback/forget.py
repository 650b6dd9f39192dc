"""``forget``: the same content may come again."""

from ingestd.ledger import Action, Asked
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import UNFINISHED, FileState
from ingestd.wayback.lookup import find_file

_STATES = [state for state in FileState if state not in UNFINISHED]


async def forget(desk: Desk, file: str, by: str) -> Document:
    """Load the content again when it comes again, in the place of the rows that are there.

    Until it is certain that it loads they stay, and can be seen. What did not load is loaded
    again anyway.

    Raises:
        UnknownFile, ActionRefused: it is being loaded, or a duplicate.
    """
    entry = await find_file(desk, file)
    asked, fields = Asked(Action.FORGET, by), {"is_forgotten": True}
    forgotten = await desk.ledger.actions.note(entry["_id"], asked, _STATES, fields)
    desk.events.action_done(Action.FORGET, forgotten)
    return forgotten
