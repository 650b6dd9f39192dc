"""``replace``: a corrected file takes the place of a loaded one.

The new file goes through the pipeline like any other and says whom it replaces; its commit makes
readers lose the old rows and see the new ones in one step (``Ledger.commit``).
"""

from pathlib import Path

from anyio import to_thread

from ingestd.errors import ActionRefused
from ingestd.files import digest_of, displayable, file_id, look
from ingestd.ledger import Action, Asked
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import COMMITTED
from ingestd.wayback.lookup import find_file, source_of


async def begin_replace(desk: Desk, file: str, by: str, new_file: Path) -> Document:
    """Note that a file is to be replaced; it is the caller's to load the new one.

    Also when that one has taken its place, and a crash kept it from being put away.

    Raises:
        UnknownFile, ActionRefused: it is not loaded, or its rows have replaced others.
        FileUnavailable: the new one cannot be read.
    """
    entry = await find_file(desk, file)
    if source_of(desk, entry).load.mode == "upsert":
        raise ActionRefused(
            f"the rows of {entry['name']} replaced others, which are not kept",
            "load the corrected file: its rows win over those of the same key",
        )
    if await _is_cut_off(desk, entry, new_file):
        return entry
    asked = Asked(Action.REPLACE, by, {"new_name": displayable(new_file.name)})
    noted = await desk.ledger.actions.note(entry["_id"], asked, COMMITTED, {})
    desk.events.action_done(Action.REPLACE, noted)
    return noted


async def _is_cut_off(desk: Desk, entry: Document, new_file: Path) -> bool:
    """Whether the new file has replaced it, and there is still something to be done."""
    newer: str | None = entry.get("replaced_by")
    if newer is None or (await desk.ledger.actions.find(newer))["is_put_away"]:
        return False
    sha256 = await to_thread.run_sync(lambda: digest_of(new_file, look(new_file)))
    return file_id(entry["source_name"], sha256) == newer
