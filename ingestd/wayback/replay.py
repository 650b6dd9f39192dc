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

from anyio import to_thread

from ingestd.config.source import SourceSpec
from ingestd.documents import decoded, row_number, split
from ingestd.errors import FileRefused
from ingestd.files import look
from ingestd.ledger import Action, Asked, as_claimed, as_counts, count_fields, path_in
from ingestd.mongo import Document
from ingestd.pipeline.chunks import ready_chunks
from ingestd.pipeline.desk import Desk
from ingestd.pipeline.identify import identify
from ingestd.pipeline.survey import find_repeats
from ingestd.records import (
    COMMITTED,
    Chunk,
    Counts,
    FileLayout,
    FileState,
    FoundFile,
    RefinedChunk,
    Rejections,
)
from ingestd.refine import Plan, Repeats, recover_rows, refine_rows
from ingestd.rejections import joined
from ingestd.validate import unique_columns
from ingestd.wayback.lookup import find_file, source_of
from ingestd.workers import run_twice

Rows = frozenset[int]


async def replay(desk: Desk, file: str, by: str) -> Document:
    """Try the refused rows of a loaded file again.

    Raises:
        UnknownFile, ActionRefused: it is not loaded.
        FileRefused, FileUnavailable: its original is not there, or is another file by the rules
            of today.
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


async def finish_replay(desk: Desk, entry: Document) -> Document:
    """Whatever became of the rows, the ledger counts it."""
    refusal: FileRefused | None = None
    try:
        rows = frozenset(await desk.rejects.open_rows(entry["_id"]))
        if rows:
            await (await _open(desk, entry)).replay(rows)
    except FileRefused as error:
        refusal = error
    replayed = await desk.rejects.count_replayed(entry["_id"])
    fields = {**count_fields(_counts(entry, replayed)), "replayed": replayed}
    done = await desk.ledger.actions.finish(entry, fields)
    if done["state"] == FileState.UNDONE:  # a newer file has taken its place meanwhile
        await desk.loader.remove_documents(entry["source_name"], entry["_id"])
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


async def _open(desk: Desk, entry: Document) -> "_Replay":
    """Raises FileRefused when the original is not there, or not what it was."""
    path, source = path_in(entry, "archived_to") or path_in(entry, "path"), source_of(desk, entry)
    assert path is not None
    await desk.loader.prepare(source)
    stat = await to_thread.run_sync(look, path)
    found = FoundFile(source.name, path, stat, entry["discovered_at"])
    known = await to_thread.run_sync(identify, found, source, desk.limits)
    if known.file_id != entry["_id"]:
        raise FileRefused(
            "other_content", f"{path} is not the file that was loaded", "put the original back"
        )
    if known.layout is None:
        assert known.refusal is not None
        raise known.refusal
    if known.layout.row_count != entry["record_count"]:
        raise FileRefused(
            "other_rows",
            f"by the rules of today {entry['name']} has {known.layout.row_count} rows, and had "
            f"{entry['record_count']}",
            f"load all of it again: ingestd forget {entry['_id']}, and drop it",
        )
    plan = desk.plan(source, as_claimed(found, entry), known.layout.shape)
    return _Replay(desk, entry, source, known.layout, plan)


@dataclass(frozen=True, slots=True)
class _Replay:
    """A file whose rows are tried again."""

    desk: Desk
    entry: Document
    source: SourceSpec
    layout: FileLayout
    plan: Plan

    async def replay(self, rows: Rows) -> None:
        """Try these rows."""
        repeats: list[Repeats] = []
        if unique_columns(self.source):
            repeats = await find_repeats(self.plan, self.layout, self.desk.workers)
        limits, number = self.desk.limits, 0
        async for chunk in ready_chunks(self.layout, self.layout.chunks, self.source, limits):
            wanted = rows & frozenset(range(chunk.start.row + 1, chunk.end.row + 1))
            if wanted:
                await self._replay_chunk(chunk, wanted, repeats[number] if repeats else None)
            number += 1

    async def _replay_chunk(self, chunk: Chunk, rows: Rows, repeats: Repeats | None) -> None:
        desk = self.desk
        refined = await run_twice(desk.workers, refine_rows, self.plan, chunk, rows, repeats)
        refused = await self._store(chunk, refined)
        failed = {error["row"] for error in decoded(refused.documents)}
        if failed and self.source.load.mode == "insert":  # stored by a replay that was cut off
            await desk.loader.remove_rows(self.source.name, self.entry["_id"], sorted(failed))
        await desk.rejects.refuse_again(refused)
        stored = self._rows_in(refined) - failed
        await self._close(sorted(stored), "document")
        await self._close(sorted(rows - stored - failed), "filtered")

    async def _store(self, chunk: Chunk, refined: RefinedChunk) -> Rejections:
        """Make what passed durable; what did not, or what MongoDB refuses."""
        faults = await self.desk.loader.store(self.source, refined)
        if not faults:
            return refined.rejections
        recovered = await run_twice(self.desk.workers, recover_rows, self.plan, chunk, faults)
        return joined([refined.rejections, recovered])

    def _rows_in(self, refined: RefinedChunk) -> Rows:
        documents = split(refined.documents, memoryview(refined.ends).cast("q"))
        is_upsert = self.source.load.mode == "upsert"
        return frozenset(row_number(one, is_upsert=is_upsert) for one in documents)

    async def _close(self, rows: Sequence[int], became: str) -> None:
        doing = self.entry["doing"]
        closing = {"closed_at": doing["at"], "closed_by": doing["by"], "became": became}
        if rows:
            await self.desk.rejects.close(self.entry["_id"], "replayed", closing, rows)
