"""``dismiss``: refused rows of which nothing more is expected are closed, with a reason."""

from collections.abc import Sequence

from ingestd.errors import ActionRefused
from ingestd.ledger import Action, Asked
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import UNFINISHED, FileState
from ingestd.wayback.hand import in_hand
from ingestd.wayback.lookup import find_file

_STATES = [state for state in FileState if state not in UNFINISHED]


async def dismiss(
    desk: Desk, file: str, by: str, *, reason: str, rows: Sequence[int] = ()
) -> Document:
    """Close the open rejections of a file, or only those of some rows (0: of the whole file).

    They are still counted: the rows are not stored.

    Raises:
        UnknownFile, ActionRefused: it is being loaded, or a duplicate; or such a row of it was
            not refused.
    """
    entry = await find_file(desk, file)
    await _require_refused(desk, entry, rows)
    asked = Asked(Action.DISMISS, by, {"reason": reason, "rows": list(rows)})
    begun = await desk.ledger.actions.begin(entry["_id"], asked, _STATES, {})
    return await finish_dismiss(desk, begun)


async def _require_refused(desk: Desk, entry: Document, rows: Sequence[int]) -> None:
    if unknown := sorted(set(rows) - await desk.rejects.rows_among(entry["_id"], rows)):
        raise ActionRefused(
            f"row {unknown[0]} of {entry['name']} was not refused",
            f"see `ingestd errors --file {entry['_id']}`; 0 is the file as a whole",
        )


@in_hand
async def finish_dismiss(desk: Desk, entry: Document) -> Document:
    """Close what is still open."""
    doing = entry["doing"]
    closing = {"closed_at": doing["at"], "closed_by": doing["by"], "reason": doing["reason"]}
    await desk.rejects.close(entry["_id"], "dismissed", closing, doing["rows"] or None)
    dismissed = await desk.ledger.actions.finish(entry, {})
    desk.events.action_done(Action.DISMISS, dismissed)
    return dismissed
