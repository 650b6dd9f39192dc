"""``replace``: a corrected file takes the place of a loaded one.

The new file goes through the pipeline like any other and says whom it replaces; its commit makes
readers lose the old rows and see the new ones in one step (``Ledger.commit``).
"""

from ingestd.errors import ActionRefused
from ingestd.ledger import Action, Asked
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import COMMITTED
from ingestd.wayback.lookup import find_file, source_of


async def begin_replace(desk: Desk, file: str, by: str, new_name: str) -> Document:
    """Note that a file is to be replaced; it is the caller's to load the new one.

    Raises:
        UnknownFile, ActionRefused: it is not loaded, or its rows have replaced others.
    """
    entry = await find_file(desk, file)
    if source_of(desk, entry).load.mode == "upsert":
        raise ActionRefused(
            f"the rows of {entry['name']} replaced others, which are not kept",
            "load the corrected file: its rows win over those of the same key",
        )
    asked = Asked(Action.REPLACE, by, {"new_name": new_name})
    noted = await desk.ledger.actions.note(entry["_id"], asked, COMMITTED, {})
    desk.events.action_done(Action.REPLACE, noted)
    return noted
