"""``dismiss``: refused rows of which nothing more is expected are closed, with a reason."""

from collections.abc import Sequence

from ingestd.ledger import Action, Asked
from ingestd.mongo import Document
from ingestd.records import UNFINISHED, FileState
from ingestd.wayback.stores import Stores

_STATES = [state for state in FileState if state not in UNFINISHED]


async def dismiss(
    stores: Stores, file: str, by: str, *, reason: str, rows: Sequence[int] = ()
) -> Document:
    """Close the open rejections of a file, or only those of some rows (0: of the whole file).

    They are still counted: the rows are not stored.

    Raises:
        UnknownFile, ActionRefused: it is being loaded, or a duplicate.
    """
    entry = await stores.find(file)
    asked = Asked(Action.DISMISS, by, {"reason": reason, "rows": list(rows)})
    begun = await stores.ledger.actions.begin(entry["_id"], asked, _STATES, {})
    return await finish_dismiss(stores, begun)


async def finish_dismiss(stores: Stores, entry: Document) -> Document:
    """Close what is still open."""
    doing = entry["doing"]
    closing = {"closed_at": doing["at"], "closed_by": doing["by"], "reason": doing["reason"]}
    await stores.rejects.dismiss(entry["_id"], doing["rows"], closing)
    dismissed = await stores.ledger.actions.finish(entry, {})
    stores.events.action_done(Action.DISMISS, dismissed)
    return dismissed
