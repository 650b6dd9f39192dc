"""``replay``: refused rows are tried once more, by the rules of today.

The original is read again, in chunks, as it was when it was loaded: what a row means can depend on
those before it (quotes, ``unique``), and formats other than text have no rows to cut out. Of each
chunk only the rows with an open rejection count. In this order, each step safe to repeat:

    rows that pass now become documents, under the ``_id`` and run they would have had
    rejections of rows that fail again get the reasons they have now
    rejections of rows that passed are closed as ``replayed``
    the ledger counts what was replayed, from ``errors``
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestd.documents import decoded, row_number, split
from ingestd.errors import FileRefused
from ingestd.ledger import Action, Asked, as_counts, count_fields
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import (
    COMMITTED,
    Chunk,
    Counts,
    FileState,
    RefinedChunk,
    Rejections,
)
from ingestd.refine import Repeats, recover_rows, refine_rows
from ingestd.rejections import joined
from ingestd.wayback.hand import in_hand
from ingestd.wayback.lookup import find_file, source_of
from ingestd.wayback.original import Original, open_original
from ingestd.workers import run_twice

Rows = frozenset[int]


async def replay(desk: Desk, file: str, by: str) -> Document:
    """Try the refused rows of a loaded file again.

    Raises:
        UnknownFile, ActionRefused: it is not loaded.
        FileRefused, FileUnavailable: its original is not there, or is another file by the rules
            of today.
        FileTaken: this process was not heard of for so long that another one goes on with it.
    """
    entry = await find_file(desk, file)
    source_of(desk, entry)
    begun = await desk.ledger.actions.begin(entry["_id"], Asked(Action.REPLAY, by), COMMITTED, {})
    return await finish_replay(desk, begun)


async def refused_files(desk: Desk, source_name: str) -> list[str]:
    """Ids of the loaded files of a source that have refused rows to be tried again."""
    found = await desk.rejects.files_with_open_rows(source_name)
    entries = [await find_file(desk, file_id) for file_id in found]
    return [entry["_id"] for entry in entries if entry["state"] in COMMITTED]


@in_hand
async def finish_replay(desk: Desk, entry: Document) -> Document:
    """Whatever became of the rows, the ledger counts it."""
    refusal: FileRefused | None = None
    try:
        rows = frozenset(await desk.rejects.open_rows(entry["_id"]))
        if rows:
            original = await open_original(desk, entry)
            await _Replay(desk, entry, original).replay(rows)
    except FileRefused as error:
        refusal = error
    replayed = await desk.rejects.count_replayed(entry["_id"])
    fields = {**count_fields(_counts(entry, replayed)), "replayed": replayed}
    done = await desk.ledger.actions.finish(entry, fields)
    if done["state"] == FileState.UNDONE:  # a newer file has taken its place meanwhile
        await desk.loader.remove_run(entry["source_name"], entry["_id"], entry["processed_at"])
    if refusal is not None:
        raise refusal
    desk.events.action_done(Action.REPLAY, done)
    return done


def _counts(entry: Document, replayed: dict[str, int]) -> Counts:
    """The counts of the file when so many of its rejections are replayed."""
    counts, before = as_counts(entry), entry.get("replayed") or {}
    stored = replayed.get("document", 0) - before.get("document", 0)
    filtered = replayed.get("filtered", 0) - before.get("filtered", 0)
    return counts + Counts(0, stored, -stored - filtered, filtered)


@dataclass(frozen=True, slots=True)
class _Replay:
    """A file whose rows are tried again."""

    desk: Desk
    entry: Document
    original: Original

    async def replay(self, rows: Rows) -> None:
        """Try these rows."""
        async for chunk, repeats in self.original.chunks(self.desk):
            wanted = rows & frozenset(range(chunk.start.row + 1, chunk.end.row + 1))
            if wanted:
                await self._replay_chunk(chunk, wanted, repeats)

    async def _replay_chunk(self, chunk: Chunk, rows: Rows, repeats: Repeats | None) -> None:
        desk = self.desk
        refined = await run_twice(
            desk.workers, refine_rows, self.original.plan, chunk, rows, repeats
        )
        await desk.ledger.actions.require(self.entry)
        refused = await self._store(chunk, refined)
        failed = {error["row"] for error in decoded(refused.documents)}
        source = self.original.source
        if failed and source.load.mode == "insert":  # stored by a replay that was cut off
            await desk.loader.remove_rows(source.name, self.entry["_id"], sorted(failed))
        await desk.rejects.refuse_again(refused)
        stored = self._rows_in(refined) - failed
        await self._close(sorted(stored), "document")
        await self._close(sorted(rows - stored - failed), "filtered")

    async def _store(self, chunk: Chunk, refined: RefinedChunk) -> Rejections:
        """Make what passed durable; what did not, or what MongoDB refuses."""
        faults = await self.desk.loader.store(self.original.source, refined)
        if not faults:
            return refined.rejections
        recovered = await run_twice(
            self.desk.workers, recover_rows, self.original.plan, chunk, faults
        )
        return joined([refined.rejections, recovered])

    def _rows_in(self, refined: RefinedChunk) -> Rows:
        is_upsert = self.original.source.load.mode == "upsert"
        return frozenset(row_number(one, is_upsert=is_upsert) for one in split(refined.documents))

    async def _close(self, rows: Sequence[int], became: str) -> None:
        doing = self.entry["doing"]
        closing = {"closed_at": doing["at"], "closed_by": doing["by"], "became": became}
        if rows:
            await self.desk.rejects.close(self.entry["_id"], "replayed", closing, rows)
