"""The file that rows came from, read once more by the rules of today."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from anyio import to_thread

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.files import displayable, look
from ingestd.ledger import as_claimed, path_in
from ingestd.mongo import Document
from ingestd.pipeline.chunks import ready_chunks
from ingestd.pipeline.desk import Desk
from ingestd.pipeline.identify import identify
from ingestd.pipeline.survey import find_repeats
from ingestd.records import Chunk, FileLayout, FoundFile
from ingestd.refine import Plan, Repeats
from ingestd.validate import unique_columns
from ingestd.wayback.lookup import source_of


@dataclass(frozen=True, slots=True)
class Original:
    """The content that was loaded, cut anew: its rows have the numbers they had."""

    source: SourceSpec
    layout: FileLayout
    plan: Plan

    async def chunks(self, desk: Desk) -> AsyncIterator[tuple[Chunk, Repeats | None]]:
        """All chunks in order, each with its repeats where the source has unique columns."""
        repeats: list[Repeats | None] = [None] * len(self.layout.chunks)
        if unique_columns(self.source):
            repeats = [*await find_repeats(self.plan, self.layout, desk.workers)]
        left = iter(repeats)
        async for chunk in ready_chunks(
            self.layout, self.layout.chunks, self.source, desk.limits
        ):  # fmt: skip
            yield chunk, next(left)


async def open_original(desk: Desk, entry: Document) -> Original:
    """The original of a loaded file, where the ledger says it lies.

    Raises:
        FileUnavailable: it is not there.
        FileRefused: there is another file, or it has other rows by the rules of today.
    """
    path, source = path_in(entry, "archived_to") or path_in(entry, "path"), source_of(desk, entry)
    assert path is not None
    stat = await to_thread.run_sync(look, path)
    found = FoundFile(source.name, path, stat, entry["discovered_at"])
    known = await to_thread.run_sync(identify, found, source, desk.limits)
    if known.file_id != entry["_id"]:
        raise FileRefused(
            "other_content", f"{displayable(path)} is not the file that was loaded",
            "put the original back",
        )  # fmt: skip
    if known.layout is None:
        assert known.refusal is not None
        raise known.refusal
    _require_same_rows(entry, known.layout)
    file = replace(as_claimed(found, entry), name=entry["name"])
    plan = desk.plan(source, file, known.layout)
    return Original(source, known.layout, plan)


def _require_same_rows(entry: Document, layout: FileLayout) -> None:
    if layout.row_count != entry["record_count"]:
        raise FileRefused(
            "other_rows",
            f"by the rules of today {entry['name']} has {layout.row_count} rows, and had "
            f"{entry['record_count']}",
            f"load all of it again: ingestd forget {entry['_id']}, and drop it",
        )
