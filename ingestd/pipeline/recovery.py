"""Start-up: what a crash left half done, finished before anything new begins."""

from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.mongo import Document
from ingestd.records import FileState


async def recover(ledger: Ledger, loader: Loader, events: Events, sources: Sequence[str]) -> None:
    """Finish moves and removals that were under way.

    A file that is still in its inbox is left to the watcher: it is offered again, and the
    ledger knows what was to be done with it.
    """
    for document in await ledger.unfinished_business(sources):
        if document["state"] == FileState.UNDONE.value:
            await loader.remove_documents(document["source_name"], document["_id"])
            await ledger.rows_removed(document["_id"])
        else:
            await _finish_move(document, ledger, events)


async def _finish_move(document: Document, ledger: Ledger, events: Events) -> None:
    source, target = Path(document["path"]), Path(document["archived_to"])
    if await anyio.to_thread.run_sync(source.exists):
        return
    is_there = await anyio.to_thread.run_sync(target.exists)
    await ledger.put_away(document["_id"], target)
    events.recovered(document, is_there)
