"""``replace``: a corrected file takes the place of a loaded one.

The new file goes through the pipeline like any other and says whom it replaces; its commit makes
readers lose the old rows and see the new ones in one step (``Ledger.commit``).
"""

from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ingestd.errors import ActionRefused
from ingestd.files import digest_of, displayable, file_id, look
from ingestd.ledger import REPLACEMENT, Action, Asked
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import COMMITTED
from ingestd.wayback.lookup import find_file, source_of


async def begin_replace(desk: Desk, file: str, by: str, new_file: Path) -> Document:
    """Note that a file is to be replaced; it is the caller's to load the new one.

    Also when that one has taken its place, and a crash kept it from being put away.

    Raises:
        UnknownFile, ActionRefused: it is not loaded, its rows have replaced others, or the new
            content is loaded already.
        FileUnavailable: the new one cannot be read.
    """
    entry = await find_file(desk, file)
    require_replaceable(desk, entry)
    new = await to_thread.run_sync(_id_of, entry["source_name"], new_file)
    if await _is_cut_off(desk, entry, new):
        return entry
    return await note_replacement(desk, entry, by, Replacement(new, displayable(new_file.name)))


@dataclass(frozen=True, slots=True)
class Replacement:
    """The file that is to take the place of another."""

    file_id: str
    name: str


def require_replaceable(desk: Desk, entry: Document) -> None:
    """Raises ActionRefused where rows of the file have replaced others."""
    if source_of(desk, entry).load.mode == "upsert":
        raise ActionRefused(
            f"the rows of {entry['name']} replaced others, which are not kept",
            "load the corrected file: its rows win over those of the same key",
        )


async def note_replacement(desk: Desk, entry: Document, by: str, new: Replacement) -> Document:
    """From now on that content takes the place of the file, whoever loads it.

    Raises:
        ActionRefused: the file is not loaded any more, or the new content is already.
    """
    await _require_new(desk, entry, new.file_id)
    asked = Asked(Action.REPLACE, by, {"new_name": new.name})
    fields = {REPLACEMENT: new.file_id}
    noted = await desk.ledger.actions.note(entry["_id"], asked, COMMITTED, fields)
    desk.events.action_done(Action.REPLACE, noted)
    return noted


def _id_of(source_name: str, file: Path) -> str:
    return file_id(source_name, digest_of(file, look(file)))


async def _is_cut_off(desk: Desk, entry: Document, new: str) -> bool:
    """Whether the new file has replaced it, and there is still something to be done."""
    is_new = entry.get("replaced_by") == new
    return is_new and not (await desk.ledger.actions.find(new))["is_put_away"]


async def _require_new(desk: Desk, entry: Document, new: str) -> None:
    """Raises ActionRefused when that content is loaded already, and nobody forgot it since."""
    if not await desk.ledger.versions.is_seen(new):
        return
    known, is_same = await desk.ledger.actions.find(new), new == entry["_id"]
    if is_same or not known.get("is_forgotten"):
        undo = f"if only that is to stay: ingestd undo {entry['_id']}"
        raise ActionRefused(
            f"the new file has the content of {known['name']} ({new}), which is loaded already",
            "is it the right file?" if is_same else undo,
        )
