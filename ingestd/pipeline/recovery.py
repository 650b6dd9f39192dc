"""What a crash may leave half done: moves, and rows that nobody may see any more.

Every durable step, and what a crash just after it comes to:

    a crash after              leaves                             what follows the next start
    the claim                  an entry, perhaps some rows        loads; rows that are there stay
    a checkpoint               rows beyond it                     goes on from it; the same
    rewinding                  an entry at its start, some rows   takes them back, loads anew
    the end of a bad file      an entry, the file in the inbox    report and move again
    the commit                 rows seen, the file in the inbox   rejects file and move again
    the commit of a new one    rows of the old one, not seen      takes them back (takeback.py)
    the move                   a file elsewhere, an open entry    finds it, closes (here)
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from ingestd.errors import FileUnavailable
from ingestd.events import Events
from ingestd.files import move_beside, names_like
from ingestd.ledger import Ledger, path_in
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.pipeline.takeback import remove_undone


async def recover(desk: Desk, sources: Sequence[str]) -> None:
    """Finish moves and removals that were under way, and that nobody has in hand.

    A file that is still in its inbox is left to the watcher: it is offered again, and the
    ledger knows what was to be done with it.
    """
    await remove_undone(desk, sources)
    for entry in await desk.ledger.leaving(sources):
        await _finish_move(entry, desk.ledger, desk.events)


async def _finish_move(entry: Document, ledger: Ledger, events: Events) -> None:
    source, target = path_in(entry, "path"), path_in(entry, "archived_to")
    assert source is not None
    assert target is not None
    if await anyio.to_thread.run_sync(source.exists) or not await ledger.take_up(entry):
        return
    place = await anyio.to_thread.run_sync(_find_moved, target, entry["size"], entry["sha256"])
    manifest = path_in(entry, "manifest")
    if place is not None and manifest is not None:
        await _move_manifest(manifest, source, place, events)
    await ledger.put_away(entry["_id"], place)
    events.recovered(entry, found=place is not None)


async def _move_manifest(manifest: Path, source: Path, place: Path, events: Events) -> None:
    try:
        await anyio.to_thread.run_sync(move_beside, manifest, source, place)
    except FileUnavailable as error:
        events.side_file_left(manifest, error.message)


def _find_moved(target: Path, size_bytes: int, sha256: str) -> Path | None:
    """Where the file is: under its name, or beside it where that was taken."""
    for place in names_like(target):
        if not place.exists():
            return None
        if place.is_file() and place.stat().st_size == size_bytes and _digest(place) == sha256:
            return place
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
